"""Where rooms, arrays, sources and sub-sources are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sai_bench_builtin.configs.dataset import EventsConfig, ExtentConfig, RoomsConfig
from sai_bench_builtin.datasets.simulated_rooms.scene import Room, SubSources

ARRAY_TO_WALL_M = 0.2
SOURCE_TO_WALL_M = 0.1
SOURCE_TO_ARRAY_M = 0.5
SOURCE_TO_SOURCE_M = 1.0
_BENT_M = 1e-6
_ATTEMPTS = 40


def sample_room(rng: np.random.Generator, rooms: RoomsConfig, name: str) -> Room:
    """Return a room with horizontal sides log-uniform, height and absorption uniform."""
    horizontal = np.exp(rng.uniform(*np.log(rooms.side_range_m), size=2))
    sides_m = np.append(horizontal, rng.uniform(*rooms.height_range_m))
    return Room(
        name=name,
        sides_m=np.round(sides_m, 3),
        absorption=round(float(rng.uniform(*rooms.absorption_range)), 4),
        image_source_order=rooms.image_source_order,
        image_displacement_m=rooms.image_displacement_m,
        displacement_seed=int(rng.integers(2**48)),
    )


def sample_array_position(rng: np.random.Generator, room: Room) -> np.ndarray:
    """Return where the array's centre is, at least 0.2 m from the walls."""
    return np.round(rng.uniform(ARRAY_TO_WALL_M, room.sides_m - ARRAY_TO_WALL_M), 3)


def sample_subsources(rng: np.random.Generator, extent: ExtentConfig) -> tuple[float, SubSources]:
    """Return the angular radius in degrees of a source and its points on a hexagonal lattice."""
    radii, shares = zip(*sorted(extent.radius_shares.items()), strict=True)
    radius_deg = float(rng.choice(radii, p=np.array(shares) / sum(shares)))
    offsets_deg = hexagonal_lattice(radius_deg, extent.spacing_deg, extent.max_subsources)
    turn = np.exp(1j * rng.uniform(0, 2 * np.pi)) * (offsets_deg[:, 0] + 1j * offsets_deg[:, 1])
    relative = np.abs(turn) / max(radius_deg, 1e-9)
    spread_db = rng.uniform(-extent.gain_spread_db, extent.gain_spread_db, len(turn))
    spread_s = 1e-3 * extent.delay_spread_ms
    return radius_deg, SubSources(
        offsets_deg=np.round(np.stack([turn.real, turn.imag], axis=-1), 4),
        gains=np.round(np.exp(-0.5 * relative**2) * 10 ** (spread_db / 20), 4),
        delays_s=np.round(rng.uniform(-spread_s, spread_s, len(turn)) * (len(turn) > 1), 8),
    )


def hexagonal_lattice(radius_deg: float, spacing_deg: float, most: int) -> np.ndarray:
    """Return at most `most` points [S, 2] with a point in the centre, spaced evenly within a radius."""
    if radius_deg == 0 or most == 1:
        return np.zeros((1, 2))
    spacing_deg = min(spacing_deg, radius_deg)
    while True:
        reach = int(2 * radius_deg / spacing_deg) + 1
        i, j = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
        points = spacing_deg * np.stack([i + j / 2, j * np.sqrt(3) / 2], axis=-1)
        points = points[np.hypot(*points.T) <= radius_deg * (1 + 1e-9)]
        if len(points) <= most:
            return points
        spacing_deg *= 1.05


def sample_path(
    rng: np.random.Generator,
    room: Room,
    array_m: np.ndarray,
    subsources: SubSources,
    events: EventsConfig,
    duration_s: float,
    others_m: Sequence[np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Return key times [P] in s and centre positions [P, 3] in m of a source.

    A still source has one position, a moving one walks straight on at constant speed and stops where its way
    ends. Of several random ways, the first that keeps 0.5 m from the array and 1 m from the other sources
    (`others_m`, arrays [n, 3]) is taken, or else the one that comes closest to doing so. The distance is
    limited so that every sub-source lies within the room, which may bend a way that cannot be kept straight.
    """
    moving = rng.random() < events.moving_probability
    speed_m_per_s = rng.uniform(*events.speed_range_m_per_s) if moving else 0.0
    interval_s = events.response_interval_s
    times_s = interval_s * np.arange(int(np.ceil(duration_s / interval_s)) + 1) if moving else np.zeros(1)
    best, best_margin_m = None, -np.inf
    for _ in range(_ATTEMPTS):
        ends_m = rng.uniform(SOURCE_TO_WALL_M, room.sides_m - SOURCE_TO_WALL_M, size=(2, 3))
        start_m, goal_m = _keep_inside(ends_m, room, array_m, subsources)
        way_m = np.linalg.norm(goal_m - start_m)
        walked = np.minimum(speed_m_per_s * times_s / max(way_m, 1e-9), 1)
        straight_m = start_m + walked[:, None] * (goal_m - start_m)
        path_m = _keep_inside(straight_m, room, array_m, subsources)
        margin_m = min(
            _nearest(path_m, array_m[None]) - SOURCE_TO_ARRAY_M,
            *(_nearest(path_m, other) - SOURCE_TO_SOURCE_M for other in others_m),
            _BENT_M - np.abs(path_m - straight_m).max(),
            0.0,
        )
        if margin_m > best_margin_m:
            best, best_margin_m = path_m, margin_m
        if margin_m >= 0:
            break
    return np.round(times_s, 4), np.round(best, 4)


def _nearest(path_m: np.ndarray, points_m: np.ndarray) -> float:
    return float(np.linalg.norm(path_m[:, None] - points_m, axis=-1).min())


def _keep_inside(path_m, room: Room, array_m: np.ndarray, subsources: SubSources) -> np.ndarray:
    """Return the path [P, 3] drawn towards the array until every sub-source is 0.1 m within the room."""
    relative = path_m - array_m
    distance = np.linalg.norm(relative, axis=-1, keepdims=True)
    centre = relative / np.maximum(distance, 1e-9)
    reach = _distance_to_walls(array_m, subsources.directions(centre), room).min(axis=-1, keepdims=True)
    return array_m + np.minimum(distance, reach) * centre


def _distance_to_walls(start_m: np.ndarray, directions: np.ndarray, room: Room) -> np.ndarray:
    """Return how far one can go from a point within the room until 0.1 m from a wall."""
    wall = np.where(directions > 0, room.sides_m - SOURCE_TO_WALL_M, SOURCE_TO_WALL_M)
    with np.errstate(divide="ignore"):
        steps = np.where(directions == 0, np.inf, (wall - start_m) / directions)
    return steps.min(axis=-1)
