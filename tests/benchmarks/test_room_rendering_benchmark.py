"""Speed of rendering extended sources against pyroomacoustics with one source per sub-source.

Processor time, all on one thread, so that scenes per second are those of one core.

Run with: pytest tests/benchmarks/test_room_rendering_benchmark.py --benchmark-enable
"""

from __future__ import annotations

import time

import numpy as np
import pyroomacoustics
import pytest

from sai_bench.sphere import mic_array
from sai_bench_builtin.configs.dataset import EventsConfig, SimulatedRoomsConfig
from sai_bench_builtin.datasets.simulated_rooms.dataset import SimulatedRooms
from sai_bench_builtin.datasets.simulated_rooms.placement import hexagonal_lattice
from sai_bench_builtin.datasets.simulated_rooms.rendering import render_scene
from sai_bench_builtin.datasets.simulated_rooms.scene import Event, Room, Scene, SubSources

RATE, SECONDS, SOURCES, SUBSOURCES = 24_000, 2, 6, 16
ARRAY = mic_array("open")
ROOM = Room("room1", np.array([6.1, 4.7, 3.1]), 0.3, 5, 0.0, 0)  # order 5, reflections not displaced


def dry_sound(category, variation, samples, sample_rate_hz):
    return np.random.default_rng(variation).standard_normal(samples)


@pytest.fixture
def one_thread():
    """Give pyroomacoustics one thread, like the rest; its high-pass filter is off, for ours has none."""
    names = {"num_threads": 1, "rir_hpf_enable": False}
    before = {name: pyroomacoustics.constants.get(name) for name in names}
    for name, value in names.items():
        pyroomacoustics.constants.set(name, value)
    yield
    for name, value in before.items():
        pyroomacoustics.constants.set(name, value)


def crowded_scene() -> Scene:
    """Six sources of 16 sub-sources each. Their delays are whole samples, all that `simulate` can do."""
    rng = np.random.default_rng(3)
    offsets = hexagonal_lattice(8, 3.5, 100)[:SUBSOURCES]
    events = []
    for n in range(SOURCES):
        delays_s = rng.integers(-4, 5, SUBSOURCES) / RATE
        subsources = SubSources(offsets, rng.uniform(0.3, 1, SUBSOURCES), delays_s)
        position_m = rng.uniform(0.8, ROOM.sides_m - 0.8)
        events.append(Event(n, n, 0.0, float(SECONDS), 8.0, subsources, np.zeros(1), position_m[None]))
    return Scene("x", "test", float(SECONDS), ROOM, np.array([3.3, 2.1, 1.4]), 25.0, tuple(events), 120.0, 1)


def simulate(scene: Scene, loudness: list[float]) -> np.ndarray:
    """Return the recording [4, S] by `Room.simulate`; `loudness` is the level of each event's dry sound."""
    room = pyroomacoustics.ShoeBox(
        ROOM.sides_m, fs=RATE, max_order=5, materials=pyroomacoustics.Material(ROOM.absorption)
    )
    for event, level in zip(scene.events, loudness, strict=True):
        dry = level * dry_sound(event.category, event.variation, SECONDS * RATE, RATE)
        points_m = scene.subsource_positions(event, event.positions_m[0])
        gains, delays_s = event.subsources.gains, event.subsources.delays_s
        for point_m, gain, delay_s in zip(points_m, gains, delays_s, strict=True):
            # Half a sample more, since simulate rounds down; 40 more, since no delay may be negative.
            room.add_source(point_m, signal=gain * dry, delay=delay_s + 40.5 / RATE)
    room.add_microphone_array((scene.array_position_m + scene.to_room(ARRAY.positions_m)).T)
    room.simulate()
    filter_half = pyroomacoustics.constants.get("frac_delay_length") // 2
    return room.mic_array.signals[:, 40 + filter_half :][:, : SECONDS * RATE]


def levels_of(scene: Scene) -> list[float]:
    """Return what the renderer multiplies each dry sound with, measured on events rendered alone."""
    levels = []
    for event in scene.events:
        alone = Scene(**{**vars(scene), "events": (event,)})
        ours = render_scene(alone, ARRAY, EventsConfig(), RATE, dry_sound)
        reference = simulate(alone, [1.0])
        levels.append(float(np.sum(ours.waveform / ours.scale * reference) / np.sum(reference**2)))
    return levels


def least_seconds(call) -> float:
    """Return the least processor time of three calls."""

    def once():
        started = time.process_time()
        call()
        return time.process_time() - started

    return min(once() for _ in range(3))


@pytest.mark.benchmark(timer=time.process_time)
def test_a_crowded_scene_renders_at_least_8_times_faster_than_with_one_source_per_subsource(
    benchmark, one_thread
):
    scene = crowded_scene()
    levels = levels_of(scene)

    def ours():
        return render_scene(scene, ARRAY, EventsConfig(), RATE, dry_sound)

    reference = simulate(scene, levels)
    rendered = benchmark.pedantic(ours, rounds=5, warmup_rounds=1)
    difference = np.abs(rendered.waveform / rendered.scale - reference).max() / np.abs(reference).max()
    assert difference < 5e-4

    reference_s = least_seconds(lambda: simulate(scene, levels))
    ours_s = benchmark.stats.stats.min if benchmark.enabled else least_seconds(ours)
    ratio = reference_s / ours_s
    benchmark.extra_info["times_faster_than_pyroomacoustics"] = round(ratio, 1)
    benchmark.extra_info["scenes_per_s_per_core"] = round(1 / ours_s, 1)
    benchmark.extra_info["pyroomacoustics_scenes_per_s_per_core"] = round(1 / reference_s, 2)
    benchmark.extra_info["largest_difference_relative_to_peak"] = float(f"{difference:.1e}")
    assert ratio > 8


@pytest.mark.benchmark(timer=time.process_time)
def test_ordinary_clips_render_fast_enough_for_training(benchmark):
    config = SimulatedRoomsConfig(
        folder="unused",
        rooms={"image_source_order": 3, "absorption_range": [0.15, 0.6]},
        events={"overlap_shares": {1: 0.34, 2: 0.33, 3: 0.33}, "moving_probability": 0.3},
        extent={"radius_shares": {6: 0.4, 10: 0.3, 14: 0.3}, "max_subsources": 10},
    )
    rooms, clips = SimulatedRooms(config), 4 if benchmark.disabled else 40
    rooms.rendered("train", 0, 2.0)
    benchmark.pedantic(lambda: [rooms.rendered("train", number, 2.0) for number in range(clips)], rounds=3)
    if benchmark.enabled:
        rate = clips / benchmark.stats.stats.min
        benchmark.extra_info["clips_per_s_per_core"] = round(rate, 1)
        assert rate > 14  # the prototype of facts/learning-on-a-laptop.md
