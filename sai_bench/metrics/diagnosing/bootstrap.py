"""Confidence intervals of a metric's headline by resampling recordings.

Percentile bootstrap (Efron, "Bootstrap methods: another look at the jackknife", 1979): recordings are drawn
with replacement, as many as there are, the metric is combined anew each time, and the middle 95% of its
values are the interval. It says how much the number would vary with *other recordings of the same kind*, no
more: not with another training seed, nor with other rooms if all recordings share a few. With fewer than some
twenty recordings, or a metric of which few recordings decide, it is too narrow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sai_bench.errors import ContractError
from sai_bench.metrics.diagnosing.diagnostics import headline_numbers

if TYPE_CHECKING:
    from sai_bench.interfaces import Metric

Parts = Sequence[Mapping[str, np.ndarray]]


def bootstrap_interval(
    metric: Metric, parts: Parts, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, dict[str, float | int | None]]:
    """Return the confidence interval of each headline number.

    Args:
        metric: the metric.
        parts: of its `score_recording`, one per recording.
        resamples: how often to draw.
        seed: equal seeds and numbers of recordings give equal draws.
        level: probability that the interval should cover.

    Returns:
        name -> `value` (of the recordings as they are), `low`, `high` (None if no resample has a value) and
        `undefined` (how many resamples have none, such as no label of any class; they are left out).

    Raises:
        ValueError: no recordings, no resamples or a level outside 0 ... 1.
        ContractError: the metric returned something else than numbers.
    """
    weights = draw_weights(len(parts), resamples, seed)
    values = headline_numbers(metric, parts)
    drawn = resampled_headline(metric, parts, weights)
    return {name: _interval(value, drawn[name], level) for name, value in values.items()}


def bootstrap_difference(
    metric: Metric,
    parts_a: Parts,
    parts_b: Parts,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, dict[str, float | int | None]]:
    """Return the confidence interval of a - b for two systems on the same recordings.

    Both are resampled alike (paired), so what makes a recording hard for both cancels out. An interval
    without 0 says that the difference is no accident of the choice of recordings.

    Args:
        metric: the metric.
        parts_a: of one system, one per recording.
        parts_b: of the other, for the same recordings in the same order.
        resamples: how often to draw.
        seed: as in `bootstrap_interval`.
        level: probability that the interval should cover.

    Returns:
        As `bootstrap_interval`, and `share_above_zero`: in how many of the resamples a is ahead of b, ties
        counted half (0 ... 1, None if no resample has a value).

    Raises:
        ValueError: the systems have different numbers of recordings; otherwise as `bootstrap_interval`.
        ContractError: the metric returned something else than numbers.
    """
    if len(parts_a) != len(parts_b):
        raise ValueError(
            f"Got {len(parts_a)} and {len(parts_b)} recordings. Expected the same recordings of both systems."
        )
    weights = draw_weights(len(parts_a), resamples, seed)
    values_a, values_b = (headline_numbers(metric, parts) for parts in (parts_a, parts_b))
    drawn_a, drawn_b = (resampled_headline(metric, parts, weights) for parts in (parts_a, parts_b))
    result = {}
    for name in values_a:
        both = values_a[name] is not None and values_b.get(name) is not None
        difference = drawn_a[name] - drawn_b[name]
        result[name] = {
            **_interval(values_a[name] - values_b[name] if both else None, difference, level),
            "share_above_zero": _share_above_zero(difference),
        }
    return result


def draw_weights(recordings: int, resamples: int, seed: int) -> np.ndarray:
    """Return how often each recording is drawn, [resamples, recordings]; each row sums to `recordings`.

    Raises:
        ValueError: there is nothing to draw.
    """
    if recordings < 1 or resamples < 1:
        raise ValueError(
            f"Got {recordings} recordings and {resamples} resamples. Expected one or more of both."
        )
    rng = np.random.default_rng(seed)
    return rng.multinomial(recordings, np.full(recordings, 1 / recordings), size=resamples)


def resampled_headline(metric: Metric, parts: Parts, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return the headline [resamples] if each recording counts as often as its weight; NaN for None.

    Uses the metric's `combine_weighted` if it has one, else calls `combine` once per resample, with the parts
    repeated in place.

    Raises:
        ContractError: `combine_weighted` gave something else than the headline.
    """
    fast = metric.combine_weighted(parts, weights)
    if fast is not None:
        return _checked(fast, metric, len(weights))
    rows = []
    for weight in weights:
        repeated = [part for part, times in zip(parts, weight.tolist(), strict=True) for _ in range(times)]
        rows.append(headline_numbers(metric, repeated))
    return {name: np.array([row[name] for row in rows], dtype=float) for name in rows[0]}


def _checked(drawn: Mapping[str, np.ndarray], metric: Metric, resamples: int) -> dict[str, np.ndarray]:
    shapes = {name: np.shape(values) for name, values in drawn.items()}
    expected = dict.fromkeys(metric.headline, (resamples,))
    if shapes != expected:
        raise ContractError(
            f"{type(metric).__name__}.combine_weighted returned arrays of shapes {shapes}, expected its "
            f"headline: {expected}."
        )
    return {name: np.asarray(values, dtype=float) for name, values in drawn.items()}


def _interval(value: float | None, drawn: np.ndarray, level: float) -> dict[str, float | int | None]:
    if not 0 < level < 1:
        raise ValueError(f"level = {level}. Expected a probability between 0 and 1, such as 0.95.")
    defined = drawn[~np.isnan(drawn)]
    low = high = None
    if len(defined):
        low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return {"value": value, "low": low, "high": high, "undefined": len(drawn) - len(defined)}


def _share_above_zero(difference: np.ndarray) -> float | None:
    defined = difference[~np.isnan(difference)]
    return float(np.mean(np.sign(defined) + 1) / 2) if len(defined) else None
