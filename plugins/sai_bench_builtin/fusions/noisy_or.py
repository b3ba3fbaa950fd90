"""Noisy or: a candidate is true if the detector or the prior has reason to say so."""

from __future__ import annotations

import numpy as np

from sai_bench.interfaces import Fusion
from sai_bench_builtin.configs.fusion import NoisyOrConfig


class NoisyOr(Fusion):
    """Noisy or of independent reasons (Pearl 1988): s_f = 1 - (1 - s_d) (1 - w p(c, t)) with w = strength.

    Special cases:
        w = 0 or p = 0: the score stays.
        w = 1: s + p - s p, the or of independent events.
        p = 1: 1 - (1 - s) (1 - w), not the identity unless w = 0 or s = 1: the score rises.
        s = 1: stays 1. s = 0: w p, so an active class lifts even candidates that the detector rejects.

    The rule never lowers a score, and it is monotone in score and activity.
    """

    def __init__(self, config: NoisyOrConfig):
        self.config = config

    def __call__(
        self, scores: np.ndarray, classes: np.ndarray, frames: np.ndarray, p: np.ndarray
    ) -> np.ndarray:
        """Return 1 - (1 - s) (1 - w p) for each candidate.

        Args:
            scores: [n] detector scores in [0, 1].
            classes: [n] integers in [0, K).
            frames: [n] integers in [0, N).
            p: [K, N] class activity in [0, 1].

        Returns:
            [n] scores in [0, 1].
        """
        scores = np.asarray(scores, dtype=float)
        reason = self.config.strength * np.asarray(p, dtype=float)[classes, frames]
        return scores + (1 - scores) * reason  # the same, exact where s or w p is 0
