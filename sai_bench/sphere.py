"""The conventions of the project: the image of the sphere, its grids, label frames, classes and arrays.

Image: 180 rows x 360 columns. A point in a DCASE file is `[x, y, energy]`, x the column, y the row.
Azimuth is counter-clockwise, + to the left; x axis front, y axis left, z axis up. The image is periodic in
azimuth (column 360 is column 0) and inclusive in elevation (row 0 is +90, row 179 is -90 degrees).

The April evaluator and the published baseline read azimuth as x - 180 (mirrored): harmless for scores,
wrong for pictures and for audio. Nothing here does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from sai_bench.grid import (  # noqa: F401 - whoever needs directions needs these, too
    CLASS_NAMES,
    CLASSES,
    COLUMNS,
    FRAME_S,
    FRAMES_PER_S,
    ROWS,
    check_grid,
)

SPEED_OF_SOUND_M_PER_S = 343.0


def azimuth_deg(x):
    """Return the azimuth in degrees of column `x` (any shape, fractions allowed): 180 - x."""
    return 180.0 - np.asarray(x, dtype=float)


def elevation_deg(y):
    """Return the elevation in degrees of row `y`: 90 - y * 180/179."""
    return 90.0 - np.asarray(y, dtype=float) * 180.0 / (ROWS - 1)


def column(azimuth):
    """Return the (fractional) column in [0, 360) of an azimuth in degrees."""
    return np.mod(180.0 - np.asarray(azimuth, dtype=float), COLUMNS)


def row(elevation):
    """Return the (fractional) row in [0, 179] of an elevation in degrees."""
    return (90.0 - np.asarray(elevation, dtype=float)) * (ROWS - 1) / 180.0


def unit_vectors(azimuth, elevation):
    """Return unit vectors [..., 3] (front, left, up) for azimuth and elevation in degrees (broadcast)."""
    azimuth, elevation = np.broadcast_arrays(np.radians(azimuth), np.radians(elevation))
    return np.stack(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ],
        axis=-1,
    )


def directions_of(vectors):
    """Return (azimuth, elevation) in degrees of vectors [..., 3]; azimuth in (-180, 180]."""
    vectors = np.asarray(vectors, dtype=float)
    azimuth = np.degrees(np.arctan2(vectors[..., 1], vectors[..., 0]))
    elevation = np.degrees(np.arctan2(vectors[..., 2], np.hypot(vectors[..., 0], vectors[..., 1])))
    return azimuth, elevation


def angle_between_deg(azimuth_a, elevation_a, azimuth_b, elevation_b):
    """Return the great-circle angle in degrees between two directions (broadcast)."""
    a, b = unit_vectors(azimuth_a, elevation_a), unit_vectors(azimuth_b, elevation_b)
    # atan2 of cross and dot keeps its precision at 0 and 180 degrees, where arccos loses it.
    cross = np.linalg.norm(np.cross(a, b), axis=-1)
    return np.degrees(np.arctan2(cross, np.sum(a * b, axis=-1)))


def grid_directions(height: int, width: int):
    """Return (azimuth [width], elevation [height]) in degrees of the cell centres of a coarse grid.

    Cell (i, j) covers a block of (180/height) x (360/width) pixels; its centre is the mean pixel position.
    """
    check_grid(height, width)
    block_rows, block_columns = ROWS // height, COLUMNS // width
    y = np.arange(height) * block_rows + (block_rows - 1) / 2
    x = np.arange(width) * block_columns + (block_columns - 1) / 2
    return azimuth_deg(x), elevation_deg(y)


def frame_count(samples: int, sample_rate_hz: int) -> int:
    """Return how many label frames a recording has; frame k starts at k/10 s, the last may be partial."""
    # A hundredth of a frame of slack: 48001 samples at 24 kHz are 2 s, not 2 s and a frame.
    return max(0, math.ceil(samples * FRAMES_PER_S / sample_rate_hz - 0.01))


# ---------------------------------------------------------------------------------------------------------- #
# Microphone arrays

EM32_RADIUS_M = 0.042
_EM32_COLATITUDE_AZIMUTH_DEG = (
    (69, 0), (90, 32), (111, 0), (90, 328), (32, 0), (55, 45), (90, 69), (125, 45),
    (148, 0), (125, 315), (90, 291), (55, 315), (21, 91), (58, 90), (121, 90), (159, 89),
    (69, 180), (90, 212), (111, 180), (90, 148), (32, 180), (55, 225), (90, 249), (125, 225),
    (148, 180), (125, 135), (90, 111), (55, 135), (21, 269), (58, 270), (122, 270), (159, 271),
)  # fmt: skip

MIC_CAPSULES_BY_YAW_DEG = {
    0: (6, 10, 26, 22),
    90: (28, 8, 24, 12),
    180: (22, 26, 10, 6),
    270: (12, 24, 8, 28),
}
"""1-based em32 capsules that form the 4-channel MIC array when it is turned by a yaw angle (report 3.1.2).

