"""The report's fusion rule (equation 1): the prior's activity to a power scales the detector's score."""

from __future__ import annotations

import numpy as np

from sai_bench.interfaces import Fusion
from sai_bench_builtin.configs.fusion import PowerConfig


class Power(Fusion):
    """Fused score s_f = s_d * p(c, t)^alpha (report, section 2.4, equation 1; alpha = 0.5 there).

    Special cases:
        alpha = 0: p^0 = 1 for every p, 0 included, so the scores stay as they are.
        alpha = 1: the product of the two, as if they were independent probabilities.
        p = 1: the score stays, whatever alpha is.
        p = 0 and alpha > 0: the candidate gets score 0.

    The rule never raises a score, and it is monotone: a higher score or a higher activity never ranks lower.
    """

    def __init__(self, config: PowerConfig):
        self.config = config

    def __call__(
        self, scores: np.ndarray, classes: np.ndarray, frames: np.ndarray, p: np.ndarray
    ) -> np.ndarray:
        """Return s * p^alpha for each candidate.

        Args:
            scores: [n] detector scores in [0, 1].
            classes: [n] integers in [0, K).
            frames: [n] integers in [0, N).
            p: [K, N] class activity in [0, 1].

        Returns:
            [n] scores in [0, 1].
        """
        activity = np.asarray(p, dtype=float)[classes, frames]
        return np.asarray(scores, dtype=float) * activity**self.config.alpha
