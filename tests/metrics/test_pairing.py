"""Which prediction file belongs to which label file."""

import os

import pytest

from sai_bench.errors import AnnotationError
from sai_bench.metrics.pairing import find_json_files, pair_files, recording_name


@pytest.fixture
def folders(tmp_path):
    """Make both folders from lists of file names; equal names have equal content unless told otherwise."""

    def make(predictions, labels, contents=None):
        for role, names in (("predictions", predictions), ("labels", labels)):
            for name in names:
                path = tmp_path / role / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text((contents or {}).get(name, "{}"))
        return tmp_path / "predictions", tmp_path / "labels"

    return make


def paired(pairing):
    return {
        pair.name: (pair.predictions and pair.predictions.name, pair.labels.name) for pair in pairing.pairs
    }


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.json", "a"),
        ("a_inference.json", "a"),
        ("a_std.json", "a"),
        ("a_std_inference.json", "a"),
        ("a_std_x.json", "a_std_x"),
        ("_std.json", "_std"),
        ("a.b[1]_std.json", "a.b[1]"),
    ],
)
def test_a_recording_is_named_by_its_file_without_known_suffixes(tmp_path, file, name):
    assert recording_name(tmp_path / file) == name


def test_files_pair_by_name_through_suffixes_and_sub_folders(folders):
    pairing = pair_files(*folders(["b.json", "x/a_inference.json"], ["dev/a_std.json", "test/deep/b.json"]))
    assert paired(pairing) == {"a": ("a_inference.json", "a_std.json"), "b": ("b.json", "b.json")}
    assert [pair.name for pair in pairing.pairs] == ["b", "a"]  # by the paths of their predictions
    assert pairing.warnings == ()


def test_a_recording_without_predictions_counts_as_empty_and_is_warned_about(folders):
    pairing = pair_files(*folders(["a.json"], ["a_std.json", "b_std.json", "c_std.json"]))
    assert paired(pairing)["b"] == (None, "b_std.json")
    assert pairing.counted_as_empty == ("b", "c")
    assert [path.name for path in pairing.unpaired_labels] == ["b_std.json", "c_std.json"]
    assert "2 of 3 labelled recordings have no prediction file and count as empty" in pairing.warnings[0]
    assert "(b, c)" in pairing.warnings[0]


def test_official_pairing_leaves_it_out_and_warns(folders):
    pairing = pair_files(*folders(["a.json"], ["a_std.json", "b_std.json"]), "official")
    assert list(paired(pairing)) == ["a"]
    assert pairing.counted_as_empty == ()
    assert [path.name for path in pairing.unpaired_labels] == ["b_std.json"]
    assert "1 of 2 labelled recordings have no prediction file and are left out" in pairing.warnings[0]


def test_predictions_without_labels_are_listed_and_never_scored(folders):
    pairing = pair_files(*folders(["a.json", "z.json"], ["a_std.json"]))
    assert list(paired(pairing)) == ["a"]
    assert [path.name for path in pairing.unpaired_predictions] == ["z.json"]
    assert "z.json" in pairing.warnings[0]


def test_a_manifest_beside_label_files_is_no_label(folders):
    pairing = pair_files(*folders(["a.json"], ["a_std.json", "manifest.json"]))
    assert list(paired(pairing)) == ["a"]
    assert [path.name for path in pairing.unpaired_labels] == ["manifest.json"]
    assert "manifest" in pairing.warnings[0]


def test_the_label_suffix_wins_among_labels_and_loses_among_predictions(folders):
    both = ["a.json", "a_std.json"]
    assert paired(pair_files(*folders(both, both, {"a.json": "1", "a_std.json": "2"}))) == {
        "a": ("a.json", "a_std.json")
    }


def test_different_files_of_one_recording_are_refused_with_their_names(folders):
    names = ["one/a.json", "two/a.json"]
    with pytest.raises(AnnotationError, match=r"a has 2 different prediction files: .*one.*two"):
        pair_files(*folders(names, ["a_std.json"], {"one/a.json": "[]", "two/a.json": "{}"}))


def test_equal_copies_are_taken_once_with_a_warning(folders):
    pairing = pair_files(*folders(["one/a.json", "two/a.json"], ["a_std.json"]))
    assert len(pairing.pairs) == 1
    assert "2 equal prediction files" in pairing.warnings[0]


@pytest.mark.parametrize(
    ("predictions", "labels", "says"),
    [
        (["a_std.json"], ["a_std.json"], "1 prediction files are named as labels are"),
        (["a.json"], ["a_inference.json"], "1 label files are named as predictions are"),
    ],
)
def test_wrong_suffixes_are_warned_about(folders, predictions, labels, says):
    assert says in pair_files(*folders(predictions, labels)).warnings[0]


def test_folders_with_nothing_in_common_are_refused_with_an_example_of_each(folders):
    with pytest.raises(AnnotationError, match=r"mix1\.json.*mix01_std\.json.*Did you mean 'mix01'"):
        pair_files(*folders(["mix1.json"], ["mix01_std.json"]))


@pytest.mark.parametrize("role", ["predictions", "labels"])
@pytest.mark.parametrize("name", [".hidden.json", "notes.txt", ".hidden/a.json", ".json"])
def test_a_folder_without_visible_json_is_refused(folders, role, name):
    files = {"predictions": ["a.json"], "labels": ["a_std.json"], role: [name]}
    with pytest.raises(AnnotationError, match=rf"{role}: no JSON file here or below"):
        pair_files(*folders(**files))


def test_a_missing_folder_and_a_file_in_its_place_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("absent", "file"):
        with pytest.raises(AnnotationError, match=rf"{name}: no such folder"):
            find_json_files(tmp_path / name, "labels")


def test_links_are_followed_but_never_in_circles(tmp_path):
    real, seen = tmp_path / "real", tmp_path / "seen"
    real.mkdir()
    seen.mkdir()
    (real / "a.json").write_text("{}")
    os.symlink(real, seen / "link")
    os.symlink(seen, seen / "itself")
    os.symlink(seen, real / "back")
    assert find_json_files(seen, "labels") == [seen / "link" / "a.json"]


def test_links_that_lead_nowhere_are_refused_where_they_count(folders):
    predictions, labels = folders(["one/a.json", "two/b.json"], ["a_std.json"])
    os.symlink(predictions / "nowhere", predictions / "two" / "a.json")
    with pytest.raises(AnnotationError, match=r"two/a\.json: cannot be read"):
        pair_files(predictions, labels)


def test_an_unknown_rule_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'strict'"):
        pair_files(tmp_path, tmp_path, "strict")


def test_names_in_capital_letters_are_mentioned(tmp_path):
    for name in ("p/a.json", "p/b.JSON", "l/a_std.json", "l/b_std.Json", "none/c.JSON"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    warnings = pair_files(tmp_path / "p", tmp_path / "l").warnings
    for role, name in (("predictions", "b.JSON"), ("labels", "b_std.Json")):
        assert any(
            f"1 files in the folder of the {role} are not looked at" in w and name in w for w in warnings
        )
    with pytest.raises(AnnotationError, match=r"no JSON file here.*c\.JSON"):
        pair_files(tmp_path / "none", tmp_path / "l")


def test_a_name_with_a_line_break_does_not_break_a_message(tmp_path):
    for name in ("p/a.json", "p/b\nc.json", "l/a.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    (warning,) = pair_files(tmp_path / "p", tmp_path / "l").warnings
    assert r"'b\nc.json'" in warning
