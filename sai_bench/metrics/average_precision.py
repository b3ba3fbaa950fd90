"""Average precision: the best precision at each of 101 recall levels or beyond, averaged over the levels.

Both evaluators take it, with different roundings, which are kept.

Source: Lin et al., "Microsoft COCO: Common Objects in Context" (2014), and its reference evaluation code.
"""

from __future__ import annotations

import numpy as np

RECALL_LEVELS = np.linspace(0.0, 1.0, 101)

_NOTHING_ELSE = np.float32(1e-9)


def precision_at_recall(scores: np.ndarray, matched: np.ndarray, labels: int) -> np.ndarray:
    """Return the interpolated precision of one class over all images, as COCO and the April evaluator do.

    Average precision is the mean over the recall levels.

    Args:
        scores: [n] of all detections that count, image after image.
        matched: [n, T] bool, which of them are hits at each threshold.
        labels: number of labels of the class, at least 1.

    Returns:
        [T, 101], 0 where a recall is never reached.
    """
    order = np.argsort(-scores, kind="stable")
    true_positives = np.cumsum(matched[order], axis=0, dtype=float)  # [n, T]
    detections = np.arange(1, len(scores) + 1)[:, None]
    precision = true_positives / (detections + np.spacing(1))
    # The best precision at this or any higher recall.
    precision = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    recall = true_positives / labels
    curves = np.zeros((matched.shape[1], len(RECALL_LEVELS)))
    for t in range(matched.shape[1]):
        reached = np.searchsorted(recall[:, t], RECALL_LEVELS, side="left")
        inside = reached < len(scores)
        curves[t, inside] = precision[reached[inside], t]
    return curves


def average_precision(hits: np.ndarray, labels: int, numpy_1: bool = False) -> float:
    """Return the average precision of ranked detections in the June evaluator's float32.

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
