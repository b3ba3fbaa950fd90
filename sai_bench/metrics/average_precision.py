"""Average precision in the COCO manner: greedy matching per image, precision at 101 recall points per class.

Source: Lin et al., "Microsoft COCO: Common Objects in Context" (2014), and its reference evaluation code,
whose tie rules are kept: detections in descending score, ties in file order; of equally good labels the last
one wins.
"""

from __future__ import annotations

import numpy as np

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_POINTS = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = 100
"""Detections of one class in one image beyond this many, the weakest, are left out."""


def mask_iou(detections: list[np.ndarray], labels: list[np.ndarray]) -> np.ndarray:
    """Return the intersection over union [D, G] of boolean masks; every pixel counts alike.

    No mask may be empty.
    """
    areas = [np.count_nonzero(mask) for mask in labels]
    iou = np.empty((len(detections), len(labels)))
    for d, detection in enumerate(detections):
        area = np.count_nonzero(detection)
        for g, label in enumerate(labels):
            common = np.count_nonzero(detection & label)
            iou[d, g] = common / (area + areas[g] - common)
    return iou


def strongest_first(scores: np.ndarray) -> np.ndarray:
    """Return the indices of the (at most 100) detections of an image that count, best score first."""
    return np.argsort(-scores, kind="stable")[:MAX_DETECTIONS]


def match_detections(iou: np.ndarray, thresholds: np.ndarray = IOU_THRESHOLDS) -> np.ndarray:
    """Match the detections of one class in one image to its labels, separately at each IoU threshold.

    Args:
        iou: [D, G], detections in descending score.
        thresholds: [T].

    Returns:
        [D, T] bool, whether a detection found a label that was still free.
    """
    detections, labels = iou.shape
    matched = np.zeros((detections, len(thresholds)), dtype=bool)
    needed = np.minimum(thresholds, 1 - 1e-10)[:, None]
    free = np.ones((len(thresholds), labels), dtype=bool)
    for d in np.flatnonzero((iou >= needed.min()).any(axis=1)):
        candidates = np.where(free & (iou[d] >= needed), iou[d], -1.0)  # [T, G]
        best = labels - 1 - candidates[:, ::-1].argmax(axis=1)
        matched[d] = candidates.max(axis=1) >= 0
        free[matched[d], best[matched[d]]] = False
    return matched


def precision_at_recall(scores: np.ndarray, matched: np.ndarray, labels: int) -> np.ndarray:
    """Return the interpolated precision of one class over all images.

    Args:
        scores: [n] of all detections that count, image after image.
        matched: [n, T] from `match_detections`, in the same order.
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
    curves = np.zeros((matched.shape[1], len(RECALL_POINTS)))
    for t in range(matched.shape[1]):
        reached = np.searchsorted(recall[:, t], RECALL_POINTS, side="left")
        inside = reached < len(scores)
        curves[t, inside] = precision[reached[inside], t]
    return curves
