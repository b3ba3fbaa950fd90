import hashlib
import os
import pickle
import shutil

import numpy as np
import pytest

from sai_bench.errors import DatasetError
from sai_bench.progress import Reporter
from sai_bench.sphere import MIC_CAPSULES_BY_YAW_DEG
from sai_bench_builtin.configs.dataset import Stairs26Config
from sai_bench_builtin.datasets import file_hashes
from sai_bench_builtin.datasets.stairs26 import Stairs26


class Lines(Reporter):
    """Keeps what was reported."""

    def __init__(self):
        self.lines = []

    def line(self, text):
        self.lines.append(text)


@pytest.fixture
def stairs26(tree, tmp_path):
    def build(**keys):
        return Stairs26(Stairs26Config(folder=tree.root, cache_folder=tmp_path / "cache", **keys))

    return build


@pytest.fixture
def published(tree):
    """Two sites and splits in the layout of the archives."""
    tree.zenodo("dev-train-sony", "fold3_room21_mix001", seed=1)
    tree.zenodo("dev-train-tau", "fold3_room4_mix001", seed=2)
    tree.zenodo("dev-test-sony", "fold4_room23_mix001", seed=3)
    tree.zenodo("dev-test-tau", "fold4_room2_mix002", seed=4)
    tree.zenodo("dev-test-tau", "fold4_room2_mix001", seed=5)
    return tree


def names(dataset, split):
    return [recording.name for recording in dataset.recordings(split)]


def problems_of_preparing(dataset):
    with pytest.raises(DatasetError) as failure:
        dataset.prepare()
    assert failure.value.problems
    return failure.value.problems


def test_the_published_layout_gives_splits_and_sites_in_name_order(published, stairs26):
    dataset = stairs26()
    dataset.prepare()
    assert dataset.splits() == ("train", "train-sony", "train-tau", "test", "test-sony", "test-tau")
    assert names(dataset, "train") == ["fold3_room21_mix001", "fold3_room4_mix001"]
    assert names(dataset, "test-tau") == ["fold4_room2_mix001", "fold4_room2_mix002"]
    assert names(dataset, "test-sony") == ["fold4_room23_mix001"]
    recording = dataset.recordings("test-sony")[0]
    root = published.root
    assert recording.audio_path == root / "eigen_dev/dev-test-sony/fold4_room23_mix001.wav"
    assert recording.labels_path == root / "labels_dev/dev-test-sony/fold4_room23_mix001_std.json"
    assert (recording.array.name, recording.array.microphones, recording.array.baffle) == (
        "em32",
        32,
        "rigid",
    )


def test_the_layout_of_the_baseline_has_no_sites(tree, stairs26):
    tree.audio("mic_dev/train/fold3_room21_mix001.wav")
    tree.labels("labels_dev/train/fold3_room21_mix001_std.json")
    tree.audio("mic_dev/test/fold4_room2_mix001.wav")
    tree.labels("labels_dev/test/fold4_room2_mix001_std.json")
    dataset = stairs26()
    dataset.prepare()
    assert dataset.splits() == ("train", "test")
    assert names(dataset, "test") == ["fold4_room2_mix001"]
    assert dataset.recordings("test")[0].array.name == "mic"
    with pytest.raises(DatasetError, match=r"no split 'test-tau'.* Splits: train, test\."):
        dataset.recordings("test-tau")


def test_audio_in_one_flat_folder_is_sorted_by_its_labels_and_else_by_its_fold(tree, stairs26):
    for name in ("fold3_a", "fold4_b", "other"):
        tree.audio(f"mic_dev/{name}.wav")
    for place, name in (("train", "fold3_a"), ("train", "fold4_b"), ("test", "other")):
        tree.labels(f"labels_dev/{place}/{name}_std.json")
    tree.audio("mic_dev/fold4_unlabelled.wav")
    dataset = stairs26()
    problems = problems_of_preparing(dataset)
    assert len(problems) == 1
    assert "fold4_unlabelled: no labels" in problems[0]
    assert names(dataset, "train") == ["fold3_a", "fold4_b"]
    assert names(dataset, "test") == ["other"]


