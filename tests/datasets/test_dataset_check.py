import json
import subprocess
import sys

import numpy as np
import pytest

from sai_bench.audio_header import read_header
from sai_bench.dataset_check import check_dataset, checking, problems_of
from sai_bench.dataset_check.labels import count_labels
from sai_bench.dataset_check.samples import scan_samples
from sai_bench.errors import AudioError, DatasetError
from sai_bench.interfaces import Dataset, Recording
from sai_bench.predictions import Annotation, read_annotations
from sai_bench.sphere import mic_array

RATE_HZ = 24_000


class Listed(Dataset):
    """A data set that is what it is told."""

    def __init__(self, root, **splits):
        self.of_split = splits
        self._root = root

    root = property(lambda self: self._root)
    manifest_sha256 = "0" * 64

    def prepare(self, workers=1, reporter=None):
        pass

    def splits(self):
        return tuple(self.of_split)

    def recordings(self, split):
        return self.of_split[split]


def recording(tree, name="a", annotations=(), labelled=True, **audio):
    audio_path = tree.audio(f"{name}.wav", **audio)
    labels_path = tree.labels(f"{name}_std.json", annotations) if labelled else None
    return Recording(name, audio_path, labels_path, mic_array(), name)


def checked(tree, *recordings):
    return check_dataset(Listed(tree.root, train=list(recordings)), workers=1)


def rules(report):
    return [(finding.level, finding.rule, finding.recording) for finding in report.findings]


