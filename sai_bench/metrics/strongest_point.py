"""Where an annotation points to: its strongest point, for the April evaluator and the diagnostics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sai_bench.compilation import compiled
from sai_bench.segmentation import points_of
from sai_bench.sphere import azimuth_deg, elevation_deg, unit_vectors

if TYPE_CHECKING:
    from sai_bench.predictions import Annotation

LARGEST_ANGLE_DEG = 20.0
"""A label and a prediction that point farther apart than this do not belong together."""


@compiled("float64[:, ::1](float64[:, ::1], int64[::1])")
def strongest_of_sets(points, starts):
    """Return the first point with the largest positive energy of each point set [n, 3]; zeros: none.

    Args:
        points: [P, 3] rows of (x, y, energy), set after set.
        starts: [n + 1], where those of each set start.
    """
    strongest = np.zeros((len(starts) - 1, 3))
    for index in range(len(strongest)):
        for point in range(starts[index], starts[index + 1]):
            if points[point, 2] > strongest[index, 2]:
                for k in range(3):  # as one assignment it would take seconds to compile
                    strongest[index, k] = points[point, k]
    return strongest


def strongest_points(annotations: Sequence[Annotation]) -> np.ndarray:
    """Return (x, y) [n, 2] of the strongest point of each annotation.

    The first of equally strong points wins, as in the official evaluators. An annotation without any point
    of positive energy points nowhere: its row is NaN.
    """
    sets = [points_of(annotation.segmentation) for annotation in annotations]
    starts = np.cumsum([0, *map(len, sets)], dtype=np.int64)
    strongest = strongest_of_sets(np.concatenate([np.empty((0, 3)), *sets]), starts)
    return np.where(strongest[:, 2:] > 0, strongest[:, :2], np.nan)


def directions(annotations: Sequence[Annotation]) -> np.ndarray:
    """Return unit vectors [n, 3] towards the strongest points, NaN where there is none."""
    x, y = strongest_points(annotations).T
    return unit_vectors(azimuth_deg(x), elevation_deg(y))


def elevations_deg(annotations: Sequence[Annotation]) -> np.ndarray:
    """Return the elevation [n] of the strongest points in degrees, NaN where there is none."""
    return elevation_deg(strongest_points(annotations)[:, 1])


def angles_deg(directions_a: np.ndarray, directions_b: np.ndarray) -> np.ndarray:
    """Return great-circle angles [..., A, B] in degrees between unit vectors [..., A, 3] and [..., B, 3]."""
    apart = directions_a[..., :, None, :] - directions_b[..., None, :, :]
    half_chord = np.sqrt(np.einsum("...i,...i->...", apart, apart)) / 2
    return np.degrees(2 * np.arcsin(np.minimum(half_chord, 1.0)))
