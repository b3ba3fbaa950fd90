"""Recordings rendered on demand: repeatable, never those on disk, as loud and as labelled as they are."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from sai_bench import sphere
from sai_bench.errors import DatasetError
from sai_bench_builtin.configs.dataset import SimulatedRoomsConfig
from sai_bench_builtin.datasets.simulated_rooms.dataset import SimulatedRooms
from sai_bench_builtin.datasets.simulated_rooms.sampling import plan, sample_online_scene, sample_scene


@pytest.fixture
def rooms(tmp_path):
    return SimulatedRooms(
        SimulatedRoomsConfig(
            folder=tmp_path,
            rooms={"image_source_order": 2},
            events={"overlap_shares": {2: 0.5, 6: 0.5}, "moving_probability": 0.5},
        )
    )


def test_a_number_gives_the_same_recording_whatever_was_rendered_before(rooms):
    first = [rooms.rendered("train", n, 2.0) for n in (4, 0)]
    again = SimulatedRooms(rooms.config).rendered("train", 0, 2.0)
    assert np.array_equal(first[1].waveform, again.waveform)
    assert first[1].annotations == again.annotations
    assert first[0].waveform.shape == again.waveform.shape
    assert not np.array_equal(first[0].waveform, again.waveform)


def test_a_copy_in_another_process_renders_the_same(rooms):
    copied = pickle.loads(pickle.dumps(rooms))
    assert np.array_equal(copied.rendered("train", 7, 1.0).waveform, rooms.rendered("train", 7, 1.0).waveform)


def test_nothing_is_written(rooms, tmp_path):
    recording = rooms.rendered("test", 3, 1.0)
    assert list(tmp_path.iterdir()) == []
    assert (recording.waveform.dtype, recording.waveform.shape) == (np.float32, (4, 24_000))
    assert recording.sample_rate_hz == 24_000
    assert recording.array.baffle == "open"
    assert 0.01 < np.abs(recording.waveform).max() <= 0.951


def test_labels_are_within_the_recording_and_up_to_six_sound_at_once(rooms):
    most = 0
    for number in range(12):
        annotations = rooms.rendered("train", number, 2.0).annotations
        frames = [a.metadata_frame_index for a in annotations]
        assert 0 <= min(frames) <= max(frames) < 20
        most = max(most, np.bincount(frames).max())
        for annotation in annotations:
            assert annotation.category_id in range(sphere.CLASSES)
    assert most == 6


def test_online_rooms_and_scenes_are_none_of_those_on_disk_or_of_another_split():
    config = SimulatedRoomsConfig(folder="unused")
    classes = range(sphere.CLASSES)
    kept = [sample_scene(config, planned) for planned in plan(config)]
    online = [sample_online_scene(config, s, n, 2.0, classes) for s in config.splits for n in range(40)]
    sides = {tuple(scene.room.sides_m) for scene in online}
    assert len(sides) == 80
    assert not sides & {tuple(scene.room.sides_m) for scene in kept}
    assert len({scene.noise_seed for scene in kept + online}) == len(kept) + len(online)


def test_an_unknown_split_lists_the_splits(rooms):
    with pytest.raises(DatasetError, match=r"'tset'.*Did you mean 'test'"):
        rooms.rendered("tset", 0, 2.0)


def test_the_interface_says_that_it_renders_online(rooms):
    assert rooms.renders_online
