"""Drawn scenes against the distributions and limits that the config asks for."""

from __future__ import annotations

import numpy as np
import pytest

from sai_bench import sphere
from sai_bench_builtin.configs.dataset import EventsConfig, ExtentConfig, RoomsConfig, SimulatedRoomsConfig
from sai_bench_builtin.datasets.simulated_rooms.placement import hexagonal_lattice, sample_room
from sai_bench_builtin.datasets.simulated_rooms.sampling import plan, sample_scene
from sai_bench_builtin.datasets.simulated_rooms.scene import SubSources
from sai_bench_builtin.datasets.simulated_rooms.schedule import sample_intervals


@pytest.fixture(scope="module")
def scenes():
    config = SimulatedRoomsConfig(folder="unused", splits={"train": {"recordings": 60, "rooms": 30}})
    return [sample_scene(config, planned) for planned in plan(config)]


@pytest.mark.parametrize(
    "shares",
    [{0: 0.1, 1: 0.4, 2: 0.25, 3: 0.15, 4: 0.06, 5: 0.03, 6: 0.01}, {0: 0.5, 2: 0.5}, {6: 1.0}, {0: 1.0}],
)
def test_simultaneous_events_follow_the_configured_shares(shares):
    rng = np.random.default_rng(3)
    times, counts = np.arange(0.005, 20, 0.01), []
    for _ in range(250):
        intervals = sample_intervals(rng, EventsConfig(overlap_shares=shares), 20.0)
        onsets, offsets = (
            np.array([getattr(i, name) for i in intervals]) for name in ("onset_s", "offset_s")
        )
        counts.append(((onsets[:, None] <= times) & (times < offsets[:, None])).sum(axis=0))
    measured = np.bincount(np.concatenate(counts), minlength=7) / (250 * len(times))
    assert measured == pytest.approx([shares.get(n, 0) for n in range(7)], abs=0.03)


def test_event_durations_stay_in_range_unless_the_recording_ends():
    rng = np.random.default_rng(4)
    for _ in range(100):
        for interval in sample_intervals(rng, EventsConfig(duration_range_s=(0.8, 3)), 15.0):
            length = interval.offset_s - interval.onset_s
            assert length <= 3 + 0.2 + 1e-9
            assert length >= (0.2 if interval.offset_s == 15 else 0.8) - 2e-3
            assert 0 <= interval.onset_s < interval.offset_s <= 15


@pytest.mark.parametrize("duration_s", [0.5, 1.0, 1.1, 7.77])
def test_a_recording_shorter_than_an_event_still_gets_events(duration_s):
    events = EventsConfig(overlap_shares={2: 1.0}, duration_range_s=(5, 9))
    intervals = sample_intervals(np.random.default_rng(0), events, duration_s)
    assert len(intervals) >= 2
    assert max(i.offset_s for i in intervals) == duration_s


def test_rooms_have_log_uniform_sides_within_the_ranges():
    rng = np.random.default_rng(5)
    rooms = [sample_room(rng, RoomsConfig(), "room1") for _ in range(4000)]
    sides = np.array([room.sides_m for room in rooms])
    assert sides[:, :2].min() >= 2
    assert sides[:, :2].max() <= 10
    assert 2 <= sides[:, 2].min() <= sides[:, 2].max() <= 4
    # Half of the draws lie below the geometric mean of 2 and 10 m.
    assert np.mean(sides[:, :2] < np.sqrt(20)) == pytest.approx(0.5, abs=0.02)
    absorption = np.array([room.absorption for room in rooms])
    assert absorption.mean() == pytest.approx(0.25, abs=0.01)


def test_array_and_subsources_are_inside_the_room(scenes):
    for scene in scenes:
        sides = scene.room.sides_m
        assert np.all(scene.array_position_m >= 0.2 - 1e-3)
        assert np.all(scene.array_position_m <= sides - 0.2 + 1e-3)
        for event in scene.events:
            points = scene.subsource_positions(event, event.positions_m)
            assert np.all(points > 0.09)
            assert np.all(points < sides - 0.09)


def test_sources_keep_their_distance_to_the_array_and_mostly_to_each_other(scenes):
    distances = np.array([scene.trajectory(e)[:, 3].min() for scene in scenes for e in scene.events])
    assert np.mean(distances >= 0.499) > 0.98
    assert distances.min() > 0.2
    gaps = [
        np.linalg.norm(a.positions_m[:, None] - b.positions_m, axis=-1).min()
        for scene in scenes
        for i, a in enumerate(scene.events)
        for b in scene.events[:i]
        if a.onset_s < b.onset_s + b.duration_s and scene.room.sides_m[:2].min() > 4
    ]
    assert np.mean(np.array(gaps) > 0.99) > 0.9


def test_moving_sources_walk_straight_at_the_configured_speed(scenes):
    moving = [event for scene in scenes for event in scene.events if event.moving]
    share = len(moving) / sum(len(scene.events) for scene in scenes)
    assert share == pytest.approx(0.3, abs=0.06)
    steps = [np.linalg.norm(np.diff(e.positions_m, axis=0), axis=1) / np.diff(e.times_s) for e in moving]
    assert np.mean([step.max() < 1.51 for step in steps]) > 0.97
    assert np.median([step[0] for step in steps]) > 0.3