@pytest.mark.parametrize(
    ("wanted", "microphones"), [("auto", 32), (4, 4), (32, 32)], ids=["auto", "four", "thirty-two"]
)
def test_where_both_kinds_of_audio_lie_the_config_says_which_is_used(
    published, stairs26, wanted, microphones
):
    for audio in sorted(published.root.glob("eigen_dev/*/*.wav")):
        published.audio(f"mic_dev/{audio.parent.name}/{audio.name}")
    # Ambisonics of STARSS23 beside them have four channels, too.
    published.audio("foa_dev/dev-test-tau/fold4_room2_mix001.wav")
    dataset = stairs26(channels=wanted)
    dataset.prepare()
    for recording in dataset.recordings("test"):
        assert recording.array.microphones == microphones
        assert recording.audio_path.parts[-3] == {4: "mic_dev", 32: "eigen_dev"}[microphones]


def test_auto_takes_four_channels_where_32_lack_more_often(published, stairs26):
    for audio in sorted(published.root.glob("eigen_dev/*/*.wav")):
        published.audio(f"mic_dev/{audio.parent.name}/{audio.name}")
        if "train" in str(audio):
            audio.unlink()
    reported = Lines()
    dataset = stairs26()
    dataset.prepare(1, reported)
    assert {recording.array.name for recording in dataset.recordings("train")} == {"mic"}
    assert "STAIRS26: the 4-channel files of 5 recordings are used" in reported.lines


def test_everything_missing_ambiguous_or_unreadable_is_reported_at_once_by_name(published, stairs26):
    root = published.root
    (root / "eigen_dev/dev-test-tau/fold4_room2_mix001.wav").unlink()
    (root / "labels_dev/dev-test-tau/fold4_room2_mix002_std.json").unlink()
    published.audio("copies/dev-test-sony/fold4_room23_mix001.wav", 32, seed=99)
    broken = root / "eigen_dev/dev-train-tau/fold3_room4_mix001.wav"
    broken.write_bytes(broken.read_bytes()[:10_000])
    published.zenodo("dev-train-sony", "fold3_room21_mix002", channels=4)
    published.text("labels_dev/dev-train-sony/fold3_lost_std.json", "{}")
    (root / "eigen_dev/dev-train-sony/fold3_lost.wav").symlink_to("nowhere.wav")
    dataset = stairs26(channels=32)
    with pytest.raises(DatasetError) as failure:
        dataset.prepare()
    problems = "\n".join(failure.value.problems)
    assert len(failure.value.problems) == 6
    assert "fold4_room2_mix001: no audio with 32 channels (labels_dev/dev-test-tau/" in problems
    assert "fold4_room2_mix002: no labels (eigen_dev/dev-test-tau/fold4_room2_mix002.wav)" in problems
    assert "fold4_room23_mix001: 2 different audio files: copies/dev-test-sony/" in problems
    assert "fold3_room4_mix001.wav: 9956 bytes of samples" in problems
    assert "fold3_room21_mix002: no audio with 32 channels, only with 4 (mic_dev/" in problems
    assert "fold3_lost.wav: cannot be read as audio (a link that leads nowhere)" in problems
    assert "https://zenodo.org/records/18171005" in str(failure.value)
    # What is in order can be used all the same.
    assert names(dataset, "train") == ["fold3_room21_mix001"]


def test_one_name_in_two_splits_is_ambiguous(published, stairs26):
    published.zenodo("dev-train-tau", "fold4_room2_mix001", seed=77)
    problems = problems_of_preparing(stairs26())
    assert any("fold4_room2_mix001: lies in folders of the splits test and train" in p for p in problems)
    assert any("fold4_room2_mix001: 2 different audio files" in p for p in problems)


