"""The April metric's headline for many resamples of the recordings at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sai_bench.metrics.diagnosing.weighted_precision import macro_precision

_AP50 = 0


def resampled_headline(
    recordings: Sequence[Mapping[str, np.ndarray]], weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Return `map`, `ap50` and `pearson` [R] of weighted recordings.

    Resamples with labels and no predictions count as 0, where the evaluator gives no number: the system found
    nothing in them, and intervals over the others alone would be too high. The evaluator's -1 (predictions
    but no label) is NaN: it is no measurement.

    Args:
        recordings: of the metric's `score_recording`.
        weights: [R, recordings] integers.
    """
    precision = macro_precision(recordings, [r["detection_matched"] for r in recordings], weights)
    return {
        "map": precision.mean(axis=1),
        "ap50": precision[:, _AP50],
        "pearson": _mean_over_pairs([recording["correlation"] for recording in recordings], weights),
    }


def _mean_over_pairs(values: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
    pairs = weights @ np.array([len(own) for own in values])
    total = weights @ np.array([own.sum() for own in values])
    return np.divide(total, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
