"""How the June evaluator ranks detections by score, and how else those with equal scores might rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

TieOrder = Literal["official", "stable", "best", "worst"]
TIE_ORDERS: tuple[TieOrder, ...] = ("official", "stable", "best", "worst")


def ranking(scores: np.ndarray, iou: np.ndarray, ties: TieOrder = "official") -> np.ndarray:
    """Return the order of detections by descending score, NaN last.

    Args:
        scores: [n] float64.
        iou: [n] float32, negative for detections without a label.
        ties: what decides among equal scores: `official` NumPy's default sort, which is not stable and
            differs between processors and NumPy versions; `stable` the order given; `best` and `worst` the
            IoU, which bounds what any order can give at every threshold.
    """
    if ties == "official":
        return np.argsort(-scores)
    if ties == "stable":
        return np.argsort(-scores, kind="stable")
    return np.lexsort((-iou if ties == "best" else iou, -scores))


def tied(scores: np.ndarray | Sequence[float]) -> int:
    """Return how many detections share their score with another; all NaN are alike."""
    _, counts = np.unique(scores, return_counts=True)
    return int(counts[counts > 1].sum())
