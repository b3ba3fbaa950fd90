"""Label masks on disk: found by content, read a few frames at a time, made again when damaged."""

from __future__ import annotations

import multiprocessing
from dataclasses import fields

import msgspec
import numpy as np
import pytest

from sai_bench.errors import CacheError, DatasetError
from sai_bench.interfaces import Recording
from sai_bench.predictions import Annotation, AnnotationFile, read_annotations
from sai_bench.sphere import mic_array
from sai_bench.training import label_masks
from sai_bench.training.label_masks import prepare_label_masks, read_occurrences, read_regions
from sai_bench.training.label_regions import draw_regions


def region(x, y, seed=0):
    rng = np.random.default_rng(seed)
    return [[(float((x + a) % 360), float(y + b), 1.0) for a, b in rng.integers(-6, 7, (12, 2))]]


def annotations():
    """Still in frames 0-19, moving in 5-14, two at once in 30-33, nothing else before frame 40."""
    still = [Annotation(n, 1, region(100, 90), instance_id=4) for n in range(20)]
    moving = [Annotation(n, 8, region(200 + 3 * n, 60, n), instance_id=5) for n in range(5, 15)]
    late = [Annotation(n, c, region(40 * c, 120), instance_id=6) for n in range(30, 34) for c in (2, 3)]
    return still + moving + late + [Annotation(40, 0, region(10, 20))]


def write_labels(path, content=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(AnnotationFile(annotations() if content is None else content)))
    return Recording(path.stem, path.with_suffix(".wav"), path, mic_array(), "unused")


@pytest.fixture
def recording(tmp_path):
    return write_labels(tmp_path / "labels" / "a.json")


@pytest.fixture
def drawings(monkeypatch):
    """The label files that were drawn."""
    made = []

    def noted(annotations, rule):
        made.append(rule)
        return draw_regions(annotations, rule)

    monkeypatch.setattr(label_masks, "draw_regions", noted)
    return made


def test_frames_read_are_those_drawn(tmp_path, recording):
    (path,) = prepare_label_masks([recording], "june", tmp_path / "cache")
    whole = draw_regions(read_annotations(recording.labels_path), "june")
    for first, stop in [(0, 10), (3, 17), (14, 31), (20, 30), (32, 50), (39, 41), (60, 70), (0, 50)]:
        part = read_regions(path, first, stop)
        own = (whole.frames >= first) & (whole.frames < stop)
        assert (part.frames + first).tolist() == whole.frames[own].tolist()
        assert part.classes.tolist() == whole.classes[own].tolist()
        assert part.instances.tolist() == whole.instances[own].tolist()
        assert len(part.mask_starts) - 1 == len(np.unique(whole.masks[own]))
        for mask, expected in zip(part.masks, whole.masks[own], strict=True):
            found = slice(part.mask_starts[mask], part.mask_starts[mask + 1])
            wanted = slice(whole.mask_starts[expected], whole.mask_starts[expected + 1])
            np.testing.assert_array_equal(part.pixels[found], whole.pixels[wanted])
            np.testing.assert_array_equal(part.energies[found], whole.energies[wanted])
    frames, classes = read_occurrences(path)
    assert frames.tolist() == whole.frames.tolist()
    assert classes.tolist() == whole.classes.tolist()


def test_a_recording_without_events_has_no_regions(tmp_path):
    (path,) = prepare_label_masks([write_labels(tmp_path / "a.json", [])], "april", tmp_path / "cache")
    part = read_regions(path, 0, 10)
    assert len(part) == 0
    assert all(len(getattr(part, f.name)) == (f.name == "mask_starts") for f in fields(part))


