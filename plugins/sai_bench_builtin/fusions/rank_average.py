"""Rank average: only the order of scores and of activities counts."""

from __future__ import annotations

import numpy as np

from sai_bench.interfaces import Fusion
from sai_bench_builtin.configs.fusion import RankAverageConfig


class RankAverage(Fusion):
    """Weighted average of ranks, R = (1 - w) rank(s_d) + w rank(p(c, t)) with w = weight.

    rank(x) is the share of the recording's n candidates below x, ties counted half: (below + equal / 2) / n,
    in (0, 1). With `scale: ranks`, s_f = R. With `scale: scores`, candidates are sorted by R and dealt the
    sorted detector scores. Candidates of equal R share a result (the mean of what they are dealt), so the
    order of the input never matters.

    Special cases, with `scale: scores`:
        w = 0: the scores stay. w = 1: candidates are ordered by activity alone.
        w < 1 and p the same for all candidates, 1 or not: the scores stay.
        All scores equal: they stay, whatever p is.
    With `scale: ranks`, p = 1 does not leave the scores alone: ranks replace them, and a lone candidate gets
    1/2.

    A strictly rising distortion of the activities changes nothing; one of the scores only what is dealt. A
    candidate's result never falls when its own score or activity rises and the others' stay. Those of the
    others may: ranks depend on the whole recording.
    """

    def __init__(self, config: RankAverageConfig):
        self.config = config

    def __call__(
        self, scores: np.ndarray, classes: np.ndarray, frames: np.ndarray, p: np.ndarray
    ) -> np.ndarray:
        """Return the average rank of each candidate, or the detector scores in that order.

        Args:
            scores: [n] detector scores in [0, 1].
            classes: [n] integers in [0, K).
            frames: [n] integers in [0, N).
            p: [K, N] class activity in [0, 1].

        Returns:
            [n] scores in [0, 1].
        """
        scores = np.asarray(scores, dtype=float)
        weight = self.config.weight
        activity = np.asarray(p, dtype=float)[classes, frames]
        order = (1 - weight) * _places(scores) + weight * _places(activity)
        if self.config.scale == "ranks":
            return order / max(1, len(order))
        return _dealt_out(np.sort(scores), order)


def _places(values: np.ndarray) -> np.ndarray:
    """Return [n] how many of `values` lie below each, ties counted half: exact multiples of 1/2."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(sizes) - sizes / 2)[group]


def _dealt_out(rising: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return for each element of `order` [n] the number at its place in `rising` [n], ties sharing a mean."""
    _, group, sizes = np.unique(order, return_inverse=True, return_counts=True)
    if not len(sizes):
        return np.zeros(0)
    starts = np.cumsum(sizes) - sizes
    return (np.add.reduceat(rising, starts) / sizes)[group]
