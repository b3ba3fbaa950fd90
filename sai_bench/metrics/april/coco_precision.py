"""Average precision in the COCO manner: greedy matching per image, precision at 101 recall points per class.

Source: Lin et al., "Microsoft COCO: Common Objects in Context" (2014), and its reference evaluation code,
whose tie rules are kept: detections in descending score, ties in file order; of equally good labels the last
one wins.
"""

from __future__ import annotations

import numpy as np

from sai_bench.compilation import compiled

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_POINTS = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = 100
"""Detections of one class in one image beyond this many, the weakest, are left out."""


def match_detections(iou: np.ndarray, thresholds: np.ndarray = IOU_THRESHOLDS) -> np.ndarray:
    """Match the detections of one class in one image to its labels, separately at each IoU threshold.

    Args:
        iou: [D, G], detections in descending score.
        thresholds: [T].

    Returns:
        [D, T] bool, whether a detection found a label that was still free.
    """
    detections, labels = iou.shape
    starts = np.arange(detections + 1) * labels
    return match_pairs(starts, np.tile(np.arange(labels), detections), iou.ravel(), thresholds)


def match_pairs(
    starts: np.ndarray, label: np.ndarray, iou: np.ndarray, thresholds: np.ndarray = IOU_THRESHOLDS
) -> np.ndarray:
    """Match detections of many classes and images to labels, separately at each IoU threshold.

    Args:
        starts: [D + 1], where among the pairs those of each detection start; detections of one class and
            image in descending score.
        label: [P] of each pair, for each detection in file order.
        iou: [P] float64.
        thresholds: [T].

    Returns:
        [D, T] bool, whether a detection found a label that was still free.
    """
    matched = np.zeros((len(starts) - 1, len(thresholds)), dtype=bool)
    free = np.ones((label.max(initial=-1) + 1, len(thresholds)), dtype=bool)
    _match(starts, label, iou, thresholds, free, matched)
    return matched


@compiled("void(int64[::1], int64[::1], float64[::1], float64[::1], boolean[:, ::1], boolean[:, ::1])")
def _match(starts, label, iou, thresholds, free, matched):
    for d in range(len(matched)):
        for t in range(len(thresholds)):
            best, found = min(thresholds[t], 1 - 1e-10), -1
            for pair in range(starts[d], starts[d + 1]):
                if iou[pair] >= best and free[label[pair], t]:
                    best, found = iou[pair], label[pair]
            if found >= 0:
                free[found, t] = False
                matched[d, t] = True


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
