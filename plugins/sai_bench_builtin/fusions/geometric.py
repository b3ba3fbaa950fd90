"""Geometric mean: detector and prior count by their logarithms."""

from __future__ import annotations

import numpy as np

from sai_bench.interfaces import Fusion
from sai_bench_builtin.configs.fusion import GeometricConfig


class Geometric(Fusion):
    """Weighted geometric mean s_f = s_d^(1 - w) * p(c, t)^w with w = weight.

    Special cases:
        w = 0: the scores stay (p^0 = 1, also for p = 0); w = 1: the activity replaces them.
        w = 1/2: sqrt(s p).
        w < 1: s_f = (s p^alpha)^(1 - w) with alpha = w / (1 - w), so candidates rank as in `power` with that
            alpha (w = 1/3 as in the report), but scores are larger and thresholds cut elsewhere.
        s = p: the score stays.
        p = 1: s^(1 - w), not the identity unless w = 0: the score rises towards the activity.
        s = 0 or p = 0 (with 0 < w < 1): the candidate gets score 0.

    The rule is monotone in score and activity, and lies between the two.
    """

    def __init__(self, config: GeometricConfig):
        self.config = config

    def __call__(
        self, scores: np.ndarray, classes: np.ndarray, frames: np.ndarray, p: np.ndarray
    ) -> np.ndarray:
        """Return s^(1 - w) * p^w for each candidate.

        Args:
            scores: [n] detector scores in [0, 1].
            classes: [n] integers in [0, K).
            frames: [n] integers in [0, N).
            p: [K, N] class activity in [0, 1].

        Returns:
            [n] scores in [0, 1].
        """
        weight = self.config.weight
        activity = np.asarray(p, dtype=float)[classes, frames]
        return np.asarray(scores, dtype=float) ** (1 - weight) * activity**weight