def test_equal_copies_and_links_are_one_file(published, stairs26):
    root = published.root
    shutil.copytree(root / "labels_dev/dev-test-tau", root / "labels_dev/test")
    (root / "linked").mkdir()
    (root / "linked/fold4_room23_mix001.wav").symlink_to(
        root / "eigen_dev/dev-test-sony/fold4_room23_mix001.wav"
    )
    (root / "around").symlink_to(root)
    dataset = stairs26()
    dataset.prepare()
    assert len(dataset.recordings("test")) == 3


def test_a_linked_folder_elsewhere_is_searched(tree, stairs26, tmp_path):
    tree.zenodo("dev-test-tau", "fold4_room2_mix001")
    (tree.root / "eigen_dev").rename(tmp_path / "elsewhere")
    (tree.root / "eigen_dev").symlink_to(tmp_path / "elsewhere")
    dataset = stairs26()
    dataset.prepare()
    assert names(dataset, "test-tau") == ["fold4_room2_mix001"]


def test_an_archive_whose_audio_is_not_there_at_all_is_left_out_and_mentioned(published, stairs26):
    shutil.rmtree(published.root / "eigen_dev/dev-train-sony")
    reported = Lines()
    dataset = stairs26()
    dataset.prepare(1, reported)
    assert dataset.splits() == ("train", "train-tau", "test", "test-sony", "test-tau")
    assert "STAIRS26: train-sony has labels of 1 recordings and no audio: it is not used" in reported.lines


def test_an_evaluation_set_without_any_labels_is_all_unlabelled(tree, stairs26):
    tree.audio("mic_dev/dev-test-tau/fold4_room2_mix001.wav")
    dataset = stairs26()
    dataset.prepare()
    assert [recording.labels_path for recording in dataset.recordings("test")] == [None]


@pytest.mark.parametrize("name", ["fold4_ä ö", "fold4_line\nbreak", "fold4_..", "fold4_%s{}", "fold4_\udcff"])
def test_odd_names_are_found_like_others(tree, stairs26, name):
    tree.zenodo("dev-test-tau", name)
    tree.zenodo("dev-test-tau", "fold4_ordinary")
    dataset = stairs26()
    dataset.prepare()
    assert set(names(dataset, "test")) == {name, "fold4_ordinary"}
    assert len(dataset.manifest_sha256) == 64
    os.unlink(tree.root / f"eigen_dev/dev-test-tau/{name}.wav")
    (problem,) = problems_of_preparing(stairs26())
    assert "\n" not in problem


def test_files_that_are_no_part_of_the_data_set_do_no_harm(published, stairs26):
    root = published.root
    published.audio("speech/p225_001.wav", 1)
    published.text("labels_dev/manifest.json", "[]")
    published.text("runs/predictions/fold4_room2_mix001.json", "{}")
    published.text("eigen_dev/dev-test-tau/._fold4_room2_mix001.wav", "resource fork")
    (root / ".hidden").mkdir()
    shutil.copy(root / "eigen_dev/dev-test-tau/fold4_room2_mix001.wav", root / ".hidden/fold4_x.wav")
    reported = Lines()
    dataset = stairs26()
    dataset.prepare(1, reported)
    assert len(dataset.recordings("test")) == 3
    assert any("1 audio files belong to no split by folder or name" in line for line in reported.lines)


def test_a_missing_and_an_empty_folder_say_what_to_download(tree, tmp_path):
    absent = Stairs26(Stairs26Config(folder=tmp_path / "absent"))
    with pytest.raises(DatasetError, match=r"absent: no such folder"):
        absent.prepare()
    empty = Stairs26(Stairs26Config(folder=tree.root))
    with pytest.raises(DatasetError, match=r"no recording of STAIRS26 .*zenodo\.org/records/18171005"):
        empty.splits()


