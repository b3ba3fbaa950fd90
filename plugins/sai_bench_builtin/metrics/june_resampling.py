"""The June metric's headline for many resamples of the recordings at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sai_bench.metrics.diagnosing.weighted_precision import macro_precision, mean_where_defined
from sai_bench.metrics.june.summary import IOU_THRESHOLDS
from sai_bench.sphere import CLASSES

_AP50 = IOU_THRESHOLDS.index(0.50)


def resampled_headline(
    recordings: Sequence[Mapping[str, np.ndarray]], weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Return `macro_mAP`, `macro_AP50` and `macro_pearson_r` [R] of weighted recordings.

    Args:
        recordings: of the metric's `score_recording`.
        weights: [R, recordings] integers.
    """
    thresholds = np.array(IOU_THRESHOLDS, dtype=np.float32)
    hits = [recording["detection_iou"][:, None] >= thresholds for recording in recordings]
    precision = macro_precision(recordings, hits, weights, single_precision=True)
    return {
        "macro_mAP": precision.mean(axis=1),
        "macro_AP50": precision[:, _AP50],
        "macro_pearson_r": _macro_correlation(recordings, weights),
    }


def _macro_correlation(recordings: Sequence[Mapping[str, np.ndarray]], weights: np.ndarray) -> np.ndarray:
    """Return the mean over classes with labels and pairs of each class's mean correlation."""
    pairs, total = np.zeros((2, len(recordings), CLASSES))
    for index, recording in enumerate(recordings):
        correlation = recording["detection_correlation"]
        defined = ~np.isnan(correlation)
        category = recording["detection_class"][defined]
        pairs[index] = np.bincount(category, minlength=CLASSES)
        total[index] = np.bincount(category, weights=correlation[defined], minlength=CLASSES)
    pairs, total = weights @ pairs, weights @ total
    # A pair has a label, so classes without labels have no pairs either.
    means = np.divide(total, pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0)
    return mean_where_defined(means.T)
