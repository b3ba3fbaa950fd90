"""Drawing scenes: every scene from its own random stream, so that nothing depends on the order of work."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sai_bench.sphere import CLASSES
from sai_bench_builtin.configs.dataset import SimulatedRoomsConfig
from sai_bench_builtin.datasets.simulated_rooms.placement import (
    sample_array_position,
    sample_path,
    sample_room,
    sample_subsources,
)
from sai_bench_builtin.datasets.simulated_rooms.scene import Event, Room, Scene
from sai_bench_builtin.datasets.simulated_rooms.schedule import Interval, sample_intervals

_FOLDS = {"train": 3, "test": 4}
_NUMBERED_FIRST = ("train", "validation", "test")
"""Rooms are numbered in this order of splits, then in that of the alphabet, whatever the spec's order: two
orders of the same splits are the same data."""

_ROOM_STREAM, _SCENE_STREAM, _ONLINE_ROOM_STREAM, _ONLINE_SCENE_STREAM = range(4)
_SEEDS = 2**48
"""Seeds stay below 2**53, so that every JSON reader keeps them exact."""


@dataclass(frozen=True)
class PlannedRecording:
    """A recording that the config asks for.

    Attributes:
        name: such as `fold3_room5_mix012`.
        split: its split.
        index: its number in the split.
        room: number of its room within the split.
        room_name: such as `room5`, unique over all splits.
    """

    name: str
    split: str
    index: int
    room: int
    room_name: str


def plan(config: SimulatedRoomsConfig) -> list[PlannedRecording]:
    """Return all recordings; rooms are numbered through, so that no two splits share one."""
    planned, first_room, next_fold = [], 1, 5
    known = [split for split in _NUMBERED_FIRST if split in config.splits]
    for split in [*known, *sorted(config.splits.keys() - set(known))]:
        size = config.splits[split]
        fold = _FOLDS.get(split)
        if fold is None:
            fold, next_fold = next_fold, next_fold + 1
        for index in range(size.recordings):
            room = index % size.rooms
            room_name = f"room{first_room + room}"
            name = f"fold{fold}_{room_name}_mix{index // size.rooms + 1:03d}"
            planned.append(PlannedRecording(name, split, index, room, room_name))
        first_room += size.rooms
    return planned


def sample_scene(
    config: SimulatedRoomsConfig, planned: PlannedRecording, categories: Sequence[int] = range(CLASSES)
) -> Scene:
    """Return the scene of one recording, with sounds of the given classes."""
    room_rng = _stream(config.seed, planned.split, _ROOM_STREAM, planned.room)
    room = sample_room(room_rng, config.rooms, planned.room_name)
    rng = _stream(config.seed, planned.split, _SCENE_STREAM, planned.index)
    return _draw(rng, config, planned.name, planned.split, config.duration_s, room, categories)


def sample_online_scene(
    config: SimulatedRoomsConfig, split: str, number: int, duration_s: float, categories: Sequence[int]
) -> Scene:
    """Return scene `number` of those without end: in a room of its own, drawn like the split's rooms."""
    room_rng = _stream(config.seed, split, _ONLINE_ROOM_STREAM, number)
    room = sample_room(room_rng, config.rooms, f"online{number}")
    rng = _stream(config.seed, split, _ONLINE_SCENE_STREAM, number)
    return _draw(rng, config, f"{split}_online{number}", split, duration_s, room, categories)


def _draw(
    rng: np.random.Generator,
    config: SimulatedRoomsConfig,
    name: str,
    split: str,
    duration_s: float,
    room: Room,
    categories: Sequence[int],
) -> Scene:
    """Return a scene in a room."""
    array_m = sample_array_position(rng, room)
    events: list[Event] = []
    for interval in sample_intervals(rng, config.events, duration_s):
        meanwhile = [event for event in events if interval.overlaps(_interval_of(event))]
        events.append(_sample_event(rng, config, room, array_m, interval, meanwhile, categories))
    return Scene(
        name=name,
        split=split,
        duration_s=duration_s,
        room=room,
        array_position_m=array_m,
        array_yaw_deg=round(float(rng.uniform(-180, 180)), 2),
        events=tuple(events),
        snr_db=round(float(rng.uniform(*config.snr_range_db)), 2),
        noise_seed=int(rng.integers(_SEEDS)),
    )


def _sample_event(
    rng, config: SimulatedRoomsConfig, room, array_m, interval, meanwhile, categories: Sequence[int]
) -> Event:
    """Return an event of a class that does not sound already, unless there are too few classes."""
    free = sorted(set(categories) - {event.category for event in meanwhile}) or sorted(categories)
    radius_deg, subsources = sample_subsources(rng, config.extent)
    duration_s = interval.offset_s - interval.onset_s
    others_m = [event.positions_m for event in meanwhile]
    times_s, positions_m = sample_path(rng, room, array_m, subsources, config.events, duration_s, others_m)
    return Event(
        category=int(rng.choice(free)),
        variation=int(rng.integers(_SEEDS)),
        onset_s=interval.onset_s,
        duration_s=round(duration_s, 3),
        radius_deg=radius_deg,
        subsources=subsources,
        times_s=times_s,
        positions_m=positions_m,
    )


def _interval_of(event: Event) -> Interval:
    return Interval(event.onset_s, event.onset_s + event.duration_s)


def _stream(seed: int, split: str, kind: int, index: int) -> np.random.Generator:
    split_number = int.from_bytes(hashlib.sha256(split.encode()).digest()[:8], "big")
    return np.random.default_rng(np.random.SeedSequence([seed, split_number, kind, index]))