Capsules at azimuth + yaw see a source at azimuth - yaw, so labels shift to column x + yaw (mod 360).
"""

Baffle = Literal["open", "rigid", "ambisonic"]


@dataclass(frozen=True)
class ArrayGeometry:
    """Where the capsules of a recording are.

    Attributes:
        name: `mic` (4 capsules), `em32` (32 capsules), `foa` or a data set's own name for its array.
        positions_m: [M, 3] capsule positions (front, left, up) in metres from the array's centre.
        baffle: `open` (free field: capsules do not disturb the field) or `rigid` (capsules on a rigid sphere
            whose radius is their distance from the centre). `ambisonic`: the channels are no capsules but
            ambisonic components in the array's centre; what steers by positions cannot use them.
    """

    name: str
    positions_m: np.ndarray = field(repr=False)
    baffle: Baffle = "rigid"

    def __post_init__(self):
        positions = np.array(self.positions_m, dtype=float)
        if positions.ndim != 2 or positions.shape[1] != 3 or not np.isfinite(positions).all():
            raise ValueError(f"positions_m must be finite [M, 3], got shape {positions.shape}")
        positions.setflags(write=False)
        object.__setattr__(self, "positions_m", positions)

    @property
    def microphones(self) -> int:
        """Return the number of capsules M."""
        return len(self.positions_m)

    def subset(self, name: str, capsules: tuple[int, ...]) -> ArrayGeometry:
        """Return the array of the given 1-based capsules, in that order."""
        return ArrayGeometry(name, self.positions_m[np.array(capsules) - 1], self.baffle)


def em32_array(baffle: Baffle = "rigid") -> ArrayGeometry:
    """Return the 32-capsule array (radius 4.2 cm)."""
    colatitude, azimuth = np.array(_EM32_COLATITUDE_AZIMUTH_DEG, dtype=float).T
    return ArrayGeometry("em32", EM32_RADIUS_M * unit_vectors(azimuth, 90 - colatitude), baffle)


def mic_array(baffle: Baffle = "rigid") -> ArrayGeometry:
    """Return the 4-capsule MIC array: capsules 6, 10, 26, 22 of the em32."""
    return em32_array(baffle).subset("mic", MIC_CAPSULES_BY_YAW_DEG[0])


def foa_array() -> ArrayGeometry:
    """Return what stands for first-order ambisonics: the channels W, Y, Z, X, all in the centre."""
    return ArrayGeometry("foa", np.zeros((4, 3)), "ambisonic")


def array_for_channels(channels: int, baffle: Baffle = "rigid") -> ArrayGeometry | None:
    """Return the array that a channel count stands for (4: MIC, 32: em32), or None."""
    return {4: mic_array, 32: em32_array}.get(channels, lambda baffle: None)(baffle)
