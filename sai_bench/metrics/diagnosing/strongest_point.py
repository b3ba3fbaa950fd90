"""Where an annotation points to: the direction of its strongest point, for all location diagnostics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sai_bench.segmentation import points_of
from sai_bench.sphere import azimuth_deg, elevation_deg, unit_vectors

if TYPE_CHECKING:
    from sai_bench.predictions import Annotation


def strongest_points(annotations: Sequence[Annotation]) -> np.ndarray:
    """Return (x, y) [n, 2] of the strongest point of each annotation.

    The first of equally strong points wins, as in the official evaluators. An annotation without any point
    of positive energy points nowhere: its row is NaN.
    """
    points = [_strongest_point(annotation) for annotation in annotations]
    return np.array(points, dtype=float).reshape(-1, 2)


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


def _strongest_point(annotation: Annotation) -> tuple[float, float]:
    points = points_of(annotation.segmentation)
    audible = points[points[:, 2] > 0]
    if not len(audible):
        return math.nan, math.nan
    x, y, _ = audible[audible[:, 2].argmax()]
    return x, y