def test_simultaneous_events_have_different_classes(scenes):
    for scene in scenes:
        for i, a in enumerate(scene.events):
            for b in scene.events[:i]:
                if a.onset_s < b.onset_s + b.duration_s:
                    assert a.category != b.category


def test_every_class_occurs(scenes):
    assert {event.category for scene in scenes for event in scene.events} == set(range(13))


@pytest.mark.parametrize(("radius", "spacing", "points"), [(0, 4, 1), (3, 4, 7), (8, 4, 19), (12, 4, 37)])
def test_a_hexagonal_lattice_has_the_number_of_points_of_its_shells(radius, spacing, points):
    lattice = hexagonal_lattice(radius, spacing, 100)
    assert len(lattice) == points  # centred hexagonal numbers 1, 7, 19, 37
    assert np.hypot(*lattice.T).max() <= radius * (1 + 1e-6)


def test_a_lattice_is_thinned_to_the_allowed_number():
    lattice = hexagonal_lattice(30, 1, 100)
    assert 60 < len(lattice) <= 100


@pytest.mark.parametrize("elevation", [-90, -60, 0, 45, 89.9, 90])
def test_subsources_lie_at_their_angle_from_the_centre(elevation):
    offsets = hexagonal_lattice(13, 4, 100)
    subsources = SubSources(offsets, np.ones(len(offsets)), np.zeros(len(offsets)))
    directions = subsources.directions(sphere.unit_vectors(120.0, elevation))
    azimuths, elevations = sphere.directions_of(directions)
    measured = sphere.angle_between_deg(120, elevation, azimuths, elevations)
    assert measured == pytest.approx(np.hypot(*offsets.T), abs=1e-6)


def test_a_positive_offset_lies_to_the_left_and_up():
    subsources = SubSources(np.array([[5.0, 0.0], [0.0, 5.0]]), np.ones(2), np.zeros(2))
    azimuth, elevation = sphere.directions_of(subsources.directions(sphere.unit_vectors(0.0, 0.0)))
    assert azimuth == pytest.approx([5, 0])
    assert elevation == pytest.approx([0, 5])


def test_radii_follow_their_shares_and_outer_points_are_weaker():
    from sai_bench_builtin.datasets.simulated_rooms.placement import sample_subsources

    rng = np.random.default_rng(6)
    drawn = [sample_subsources(rng, ExtentConfig()) for _ in range(1500)]
    radii = np.array([radius for radius, _ in drawn])
    assert [np.mean(radii == r) for r in (3, 8, 13)] == pytest.approx([0.3, 0.45, 0.25], abs=0.04)
    for radius, subsources in drawn[:50]:
        relative = np.hypot(*subsources.offsets_deg.T) / radius
        excess_db = 20 * np.log10(subsources.gains / np.exp(-(relative**2) / 2))
        assert np.abs(excess_db).max() <= 2.01
        assert np.abs(subsources.delays_s).max() <= 0.2e-3 + 1e-9


def test_splits_share_no_room_and_names_are_unique():
    config = SimulatedRoomsConfig(
        folder="unused",
        splits={n: {"recordings": 7, "rooms": 3} for n in ("train", "test", "validation")},
    )
    planned = plan(config)
    rooms = {s: {p.room_name for p in planned if p.split == s} for s in config.splits}
    assert [len(r) for r in rooms.values()] == [3, 3, 3]
    assert len(set().union(*rooms.values())) == 9
    assert len({p.name for p in planned}) == 21
    assert planned[0].name == "fold3_room1_mix001"
    assert {p.name[:5] for p in planned} == {"fold3", "fold4", "fold5"}
    sides = {
        s: {tuple(sample_scene(config, p).room.sides_m) for p in planned if p.split == s}
        for s in config.splits
    }
    assert [len(r) for r in sides.values()] == [3, 3, 3]
    assert len(set().union(*sides.values())) == 9


def test_the_order_of_the_splits_in_a_spec_changes_neither_names_nor_places():
    sizes = {n: {"recordings": 4, "rooms": 2} for n in ("spare", "test", "train", "more", "validation")}
    one, other = (
        plan(SimulatedRoomsConfig(folder="unused", splits=dict(items)))
        for items in (sizes.items(), reversed(sizes.items()))
    )
    assert one == other
    assert [p.split for p in one[::4]] == ["train", "validation", "test", "more", "spare"]


def test_adding_a_split_leaves_the_scenes_of_the_others_alone():
    one = SimulatedRoomsConfig(folder="unused", splits={"test": {"recordings": 2, "rooms": 1}})
    two = SimulatedRoomsConfig(
        folder="unused",
        splits={"test": {"recordings": 2, "rooms": 1}, "train": {"recordings": 3, "rooms": 2}},
    )
    first, second = (
        sample_scene(config, next(p for p in plan(config) if p.split == "test" and p.index == 1))
        for config in (one, two)
    )
    assert first.array_yaw_deg == second.array_yaw_deg
    assert first.noise_seed == second.noise_seed
