"""The data set on disk: same bytes however it is rendered, repairs itself, says what is wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pydantic import ValidationError

from sai_bench import sphere
from sai_bench.errors import DatasetError, OutputError
from sai_bench.files import sha256_of
from sai_bench.predictions import read_annotations
from sai_bench.progress import Reporter
from sai_bench_builtin.configs.dataset import SimulatedRoomsConfig
from sai_bench_builtin.datasets.simulated_rooms.dataset import SimulatedRooms

KEYS = {
    "seed": 5,
    "splits": {"train": {"recordings": 4, "rooms": 2}, "test": {"recordings": 2, "rooms": 1}},
    "duration_s": 3,
    "rooms": {"image_source_order": 2},
    "extent": {"spacing_deg": 6},
}


def dataset_in(folder: Path, **keys) -> SimulatedRooms:
    return SimulatedRooms(SimulatedRoomsConfig(folder=folder, **{**KEYS, **keys}))


def hashes(dataset: SimulatedRooms) -> dict[str, str]:
    return {
        str(path.relative_to(dataset.root)): sha256_of(path)
        for path in sorted(dataset.root.rglob("*"))
        if path.is_file() and not path.name.endswith(".tmp")
    }


class Listener(Reporter):
    """Keeps what it is told."""

    def __init__(self):
        self.lines = []
        self.progress = []

    def line(self, text):
        self.lines.append(text)

    @contextmanager
    def task(self, title):
        yield lambda done, total: self.progress.append((done, total))


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    dataset = dataset_in(tmp_path_factory.mktemp("rooms"))
    heard = Listener()
    dataset.prepare(workers=1, reporter=heard)
    assert heard.progress == [(done, 6) for done in range(7)]
    return dataset


@pytest.fixture
def copied(rendered, tmp_path):
    shutil.copytree(rendered.root, tmp_path / rendered.root.name)
    return dataset_in(tmp_path)


def test_layout_is_that_of_stairs26(rendered):
    files = set(hashes(rendered))
    for split, names in {
        "train": [f"fold3_room{1 + i % 2}_mix00{1 + i // 2}" for i in range(4)],
        "test": ["fold4_room3_mix001", "fold4_room3_mix002"],
    }.items():
        assert {f"mic_dev/{split}/{n}.wav" for n in names} <= files
        assert {f"labels_dev/{split}/{n}_std.json" for n in names} <= files
        assert [r.name for r in rendered.recordings(split)] == sorted(names)
    assert len(files) == 6 * 3 + 1


def test_recordings_are_readable_and_do_not_clip(rendered):
    for recording in rendered.recordings("train"):
        info = soundfile.info(recording.audio_path)
        assert (info.samplerate, info.channels, info.frames, info.subtype) == (24_000, 4, 72_000, "PCM_16")
        samples, _ = soundfile.read(recording.audio_path)
        assert 1e-4 < np.abs(samples).max() <= 0.951
        assert recording.array.baffle == "open"
        assert recording.array.microphones == 4
        for annotation in read_annotations(recording.labels_path):
            points = np.array(annotation.segmentation[0])
            assert 0 <= annotation.metadata_frame_index < 30
            assert 20 <= annotation.distance <= 1500
            assert points[:, 2].max() == 1
            assert points[:, 2].min() > 0
            assert points[:, 0].min() >= 0
            assert points[:, 0].max() <= 359
            assert points[:, 1].min() >= 0
            assert points[:, 1].max() <= 179
            assert annotation.instance_id is not None


def test_manifest_tells_every_scene_and_every_hash(rendered):
    manifest = json.loads((rendered.root / "manifest.json").read_bytes())
    assert manifest["config"]["seed"] == 5
    assert "folder" not in manifest["config"]
    for record in manifest["recordings"]:
        assert sha256_of(rendered.root / record["audio"]) == record["audio_sha256"]
        assert sha256_of(rendered.root / record["labels"]) == record["labels_sha256"]
        assert {"room", "array_position_m", "array_yaw_deg", "snr_db", "events"} <= set(record["scene"])
        for event in record["scene"]["events"]:
            time_s, azimuth, elevation, distance_m = event["trajectory_s_deg_deg_m"][0]
            labels = [
                a
                for a in read_annotations(rendered.root / record["labels"])
                if a.instance_id == record["scene"]["events"].index(event)
            ]
            if not labels or len(event["times_s"]) > 1:
                continue
            x, y, _ = max(labels[0].segmentation[0], key=lambda p: p[2])
            apart = sphere.angle_between_deg(
                azimuth, elevation, sphere.azimuth_deg(x), sphere.elevation_deg(y)
            )
            assert apart <= event["radius_deg"] + 1
            assert labels[0].distance == pytest.approx(100 * distance_m, abs=1)
            assert time_s == pytest.approx(event["onset_s"], abs=1e-3)


def test_two_workers_write_the_same_bytes_as_one(rendered, tmp_path):
    other = dataset_in(tmp_path)
    other.prepare(workers=2)
    assert hashes(other) == hashes(rendered)
    assert other.manifest_sha256 == rendered.manifest_sha256


def test_a_killed_render_continues_to_the_same_bytes(rendered, tmp_path):
    code = (
        "import json, sys; from pathlib import Path\n"
        "from sai_bench_builtin.configs.dataset import SimulatedRoomsConfig\n"
        "from sai_bench_builtin.datasets.simulated_rooms.dataset import SimulatedRooms\n"
        "SimulatedRooms(SimulatedRoomsConfig(folder=sys.argv[1], **json.loads(sys.argv[2]))).prepare()"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), json.dumps(KEYS)])
    dataset = dataset_in(tmp_path)
    deadline = time.monotonic() + 60
    while not list(dataset.root.glob("scenes/*/*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {path: path.stat().st_mtime_ns for path in dataset.root.glob("scenes/*/*.json")}
    assert finished
    dataset.prepare()
    assert hashes(dataset) == hashes(rendered)
    assert all(path.stat().st_mtime_ns == before for path, before in finished.items())


def test_what_is_complete_is_not_rendered_again(copied, monkeypatch):
    def fail(*args):
        raise AssertionError("rendered again")

    monkeypatch.setattr("sai_bench_builtin.datasets.simulated_rooms.dataset.render_recording", fail)
    before = (copied.root / "manifest.json").stat().st_mtime_ns
    copied.prepare()
    assert (copied.root / "manifest.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda root: (root / "mic_dev/train/fold3_room1_mix001.wav").unlink(),
        lambda root: os.truncate(root / "mic_dev/train/fold3_room1_mix001.wav", 1000),
        lambda root: os.truncate(root / "labels_dev/test/fold4_room3_mix001_std.json", 10),
        lambda root: shutil.rmtree(root / "labels_dev"),
        lambda root: os.truncate(root / "manifest.json", 2000),
        lambda root: (root / "manifest.json").write_bytes(b"\xff\xfe not JSON"),
        lambda root: [(root / "manifest.json").unlink(), shutil.rmtree(root / "scenes/train")],
        lambda root: [
            (root / "manifest.json").unlink(),
            os.truncate(root / "scenes/train/fold3_room2_mix001.json", 30),
        ],
    ],
    ids=[
        "no wav",
        "short wav",
        "short labels",
        "no labels",
        "short manifest",
        "no JSON",
        "no records",
        "short record",
    ],
)
def test_damage_is_repaired_to_the_same_bytes(rendered, copied, damage):
    damage(copied.root)
    copied.prepare()
    assert hashes(copied) == hashes(rendered)


def test_repairs_are_reported(copied):
    (copied.root / "mic_dev/test/fold4_room3_mix002.wav").unlink()
    heard = Listener()
    copied.prepare(reporter=heard)
    assert len(heard.lines) == 1
    assert "1 recordings are missing or damaged" in heard.lines[0]
    assert "fold4_room3_mix002" in heard.lines[0]


def test_another_config_gets_a_folder_of_its_own(rendered):
    folder = rendered.root.parent
    others = [
        dataset_in(folder, seed=6),
        dataset_in(folder, channels=32),
        dataset_in(folder, snr_range_db=(1, 2)),
    ]
    assert len({rendered.root, *(other.root for other in others)}) == 4
    assert dataset_in(folder).root == rendered.root


def test_content_hash_changes_with_audio_and_labels(rendered):
    recordings = [r for split in rendered.splits() for r in rendered.recordings(split)]
    assert len({r.content_sha256 for r in recordings}) == 6


def test_em32_recordings_contain_the_mic_recording(tmp_path, rendered):
    em32 = dataset_in(tmp_path, channels=32, splits={"train": {"recordings": 1, "rooms": 1}})
    em32.prepare()
    (recording,) = em32.recordings("train")
    assert recording.audio_path == em32.root / "eigen_dev/train/fold3_room1_mix001.wav"
    assert recording.array.microphones == 32
    full, _ = soundfile.read(recording.audio_path)
    mic, _ = soundfile.read(rendered.recordings("train")[0].audio_path)
    # Same scene, other noise and scale: the four MIC capsules correlate with their recording.
    for channel, capsule in enumerate((6, 10, 26, 22)):
        assert np.corrcoef(full[:, capsule - 1], mic[:, channel])[0, 1] > 0.85


def test_reading_before_rendering_says_what_to_do(tmp_path):
    dataset = dataset_in(tmp_path)
    with pytest.raises(DatasetError, match=r"manifest\.json: missing.*sai-bench render"):
        dataset.recordings("train")


def test_an_unknown_split_lists_the_splits(rendered):
    with pytest.raises(DatasetError, match=r"'tset'.*Did you mean 'test'.*train, test"):
        rendered.recordings("tset")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, workers):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputError, match="file"):
        dataset_in(tmp_path / "file", duration_s=0.5).prepare(workers=workers)


@pytest.mark.parametrize(
    ("keys", "where", "what"),
    [
        ({"seeed": 1}, ("seeed",), "Extra inputs"),
        ({"channels": 8}, ("channels",), "4 or 32"),
        ({"sample_rate_hz": 100}, ("sample_rate_hz",), "8000"),
        ({"rooms": {"side_range_m": (5, 3)}}, ("rooms", "side_range_m"), "above the upper bound"),
        (
            {"rooms": {"absorption_range": (0, 1.5)}},
            ("rooms", "absorption_range", 1),
            "less than or equal to 1",
        ),
        ({"events": {"overlap_shares": {1: 0.5}}}, ("events", "overlap_shares"), "sum to 0.5"),
        (
            {"events": {"overlap_shares": {7: 1.0}}},
            ("events", "overlap_shares", 7, "[key]"),
            "less than or equal to 6",
        ),
        (
            {"splits": {"train": {"recordings": 0, "rooms": 1}}},
            ("splits", "train", "recordings"),
            "greater than",
        ),
        ({"splits": {"../up": {"recordings": 1, "rooms": 1}}}, ("splits", "../up", "[key]"), "pattern"),
        ({"splits": {}}, ("splits",), "at least 1"),
        ({"source_bank": {"use": "vctkk"}}, ("source_bank",), "Did you mean 'vctk'"),
        ({"source_bank": {"folder": "x"}}, ("source_bank",), "'use' is missing"),
        (
            {"source_bank": {"use": "vctk", "folder": "x", "split_shares": {"train": 1.0}}},
            (),
            "no sounds for the split 'test'",
        ),
        ({"array_response": "rigid"}, ("array_response",), "rigid_sphere"),
        ({"snr_range_db": (float("nan"), 3)}, ("snr_range_db", 0), "finite"),
    ],
)
def test_a_bad_config_names_the_key(keys, where, what):
    with pytest.raises(ValidationError) as caught:
        SimulatedRoomsConfig(folder="unused", **keys)
    (error,) = caught.value.errors()
    assert error["loc"] == where
    assert what in error["msg"]
