"""Pairing labels with predictions of the same class by direction, as the April evaluator does."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from sai_bench.metrics.strongest_point import LARGEST_ANGLE_DEG
from sai_bench.sphere import COLUMNS, elevation_deg

_FORBIDDEN_DEG = np.float32(1000)


def official_angles_deg(points: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return the great-circle angle [P] in degrees of each pair, in the evaluator's float32.

    Args:
        points: [n, 2] rows of (x, y).
        pairs: [P, 2] indices of points.
    """
    azimuth = np.radians(points[:, 0] / COLUMNS * 360 - 180).astype(np.float32)
    elevation = np.radians(elevation_deg(points[:, 1])).astype(np.float32)
    cosine = np.cos(elevation)
    a, b = pairs.T
    haversine = np.sin((elevation[a] - elevation[b]) / 2) ** 2 + (
        cosine[a] * cosine[b] * np.sin((azimuth[a] - azimuth[b]) / 2) ** 2
    )
    return np.degrees(2 * np.arcsin(np.sqrt(np.clip(haversine, 0, 1))))


def choose_pairs(
    pairs: np.ndarray, angle: np.ndarray, frame: np.ndarray, labels: np.ndarray, predictions: np.ndarray
) -> np.ndarray:
    """Return which pairs to keep, [P] bool, so that none shares a label or a prediction with another.

    In each frame as many pairs as possible, and of those choices the one with the smallest sum of angles.
    Ties fall as in the evaluator: they depend on all labels and predictions of the frame.

    Args:
        pairs: [P, 2] indices of a label and a prediction of one class and frame.
        angle: [P] float32 in degrees; pairs farther apart than `LARGEST_ANGLE_DEG` are never kept.
        frame: [n] of each label and prediction.
        labels: indices of all labels that take part, in file order.
        predictions: likewise.
    """
    kept = angle <= LARGEST_ANGLE_DEG
    times = np.bincount(pairs[kept].ravel(), minlength=len(frame))
    # Elsewhere nobody has a choice.
    contested = np.unique(frame[pairs[kept & (times[pairs] > 1).any(axis=1), 0]])
    near = np.flatnonzero(kept & np.isin(frame[pairs[:, 0]], contested))
    groups = zip(
        _by_frame(labels, frame, contested),
        _by_frame(predictions, frame, contested),
        _by_frame(near, frame[pairs[:, 0]], contested),
        strict=True,
    )
    for own_labels, own_predictions, own in groups:
        rows = np.searchsorted(own_labels, pairs[own, 0])
        columns = np.searchsorted(own_predictions, pairs[own, 1])
        cost = np.full((len(own_labels), len(own_predictions)), _FORBIDDEN_DEG)
        cost[rows, columns] = angle[own]
        assigned = np.zeros(cost.shape, dtype=bool)
        assigned[linear_sum_assignment(cost)] = True
        kept[own] = assigned[rows, columns]
    return kept


def _by_frame(indices: np.ndarray, frame: np.ndarray, wanted: np.ndarray) -> list[np.ndarray]:
    """Return those of the indices that belong to each wanted frame, in order."""
    indices = indices[np.argsort(frame[indices], kind="stable")]
    edges = [np.searchsorted(frame[indices], wanted, side=side) for side in ("left", "right")]
    return [indices[start:stop] for start, stop in zip(*edges, strict=True)]