def test_content_hashes_follow_audio_and_labels_and_nothing_else(published, stairs26, tmp_path):
    def contents():
        dataset = stairs26()
        dataset.prepare()
        hashes = {r.name: r.content_sha256 for split in ("train", "test") for r in dataset.recordings(split)}
        return hashes, dataset.manifest_sha256

    before, manifest = contents()
    audio = published.root / "eigen_dev/dev-test-tau/fold4_room2_mix001.wav"
    label = published.root / "labels_dev/dev-test-tau/fold4_room2_mix001_std.json"
    joined = hashlib.sha256(audio.read_bytes()).hexdigest() + hashlib.sha256(label.read_bytes()).hexdigest()
    assert before["fold4_room2_mix001"] == hashlib.sha256(joined.encode()).hexdigest()
    published.root.rename(tmp_path / "moved")
    (tmp_path / "moved").rename(published.root)
    assert contents() == (before, manifest)
    published.labels(label.relative_to(published.root), [published.annotation(3)])
    after, other_manifest = contents()
    assert {name for name in before if before[name] != after[name]} == {"fold4_room2_mix001"}
    assert other_manifest != manifest


def test_unchanged_files_are_hashed_once_and_a_killed_or_damaged_index_does_no_harm(
    published, stairs26, monkeypatch, tmp_path
):
    read = []
    true_hash = file_hashes.sha256_of
    monkeypatch.setattr(file_hashes, "sha256_of", lambda path: read.append(path.name) or true_hash(path))
    dataset = stairs26()
    dataset.prepare()
    assert len(read) == 10
    manifest = dataset.manifest_sha256
    stairs26().prepare()
    assert len(read) == 10
    published.audio("eigen_dev/dev-test-tau/fold4_room2_mix001.wav", 32, seed=55)
    again = stairs26()
    again.prepare()
    assert read[10:] == ["fold4_room2_mix001.wav"]
    assert again.manifest_sha256 != manifest
    (index,) = (tmp_path / "cache" / "files").glob("stairs26-*.json")
    index.write_text(index.read_text()[:100])
    damaged = stairs26()
    damaged.prepare()
    assert len(read) == 21
    assert damaged.manifest_sha256 == again.manifest_sha256
    for odd in ("[]", "null", '{"a": 1}', '{"a": [1, 2]}'):
        index.write_text(odd)
        stairs26().prepare()


def test_a_file_that_cannot_be_opened_is_reported_with_the_others(published, stairs26, monkeypatch):
    true_hash = file_hashes.sha256_of

    def refuse(path):
        if "room23" in path.name:
            raise PermissionError(13, "Permission denied")
        return true_hash(path)

    monkeypatch.setattr(file_hashes, "sha256_of", refuse)
    dataset = stairs26()
    problems = problems_of_preparing(dataset)
    assert len(problems) == 2  # audio and labels
    assert all("cannot be read (Permission denied)" in problem for problem in problems)
    assert "fold4_room23_mix001" not in names(dataset, "test")


def test_recordings_can_be_asked_for_without_preparing_and_data_sets_travel_to_workers(published, stairs26):
    dataset = pickle.loads(pickle.dumps(stairs26()))
    assert names(dataset, "test-sony") == ["fold4_room23_mix001"]


def test_two_processes_hash_as_one(published, stairs26, monkeypatch, tmp_path):
    monkeypatch.setattr(file_hashes, "_WORTH_PROCESSES_BYTES", 0)
    dataset = stairs26()
    dataset.prepare(workers=2)
    parallel = dataset.manifest_sha256
    shutil.rmtree(tmp_path / "cache")
    alone = stairs26()
    alone.prepare()
    assert alone.manifest_sha256 == parallel


def test_the_mic_channels_of_an_em32_are_where_the_mic_capsules_are(published, stairs26):
    (recording,) = stairs26().recordings("test-sony")
    subset = recording.array.subset("mic", MIC_CAPSULES_BY_YAW_DEG[0])
    np.testing.assert_allclose(np.linalg.norm(subset.positions_m, axis=1), 0.042)
