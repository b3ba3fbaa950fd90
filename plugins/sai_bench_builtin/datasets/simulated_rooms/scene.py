"""What a scene is made of: plain data that the renderer and the labels both follow, stored in the manifest.

Room coordinates in metres have their origin in a corner. The array's own front, left and up are the room's
x, y and z axes turned by the yaw angle; labels are relative to the array.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sai_bench import sphere


@dataclass(frozen=True)
class Room:
    """A shoebox room.

    Attributes:
        name: such as `room5`.
        sides_m: [3] length, width, height.
        absorption: energy absorption of all walls.
        image_source_order: highest number of reflections.
        image_displacement_m: largest random shift of a reflection along each axis.
        displacement_seed: seed of those shifts.
    """

    name: str
    sides_m: np.ndarray
    absorption: float
    image_source_order: int
    image_displacement_m: float
    displacement_seed: int


@dataclass(frozen=True)
class SubSources:
    """The points of an extended source, relative to its centre.

    Attributes:
        offsets_deg: [S, 2] in the plane that touches the sphere at the centre (to the left, up).
        gains: [S] amplitudes relative to each other; the whole is rendered as loud as a point source.
        delays_s: [S].
    """

    offsets_deg: np.ndarray
    gains: np.ndarray
    delays_s: np.ndarray

    def directions(self, centre: np.ndarray) -> np.ndarray:
        """Return the unit vectors [..., S, 3] of the points when the centre is at unit vector [..., 3]."""
        left = np.stack([-centre[..., 1], centre[..., 0], np.zeros_like(centre[..., 0])], axis=-1)
        length = np.linalg.norm(left, axis=-1, keepdims=True)
        # Straight up or down there is no "left"; any tangent will do.
        left = np.where(length > 1e-9, left / np.maximum(length, 1e-9), [0.0, 1.0, 0.0])
        up = np.cross(centre, left)
        angle = np.radians(np.hypot(*self.offsets_deg.T))
        bearing = np.arctan2(self.offsets_deg[:, 1], self.offsets_deg[:, 0])
        aside = np.cos(bearing)[:, None] * left[..., None, :] + np.sin(bearing)[:, None] * up[..., None, :]
        return np.cos(angle)[:, None] * centre[..., None, :] + np.sin(angle)[:, None] * aside


@dataclass(frozen=True)
class Event:
    """One sound event.

    Attributes:
        category: class 0 ... 12.
        variation: seed of its dry sound.
        onset_s: start in the recording.
        duration_s: length of its dry sound.
        radius_deg: angular radius of the source.
        subsources: its points.
        times_s: [P] key times from the onset; one for a still source.
        positions_m: [P, 3] where the centre is at the key times, in room coordinates.
    """

    category: int
    variation: int
    onset_s: float
    duration_s: float
    radius_deg: float
    subsources: SubSources
    times_s: np.ndarray
    positions_m: np.ndarray

    @property
    def moving(self) -> bool:
        """Return whether the source changes its place."""
        return len(self.times_s) > 1

    def position_at(self, time_s) -> np.ndarray:
        """Return the centre [..., 3] in room coordinates at times after the onset (linear between keys)."""
        return np.stack([np.interp(time_s, self.times_s, axis) for axis in self.positions_m.T], axis=-1)


@dataclass(frozen=True)
class Scene:
    """Everything that determines a recording, besides the sample rate and the array.

    Attributes:
        name: recording name.
        split: its split.
        duration_s: its length.
        room: where it takes place.
        array_position_m: [3] centre of the array in room coordinates.
        array_yaw_deg: how far the array's front is turned counter-clockwise from the room's x axis.
        events: sorted by onset.
        snr_db: level of the sources over the noise.
        noise_seed: seed of the noise.
    """

    name: str
    split: str
    duration_s: float
    room: Room
    array_position_m: np.ndarray
    array_yaw_deg: float
    events: tuple[Event, ...]
    snr_db: float
    noise_seed: int

    def to_room(self, vectors: np.ndarray) -> np.ndarray:
        """Return vectors [..., 3] given in the array's axes, in the room's axes (a rotation)."""
        return _turn(vectors, self.array_yaw_deg)

    def seen_from_array(self, positions_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return unit vectors [..., 3] in the array's axes and distances [...] of room positions."""
        relative = _turn(positions_m - self.array_position_m, -self.array_yaw_deg)
        distance = np.linalg.norm(relative, axis=-1)
        return relative / distance[..., None], distance

    def subsource_positions(self, event: Event, centres_m: np.ndarray) -> np.ndarray:
        """Return where the sub-sources [..., S, 3] are when the event's centre is at [..., 3] (room)."""
        centre, distance = self.seen_from_array(centres_m)
        directions = self.to_room(event.subsources.directions(centre))
        return self.array_position_m + distance[..., None, None] * directions

    def trajectory(self, event: Event) -> np.ndarray:
        """Return [P, 4] rows: time in the recording in s, azimuth and elevation in degrees, distance in m."""
        centre, distance = self.seen_from_array(event.positions_m)
        azimuth, elevation = sphere.directions_of(centre)
        return np.stack([event.onset_s + event.times_s, azimuth, elevation, distance], axis=-1)


def _turn(vectors: np.ndarray, yaw_deg: float) -> np.ndarray:
    cos, sin = np.cos(np.radians(yaw_deg)), np.sin(np.radians(yaw_deg))
    vectors = np.asarray(vectors, dtype=float)
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.stack([cos * x - sin * y, sin * x + cos * y, z], axis=-1)
