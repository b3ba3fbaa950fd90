"""What was rendered before stays valid: same folders, same arithmetic to the bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyroomacoustics
import pytest

from sai_bench.spec import load_spec
from sai_bench_builtin.configs.dataset import SimulatedRoomsConfig
from sai_bench_builtin.datasets.simulated_rooms.dataset import SimulatedRooms
from sai_bench_builtin.datasets.simulated_rooms.image_sums import HALF_TAPS, add_images_in_the_open

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(("spec", "key"), [("quickstart", "ede7fd91f2c2"), ("tiny", "e6053cad8d03")])
def test_keys_that_came_later_leave_the_folders_of_earlier_specs(spec, key):
    data = load_spec(REPOSITORY / "specs" / f"{spec}.yaml").data.config
    assert SimulatedRooms(data).root.name == f"simulated_rooms-{key}"


def test_a_manifest_has_later_keys_only_where_they_are_set(tmp_path):
    keys = {"folder": tmp_path, "splits": {"train": {"recordings": 1, "rooms": 1}}, "duration_s": 0.5}
    configs = {}
    for response in ("free_field", "rigid_sphere"):
        data = SimulatedRooms(SimulatedRoomsConfig(array_response=response, **keys))
        data.prepare()
        configs[response] = json.loads((data.root / "manifest.json").read_bytes())["config"]
    assert configs["rigid_sphere"] == {"array_response": "rigid_sphere", **configs["free_field"]}


@pytest.mark.parametrize("rate", [24_000, 48_000])
def test_image_sums_equal_those_of_pyroomacoustics_to_the_bit(rate):
    rng = np.random.default_rng(1)
    images, capsules = rng.uniform(-12, 12, (800, 3)), rng.uniform(-0.05, 0.05, (3, 3))
    amplitudes, delays = rng.uniform(-1, 1, 800), rng.uniform(-2e-4, 2e-4, 800)
    ours = np.zeros((3, int(22 / 343 * rate) + 200), dtype=np.float32)
    add_images_in_the_open(ours, capsules, images, amplitudes, delays, rate)
    for capsule, row in zip(capsules, ours, strict=True):
        distances = np.maximum(np.sqrt(np.sum((images - capsule) ** 2, axis=-1)), 0.05)
        times = (distances / 343 + (delays + HALF_TAPS / rate)).astype(np.float32)
        expected = np.zeros_like(row)
        strengths = (amplitudes / distances).astype(np.float32)
        pyroomacoustics.libroom.rir_builder(expected, times, strengths, rate, 2 * HALF_TAPS + 1, 20, 1)
        assert np.array_equal(row, expected)


def test_an_image_beyond_the_end_of_a_response_is_refused():
    response = np.zeros((1, 300), dtype=np.float32)
    with pytest.raises(ValueError, match="beyond the end"):
        add_images_in_the_open(
            response, np.zeros((1, 3)), np.array([[5.0, 0, 0]]), np.ones(1), np.zeros(1), 24_000
        )
