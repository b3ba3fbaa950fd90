"""Average precision of a ranking of detections in the June evaluator's float32, and its bounds under ties."""

from __future__ import annotations

from typing import Literal

import numpy as np

RECALL_LEVELS = np.linspace(0.0, 1.0, 101)
_NOTHING_ELSE = np.float32(1e-9)

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


def average_precision(hits: np.ndarray, labels: int, numpy_1: bool = False) -> float:
    """Return the 101-level average precision of ranked detections.

    Args:
        hits: [n] bool in ranking order, whether a detection is a true positive.
        labels: how many labels there are, at least 1.
        numpy_1: compare recalls in float32 and sum in float64, as the evaluator did under NumPy 1.
    """
    if not len(hits):
        return 0.0
    true = np.cumsum(hits, dtype=np.float32)
    false = np.cumsum(~hits, dtype=np.float32)
    recall = true / np.float32(labels)
    precision = true / (true + false + _NOTHING_ELSE)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    levels = RECALL_LEVELS.astype(np.float32) if numpy_1 else RECALL_LEVELS
    reached = np.searchsorted(recall if numpy_1 else recall.astype(float), levels, side="left")
    reached = reached[reached < len(hits)]
    if numpy_1:
        return float(best_from_here[reached].sum(dtype=float) / len(levels))
    # cumsum adds one after the other, sum does not.
    total = np.cumsum(best_from_here[reached], dtype=np.float32)[-1] if len(reached) else np.float32(0)
    return float(total / np.float32(len(levels)))


def tied(scores: np.ndarray) -> int:
    """Return how many detections share their score with another; all NaN are alike."""
    _, counts = np.unique(scores, return_counts=True)
    return int(counts[counts > 1].sum())
