"""Average precision under resampling: recordings count a whole number of times each, thousands of times over.

Sorting and matching do not depend on how often a recording counts, so they are done once. What remains for
each resample is one pass over the detections of a class and one over its hits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numba
import numpy as np

from sai_bench.compilation import compiled
from sai_bench.metrics.average_precision import RECALL_LEVELS


class WeightedPrecision:
    """The interpolated average precision of one class as a function of the recordings' weights."""

    def __init__(
        self, scores: np.ndarray, matched: np.ndarray, recording: np.ndarray, single_precision: bool = False
    ):
        """Rank the detections.

        Args:
            scores: [n] of the class, recording after recording.
            matched: [n, T] bool, whether each is a hit at each threshold.
            recording: [n] integers, which recording each is of.
            single_precision: whether recall and precision are rounded to float32 before they are used.
        """
        self._single_precision = single_precision
        order = np.argsort(-scores, kind="stable")
        self._recording = recording[order].astype(np.int32)
        hits = matched[order]
        positions = [np.flatnonzero(hits[:, t]) for t in range(matched.shape[1])]
        self._positions = np.concatenate([*positions, np.zeros(0, dtype=np.int64)]).astype(np.int64)
        self._starts = np.cumsum([0, *map(len, positions)])

    def __call__(self, weights: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the average precision of each resample, averaged over 101 recall levels.

        A recording with weight w counts as w recordings next to each other. The result is that of
        `sai_bench.metrics.average_precision.precision_at_recall`, except where detections of one recording
        have equal scores: here the copies of the first rank before those of the second. (In single precision:
        of `average_precision` there, but for the rounding of its sum.)

        Args:
            weights: [R, recordings] integers, how often each recording counts.
            labels: [R] integers, labels of the class in each resample.

        Returns:
            [R, T], NaN where a resample has no label.
        """
        result = np.full((len(weights), len(self._starts) - 1), np.nan)
        _average_precision(
            np.ascontiguousarray(weights, dtype=np.int64),
            np.ascontiguousarray(labels, dtype=np.int64),
            self._recording,
            self._positions,
            self._starts,
            RECALL_LEVELS,
            self._single_precision,
            result,
        )
        return result


def macro_precision(
    recordings: Sequence[Mapping[str, np.ndarray]],
    hits: Sequence[np.ndarray],
    weights: np.ndarray,
    single_precision: bool = False,
) -> np.ndarray:
    """Return the mean average precision over the classes with labels, in each resample.

    Args:
        recordings: each with `labels_per_class` [K] and, of its n detections, `detection_class` and
            `detection_score`.
        hits: for each recording [n, T] bool, whether each detection is a hit at each threshold.
        weights: [R, recordings] integers.
        single_precision: as in `WeightedPrecision`.

    Returns:
        [R, T], NaN where a resample has no label.
    """
    labels = weights @ np.stack([recording["labels_per_class"] for recording in recordings])  # [R, K]
    category, score = (
        np.concatenate([recording[name] for recording in recordings])
        for name in ("detection_class", "detection_score")
    )
    matched = np.concatenate(hits)
    recording_of = np.repeat(np.arange(len(recordings)), [len(own) for own in hits])
    precision = []
    for k in np.flatnonzero(labels.any(axis=0)):
        own = category == k
        ranked = WeightedPrecision(score[own], matched[own], recording_of[own], single_precision)
        precision.append(ranked(weights, labels[:, k]))
    if not precision:
        return np.full((len(weights), matched.shape[1]), np.nan)
    return mean_where_defined(precision)


def mean_where_defined(values: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Return the mean over the first axis of what is not NaN, NaN where nothing is."""
    values = np.asarray(values, dtype=float)
    defined = np.count_nonzero(~np.isnan(values), axis=0)
    total = np.nansum(values, axis=0)
    return np.divide(total, defined, out=np.full(total.shape, np.nan), where=defined > 0)


@numba.njit(inline="always")
def _share(part, whole, single_precision):
    if single_precision:
        return np.float64(np.float32(part) / np.float32(whole))
    return part / whole


@compiled(
    "void(int64[:, ::1], int64[::1], int32[::1], int64[::1], int64[::1], float64[::1], "
    "boolean, float64[:, ::1])"
)
def _average_precision(
    weights, labels, recording, positions, starts, recall_levels, single_precision, result
):
    ranked = np.empty(len(recording), np.int64)
    for r in range(len(weights)):
        if labels[r] == 0:
            continue
        count = 0
        for i in range(len(recording)):
            count += weights[r, recording[i]]
            ranked[i] = count
        for t in range(len(starts) - 1):
            own = positions[starts[t] : starts[t + 1]]
            hits = 0
            for position in own:
                hits += weights[r, recording[position]]
            # From the last hit to the first: the best precision so far is that at this recall or any higher.
            # Between two hits precision only falls, so no other detection matters.
            best = total = 0.0
            level = len(recall_levels) - 1
            while level > 0 and recall_levels[level] > _share(hits, labels[r], single_precision):
                level -= 1
            for k in range(len(own) - 1, -1, -1):
                weight = weights[r, recording[own[k]]]
                if weight == 0:
                    continue
                best = max(best, _share(hits, ranked[own[k]], single_precision))
                hits -= weight
                while level > 0 and recall_levels[level] > _share(hits, labels[r], single_precision):
                    total += best
                    level -= 1
            result[r, t] = (total + best) / len(recall_levels)  # recall 0 is reached at once