def test_masks_are_made_once_for_each_content_and_rule(tmp_path, recording, drawings):
    copy = write_labels(tmp_path / "elsewhere" / "b.json")
    for _ in range(2):
        first, second = prepare_label_masks([recording, copy], "june", tmp_path / "cache")
        assert first == second
    assert drawings == ["june"]
    assert prepare_label_masks([recording], "april", tmp_path / "cache")[0] != first
    assert drawings == ["june", "april"]
    changed = write_labels(recording.labels_path, annotations()[:-1])
    assert prepare_label_masks([changed], "june", tmp_path / "cache")[0] != first


def test_other_code_makes_other_files(tmp_path, recording, monkeypatch):
    (before,) = prepare_label_masks([recording], "june", tmp_path)
    monkeypatch.setattr(label_masks, "_code_key", lambda: "f" * 64)
    (after,) = prepare_label_masks([recording], "june", tmp_path)
    assert before.parent != after.parent
    assert before.read_bytes() == after.read_bytes()


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_damaged_files_are_made_again(tmp_path, recording, damage):
    (path,) = prepare_label_masks([recording], "june", tmp_path / "cache")
    content = path.read_bytes()
    broken = {"flip": content[:-9] + bytes([content[-9] ^ 1]) + content[-8:], "truncate": content[:-40]}
    path.write_bytes(broken[damage]) if damage in broken else path.unlink()
    assert prepare_label_masks([recording], "june", tmp_path / "cache") == [path]
    assert path.read_bytes() == content


def test_a_file_that_goes_while_it_is_used_is_named(tmp_path, recording):
    (path,) = prepare_label_masks([recording], "june", tmp_path / "cache")
    path.write_bytes(b"nothing")
    with pytest.raises(CacheError, match="label masks cannot be read"):
        read_regions(path, 0, 10)


def test_processes_that_make_the_same_masks_do_no_harm(tmp_path, recording):
    fork = multiprocessing.get_context("fork")
    together, target = fork.Barrier(4), tmp_path / "shared" / "masks.safetensors"

    def make():
        together.wait(60)
        label_masks._make(recording.labels_path, "april", target)

    running = [fork.Process(target=make) for _ in range(4)]
    for process in running:
        process.start()
    for process in running:
        process.join()
    assert [process.exitcode for process in running] == [0] * 4
    (path,) = prepare_label_masks([recording], "april", tmp_path / "cache")
    assert target.read_bytes() == path.read_bytes()
    assert {p.name for p in target.parent.iterdir()} == {target.name, f"{target.name}.note"}


def test_missing_and_wrong_labels_are_named_together(tmp_path, recording):
    unlabelled = Recording("mute", tmp_path / "mute.wav", None, mic_array(), "unused")
    gone = Recording("gone", tmp_path / "gone.wav", tmp_path / "gone.json", mic_array(), "unused")
    with pytest.raises(DatasetError, match=r"2 of 3 recordings have no label file: mute, gone\."):
        prepare_label_masks([recording, unlabelled, gone], "june", tmp_path / "cache")
    outside = write_labels(tmp_path / "outside.json", [Annotation(3, 1, [[(500.0, 1.0, 1.0)]])])
    endless = write_labels(tmp_path / "endless.json", [Annotation(10**12, 1, region(9, 9))])
    infinite = write_labels(tmp_path / "infinite.json", [])
    infinite.labels_path.write_text(
        '{"annotations": [{"metadata_frame_index": 7, "category_id": 2, "segmentation": [[[1, 2, NaN]]]}]}'
    )
    torn = write_labels(tmp_path / "torn.json", [])
    torn.labels_path.write_text('{"annot')
    with pytest.raises(DatasetError) as caught:
        prepare_label_masks([outside, recording, endless, infinite, torn], "june", tmp_path / "cache")
    endless_line, infinite_line, outside_line, torn_line = str(caught.value).splitlines()
    assert "outside.json: A label of class 1 in frame 3 has a point" in outside_line
    assert "endless.json: A label of class 1 in frame 1000000000000" in endless_line
    assert "infinite.json: A label of class 2 in frame 7" in infinite_line
    assert "torn.json" in torn_line
