"""The April metric's headline for many resamples of the recordings at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sai_bench.metrics.weighted_precision import macro_precision

_AP50 = 0


def resampled_headline(
    recordings: Sequence[Mapping[str, np.ndarray]], weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Return `map`, `ap50` and `pearson` [R] of weighted recordings.

    The evaluator's -1 (predictions but no label) is NaN here: it is no measurement.

    Args:
        recordings: of the metric's `score_recording`.
        weights: [R, recordings] integers.
    """
    precision = macro_precision(recordings, [r["detection_matched"] for r in recordings], weights)
    predictions = weights @ np.array([recording["predictions_per_class"].sum() for recording in recordings])
    precision[predictions == 0] = np.nan
    return {
        "map": precision.mean(axis=1),
        "ap50": precision[:, _AP50],
        "pearson": _mean_over_pairs([recording["correlation"] for recording in recordings], weights),
    }


def _mean_over_pairs(values: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
    pairs = weights @ np.array([len(own) for own in values])
    total = weights @ np.array([own.sum() for own in values])
    return np.divide(total, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
