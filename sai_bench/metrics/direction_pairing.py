"""Pairing labels with predictions of the same class by direction, as the April evaluator does."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from sai_bench.sphere import COLUMNS, elevation_deg

LARGEST_ANGLE_DEG = 20.0
_FORBIDDEN_DEG = 1000.0


def loudest_point(points: np.ndarray) -> tuple[float, float]:
    """Return (x, y) of the first point with the largest positive energy, (0, 0) if there is none.

    Args:
        points: [n, 3] rows of (x, y, energy).
    """
    audible = points[points[:, 2] > 0]
    if not len(audible):
        return 0.0, 0.0
    x, y, _ = audible[audible[:, 2].argmax()]
    return float(x), float(y)


def pair_by_direction(
    label_points: np.ndarray,
    label_classes: np.ndarray,
    prediction_points: np.ndarray,
    prediction_classes: np.ndarray,
) -> list[tuple[int, int]]:
    """Pair the labels and predictions of one frame one to one.

    As many pairs of one class within 20 degrees as possible, and of those choices the one with the smallest
    sum of angles. Ties fall as in the evaluator: float32 angles, SciPy's assignment.

    Args:
        label_points: [G, 2] rows of (x, y).
        label_classes: [G].
        prediction_points: [D, 2].
        prediction_classes: [D].

    Returns:
        (label, prediction) indices in label order.
    """
    angle = _angles_deg(label_points, prediction_points)
    forbidden = (label_classes[:, None] != prediction_classes) | (angle > LARGEST_ANGLE_DEG)
    cost = np.where(forbidden, np.float32(_FORBIDDEN_DEG), angle)
    rows, columns = linear_sum_assignment(cost)
    kept = cost[rows, columns] <= LARGEST_ANGLE_DEG
    return list(zip(rows[kept].tolist(), columns[kept].tolist(), strict=True))


def _angles_deg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return great-circle angles [G, D] in degrees between points (x, y), in float32."""
    azimuth_a, azimuth_b = (np.radians(p[:, 0] / COLUMNS * 360 - 180).astype(np.float32) for p in (a, b))
    elevation_a, elevation_b = (np.radians(elevation_deg(p[:, 1])).astype(np.float32) for p in (a, b))
    haversine = np.sin((elevation_a[:, None] - elevation_b) / 2) ** 2 + (
        np.cos(elevation_a)[:, None] * np.cos(elevation_b) * np.sin((azimuth_a[:, None] - azimuth_b) / 2) ** 2
    )
    return np.degrees(2 * np.arcsin(np.sqrt(np.clip(haversine, 0, 1))))
