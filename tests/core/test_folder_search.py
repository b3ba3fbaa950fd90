"""Finding files below a folder: links that lead around, hidden files, folders that cannot be listed."""

import pytest

from sai_bench.folder_search import files_below


@pytest.fixture
def tree(tmp_path):
    for name in ("b/two.txt", "b/one.txt", "a/deep/three.txt", "a/.hidden.txt", ".git/four.txt"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "tree"


def names(folder, **options):
    return [path.relative_to(folder).as_posix() for path in files_below(folder, **options)]


def test_files_come_by_name_and_hidden_files_and_folders_are_left_out(tree):
    assert names(tree) == ["a/deep/three.txt", "b/one.txt", "b/two.txt"]


def test_links_to_folders_are_followed_and_no_folder_is_entered_twice(tree, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "linked.txt").touch()
    (elsewhere / "back").symlink_to(tree)
    (tree / "c").symlink_to(elsewhere)
    (tree / "d").symlink_to(elsewhere)
    (tree / "b" / "itself").symlink_to(tree / "b")
    assert names(tree) == ["a/deep/three.txt", "b/one.txt", "b/two.txt", "c/linked.txt"]


def test_a_link_that_leads_nowhere_counts_as_a_file(tree):
    (tree / "lost").symlink_to("nowhere")
    assert "lost" in names(tree)


def test_folders_that_cannot_be_listed_are_told_or_passed_over(tmp_path):
    errors = []
    assert names(tmp_path / "missing", refused=errors.append) == []
    assert [error.filename for error in errors] == [str(tmp_path / "missing")]
    assert names(tmp_path / "missing") == []