def test_counts_and_shares_are_those_counted_by_hand(tree):
    a = tree.annotation
    first = recording(
        tree,
        "first",
        # Frames:      0        1        2        3
        # class 0, 1:  ##       ##       -        ##      two events
        # class 0, 2:  ##       -        -        -       one event
        # class 5, 0:  -        ##       -        -       one event
        annotations=[a(0, 0, 1), a(0, 0, 2), a(1, 0, 1), a(1, 5, 0), a(3, 0, 1)],
        duration_s=0.4,
    )
    second = recording(tree, "second", annotations=[a(5, 12)], duration_s=0.6)
    unlabelled = recording(tree, "third", labelled=False, duration_s=3.6 - 1.0)
    report = checked(tree, first, second, unlabelled)
    (split,) = report.splits
    assert (split.recordings, split.labelled) == (3, 2)
    assert split.hours == pytest.approx(3.6 / 3600)
    assert split.rates_hz == {RATE_HZ: 3}
    assert split.channels == {4: 3}
    assert split.labels.class_frames.tolist() == [3, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    assert split.labels.class_events.tolist() == [3, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    # Ten label frames: two with two sources, two with one, six with none.
    assert split.overlap_shares == [0.6, 0.2, 0.2, 0, 0, 0, 0, 0]
    assert rules(report) == [("warning", "unlabelled", "third")]
    assert report.good


def test_more_than_six_sources_have_a_share_of_their_own_and_no_instance_means_one_source_each():
    def sources(frame, count, instance=None):
        return [Annotation(frame, 3, [[(1, 1, 1.0)]], instance_id=instance) for _ in range(count)]

    facts = count_labels([*sources(0, 6), *sources(1, 7), *sources(2, 9, instance=4)], 4)
    assert facts.overlap_frames.tolist() == [1, 1, 0, 0, 0, 0, 1, 1]
    assert facts.class_frames[3] == 3
    assert facts.class_events[3] == 2  # frames 0 and 1 without instance, frame 2 of instance 4


def test_overlaps_of_random_labels_agree_with_a_plain_count():
    rng = np.random.default_rng(0)
    annotations = [
        Annotation(int(frame), int(category), [[(0, 0, 1.0)]], instance_id=int(instance))
        for frame, category, instance in zip(
            rng.integers(0, 50, 300), rng.integers(0, 13, 300), rng.integers(0, 3, 300), strict=True
        )
    ]
    facts = count_labels(annotations, 50)
    expected = [0] * 8
    for frame in range(50):
        at_once = {(a.category_id, a.instance_id) for a in annotations if a.metadata_frame_index == frame}
        expected[min(7, len(at_once))] += 1
    assert facts.overlap_frames.tolist() == expected
    for category in range(13):
        frames = {a.metadata_frame_index for a in annotations if a.category_id == category}
        assert facts.class_frames[category] == len(frames)


def test_levels_are_measured_over_all_blocks(tree, monkeypatch):
    monkeypatch.setattr("sai_bench.dataset_check.samples._BLOCK_VALUES", 4 * 1000)
    samples = tree.noise(4, 1.0)
    samples[:, 2] = 0
    samples[[100, 12_345, 23_999], 0] = 1.0
    samples[12_000, 1] = -1.0
    facts = scan_samples(tree.audio("a.wav", samples=samples))
    assert facts.samples == RATE_HZ
    assert facts.clipped == 4
    assert facts.clipped_share == pytest.approx(4 / (4 * RATE_HZ))
    np.testing.assert_allclose(facts.peaks, np.minimum(np.abs(samples).max(axis=0), 1), atol=2**-15)
    assert facts.first_invalid is None


def test_nan_and_infinite_samples_are_counted_and_the_first_is_named(tree):
    samples = tree.noise(4, 1.0)
    samples[12_000, 2] = np.nan
    samples[12_001:12_003, 0] = np.inf
    report = checked(tree, recording(tree, samples=samples, subtype="FLOAT"))
    assert rules(report) == [("error", "nan", "a")]
    assert "3 samples are NaN or infinite, the first in channel 3 at 0.500 s" in str(report.findings[0])


def test_silence_of_a_channel_or_all_is_an_error_and_clipping_a_warning(tree):
    dead, loud = tree.noise(4), tree.noise(4)
    dead[:, [1, 3]] = 0
    loud[:100, 0] = 1.0
    report = checked(
        tree,
        recording(tree, "dead", samples=dead),
        recording(tree, "silent", samples=np.zeros((RATE_HZ, 4))),
        recording(tree, "loud", samples=loud),
        recording(tree, "peak", samples=np.vstack([tree.noise(4, 1.0), np.ones((1, 4))])),
    )
    assert rules(report) == [
        ("error", "silent", "dead"),
        ("error", "silent", "silent"),
        ("warning", "clipped", "loud"),
    ]
    assert "every sample of channel 2, 4 is 0" in str(report.findings[0])
    assert "every sample is 0" in str(report.findings[1])
    assert f"{100 / 48_000:.2%} of the samples are at full scale" in str(report.findings[2])
    assert report.splits[0].clipped == 1


def test_labels_beyond_the_end_are_an_error_unless_they_are_hardly_beyond(tree):
    a = tree.annotation
    report = checked(
        tree,
        recording(tree, "fits", annotations=[a(4)], duration_s=0.5),
        recording(tree, "late", annotations=[a(4), a(5)], duration_s=0.5),
        recording(tree, "other", annotations=[a(4), a(15), a(16)], duration_s=0.5),
        recording(tree, "early", annotations=[a(-1)], duration_s=0.5),
    )
    assert rules(report) == [
        ("warning", "beyond_end", "late"),
        ("error", "beyond_end", "other"),
        ("warning", "beyond_end", "early"),
    ]
    assert "2 annotations are not within the audio, which has label frames 0 to 4" in str(report.findings[1])
    assert report.splits[0].labels.class_frames[0] == 3


def test_odd_annotations_are_warned_of(tree):
    a = tree.annotation
    report = checked(
        tree,
        recording(
            tree,
            annotations=[
                a(0, category=13),
                a(0, points=()),
                a(0, points=[(5, 5, 0.0)]),
                a(0, points=[(360, 5, 1.0)]),
                a(0, points=[(0, -1, 1.0)]),
                a(0, points=[(359.5, 179, 1.0)]),
            ],
        ),
    )
    assert [str(finding).split("json: ")[1] for finding in report.findings] == [
        "1 annotation of other classes than 0 to 12.",
        "2 annotations without a point of positive energy.",
        "2 annotations with points outside the image (x 0 to 360, y 0 to 179).",
    ]
    assert report.good


@pytest.fixture
def all_broken(tree):
    """Return recordings with one fault each, that a look at headers and ends finds."""
    array = mic_array()
    truncated = tree.audio("truncated.wav", duration_s=1.0)
    truncated.write_bytes(truncated.read_bytes()[:50_000])
    fine = tree.audio("fine.wav")
    good = tree.labels("good_std.json")
    (tree.root / "folder.wav").mkdir()
    paths = {
        "absent": (tree.root / "absent.wav", good),
        "truncated": (truncated, good),
        "text": (tree.text("text.wav", "no audio"), good),
        "empty": (tree.text("empty.wav", ""), good),
        "folder": (tree.root / "folder.wav", good),
        "stereo": (tree.audio("stereo.wav", 2), good),
        "em32": (tree.audio("em32.wav", 32), good),
        "short": (tree.audio("short.wav", duration_s=0.05), good),
        "no_labels": (fine, tree.root / "absent_std.json"),
        "cut_labels": (fine, tree.text("cut_std.json", '{"annotations": [{"metadata_fra')),
        "empty_labels": (fine, tree.text("empty_std.json", "")),
    }
    return [Recording(name, audio, labels, array, name) for name, (audio, labels) in paths.items()]


EXPECTED = {
    "absent": "no such file",
    "truncated": "bytes of samples (0.26 s) are there, its header says 192000",
    "text": "cannot be read as audio",
    "empty": "cannot be read as audio",
    "folder": "Is a directory",
    "stereo": "has 2 channels, expected 4 (mic)",
    "em32": "has 32 channels, expected 4 (mic)",
    "short": "shorter than one label frame",
    "no_labels": "cannot be read (No such file or directory). Expected a DCASE JSON file",
    "cut_labels": "does not begin and end like a JSON object",
    "empty_labels": "is empty",
}


def test_the_cheap_check_names_every_broken_file_and_no_good_one(tree, all_broken):
    good = recording(tree, "good")
    problems = problems_of([good, *all_broken])
    assert len(problems) == len(EXPECTED)
    for problem, (name, says) in zip(problems, EXPECTED.items(), strict=True):
        assert problem.startswith(f"{name}: ")
        assert says in problem
    assert problems_of([good]) == []


def test_the_full_check_finds_what_the_cheap_one_does(tree, all_broken):
    report = checked(tree, *all_broken)
    errors = report.of_level("error")
    assert {finding.recording for finding in errors} == set(EXPECTED)
    assert not report.good


def test_only_reading_it_all_finds_a_broken_flac_and_broken_json_within(tree):
    flac = tree.audio("a.flac", duration_s=2.0)
    flac.write_bytes(flac.read_bytes()[:100_000])
    broken = tree.text("b_std.json", '{"annotations": [{"category_id": 1} {}]}')
    array = mic_array()
    recordings = [
        Recording("a", flac, tree.labels("a_std.json"), array, "a"),
        Recording("b", tree.audio("b.wav"), broken, array, "b"),
    ]
    assert problems_of(recordings) == []
    report = checked(tree, *recordings)
    assert rules(report) == [("error", "audio", "a"), ("error", "labels", "b")]
    assert "a.flac: cannot be read as audio" in str(report.findings[0])
    assert "not valid JSON" in str(report.findings[1])


def test_a_wav_from_a_pipe_is_not_taken_for_truncated(tree):
    path = tree.audio("a.wav", duration_s=1.0)
    content = bytearray(path.read_bytes())
    start = content.index(b"data") + 4
    content[start : start + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert read_header(path).samples == RATE_HZ


def test_one_byte_less_is_found(tree):
    path = tree.audio("a.wav", subtype="PCM_24")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AudioError, match="was not copied completely"):
        read_header(path)


def test_names_that_occur_twice_are_reported_with_their_split(tree):
    one, other = recording(tree, "a"), recording(tree, "b")
    twice = Recording("a", other.audio_path, other.labels_path, other.array, "x")
    report = checked(tree, one, twice)
    assert rules(report) == [("error", "name", "a")]
    assert "split train" in str(report.findings[0])
    assert len(problems_of([one, twice])) == 1


def test_a_recording_in_two_splits_is_read_and_reported_once(tree, monkeypatch):
    read = []
    true_check = checking.check_recording
    monkeypatch.setattr(checking, "check_recording", lambda one: read.append(one.name) or true_check(one))
    silent = recording(tree, "silent", samples=np.zeros((RATE_HZ, 4)))
    report = check_dataset(Listed(tree.root, test=[silent], test_tau=[silent]))
    assert read == ["silent"]
    assert len(report.findings) == 1
    assert [split.recordings for split in report.splits] == [1, 1]


def test_several_processes_find_the_same_as_one(tree, all_broken, monkeypatch):
    monkeypatch.setattr(checking, "_WORTH_PROCESSES_BYTES", 0)
    dataset = Listed(tree.root, train=[recording(tree, "good"), *all_broken])
    assert check_dataset(dataset, workers=2).to_json() == check_dataset(dataset, workers=1).to_json()


def test_the_report_is_json_and_odd_names_stay_on_their_line(tree):
    report = checked(tree, recording(tree, "line\nbreak", samples=np.zeros((RATE_HZ, 4))))
    assert "\n" not in str(report.findings[0])
    content = json.loads(json.dumps(report.to_json()))
    assert content["errors"][0]["recording"] == "line\nbreak"
    assert content["splits"]["train"]["time_with_sources"]["0"] == 1
    assert sum(entry["frames"] for entry in content["splits"]["train"]["classes"]) == 0


def test_a_data_set_without_recordings_is_refused(tree):
    with pytest.raises(DatasetError, match="no split has a recording"):
        checked(tree)


def test_memory_does_not_grow_with_the_length_of_a_recording(tree):
    """Ten minutes of four channels are 230 MB as float32; reading them may take a few blocks."""
    import soundfile

    path = tree.root / "long.wav"
    block = tree.noise(4, 10.0)
    with soundfile.SoundFile(path, "w", RATE_HZ, 4, subtype="PCM_16") as audio:
        for _ in range(60):
            audio.write(block)
    code = (
        "import sys, resource; from pathlib import Path\n"
        "from sai_bench.dataset_check.samples import scan_samples\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "facts = scan_samples(Path(sys.argv[1]))\n"
        "print(facts.samples, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    samples, grown_kib = map(int, done.stdout.split())
    assert samples == 600 * RATE_HZ
    assert grown_kib < 60_000


def test_labels_as_the_reader_gives_them_and_plain_lists_count_alike(tree):
    a = tree.annotation
    path = tree.labels("a_std.json", [a(0), a(1, points=[(400, 2, 1.0)]), a(2, points=[])])
    read = read_annotations(path)
    plain = [
        Annotation(one.metadata_frame_index, one.category_id, [list(part) for part in one.segmentation])
        for one in read
    ]
    for annotations in (read, plain):
        facts = count_labels(annotations, 3)
        assert (facts.outside, facts.without_points) == (1, 1)
