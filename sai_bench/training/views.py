"""Other ways to hear one recording: channels that form the same array again, turned or as a mirror image.

If turning or mirroring the sphere maps capsules of the recording onto the places of the heard array, their
channels are a recording by that very array of the turned or mirrored scene. Only maps that take pixels to
pixels are used: turns by whole columns, mirroring in azimuth, and flipping upside down. The figures of eight
of first-order ambisonics may also be mapped onto one another with the opposite sign.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sai_bench.sphere import COLUMNS, ROWS, ArrayGeometry, directions_of, unit_vectors

TOLERANCE_DEG = 1.5
"""How far a capsule may be from its place, seen from the centre. Published angles are whole degrees."""

_FOA_AXES = np.array([[0.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])


@dataclass(frozen=True)
class View:
    """Which channels to hear, and where the labels then are.

    Column x of a label goes to x + azimuth_shift, or to azimuth_shift - x if mirrored (modulo 360); row y
    stays, or goes to 179 - y if flipped.

    Attributes:
        channels: 0-based channels of the recording in the order of the heard array's capsules.
        azimuth_shift: in columns, 0 ... 359.
        mirrored: whether azimuths change their sign.
        flipped: whether elevations change their sign.
        negated: 0-based places among the chosen channels of those that change their sign.
    """

    channels: tuple[int, ...]
    azimuth_shift: int = 0
    mirrored: bool = False
    flipped: bool = False
    negated: tuple[int, ...] = ()

    @property
    def signs(self) -> np.ndarray:
        """Return what the chosen channels are multiplied by, [M, 1] float32."""
        signs = np.ones((len(self.channels), 1), np.float32)
        signs[list(self.negated)] = -1
        return signs

    @property
    def columns(self) -> np.ndarray:
        """Return the new column of each column, [360]."""
        x = np.arange(COLUMNS)
        return (self.azimuth_shift + (-x if self.mirrored else x)) % COLUMNS

    @property
    def rows(self) -> np.ndarray:
        """Return the new row of each row, [180]."""
        y = np.arange(ROWS)
        return ROWS - 1 - y if self.flipped else y


def views_of(
    recorded: ArrayGeometry, heard: ArrayGeometry, wanted: Literal["none", "yaw", "all"] = "all"
) -> tuple[View, ...]:
    """Return the views in which channels of a recording are as the heard array would have them.

    The first changes nothing but the choice of channels. From an em32, the MIC array has the four yaws of the
    report and, with mirror images, 16 views; from its own four channels two and eight; first-order ambisonics
    has four and 16.

    Args:
        recorded: the array of the recording.
        heard: the array that a system is given; some or all of the capsules of `recorded`.
        wanted: `none`: only the first; `yaw`: turns; `all`: mirror images, too.

    Raises:
        ValueError: the heard array is not part of the recorded one.
    """
    best: dict[tuple, tuple[float, View]] = {}
    for mirrored in (False, True) if wanted == "all" else (False,):
        for flipped in (False, True) if wanted == "all" else (False,):
            for shift in range(COLUMNS if wanted != "none" else 1):
                view, error_deg = _nearest(recorded, heard, shift, mirrored, flipped)
                if error_deg > TOLERANCE_DEG or len(set(view.channels)) < len(view.channels):
                    continue
                # Turns by a few columns more or less may find the same channels: the closest one counts.
                key = view.channels, view.negated, mirrored, flipped
                if key not in best or error_deg < best[key][0] - 1e-6:
                    best[key] = error_deg, view
    views = sorted(
        (view for _, view in best.values()), key=lambda v: (v.mirrored, v.flipped, v.azimuth_shift)
    )
    if not views or views[0].azimuth_shift or views[0].mirrored or views[0].flipped:
        raise ValueError(f"The {heard.name} array is not part of the {recorded.name} array.")
    return tuple(views)


def _nearest(
    recorded: ArrayGeometry, heard: ArrayGeometry, shift: int, mirrored: bool, flipped: bool
) -> tuple[View, float]:
    """Return the nearest channel for each heard one after a map of the sphere, and the largest error."""
    from_m, to_m = _positions(recorded), _positions(heard)
    azimuth, elevation = directions_of(from_m)
    # azimuth = 180 - column, so a shift to higher columns is a turn to lower azimuths, mirrored or not.
    moved = unit_vectors((-azimuth if mirrored else azimuth) - shift, -elevation if flipped else elevation)
    moved *= np.linalg.norm(from_m, axis=1, keepdims=True)
    distance_m = np.linalg.norm(to_m[:, None] - moved, axis=2)
    negated = np.zeros(len(to_m), bool)
    if heard.baffle == "ambisonic":
        opposite_m = np.linalg.norm(to_m[:, None] + moved, axis=2)
        negated = opposite_m.min(axis=1) < distance_m.min(axis=1)
        distance_m = np.minimum(distance_m, opposite_m)
    radius_m = max(float(np.linalg.norm(to_m, axis=1).max()), 1e-9)
    error_deg = math.degrees(float(distance_m.min(axis=1).max()) / radius_m)
    channels = tuple(distance_m.argmin(axis=1).tolist())
    return View(channels, shift, mirrored, flipped, tuple(np.flatnonzero(negated).tolist())), error_deg


def _positions(array: ArrayGeometry) -> np.ndarray:
    """Return where capsules are; of first-order ambisonics (W, Y, Z, X) where the components point to."""
    return _FOA_AXES if array.baffle == "ambisonic" else array.positions_m
