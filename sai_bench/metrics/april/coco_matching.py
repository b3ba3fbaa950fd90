"""Which detections find a label, in the COCO manner: greedily in each image, by IoU and in order of score.

Source: Lin et al., "Microsoft COCO: Common Objects in Context" (2014), and its reference evaluation code,
whose tie rules are kept: detections in descending score, ties in file order; of equally good labels the last
one wins.
"""

from __future__ import annotations

import numpy as np

from sai_bench.compilation import compiled

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
MAX_DETECTIONS = 100
"""Detections of one class in one image beyond this many, the weakest, are left out."""


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
