"""Presence: is the class in this recording at all? One answer for all its frames."""

from __future__ import annotations

import math

import numpy as np

from sai_bench.interfaces import Fusion
from sai_bench_builtin.configs.fusion import PresenceConfig


class Presence(Fusion):
    """Score times presence, s_f = s_d * P(c)^alpha.

    P(c) is the mean of the highest top_share of p(c, t) over the recording's frames t (rounded up, at least
    one frame): one probability per class and recording, as a presence head gives it (a global token that
    answers whether a concept is there, apart from where; Carion et al., SAM 3, arXiv 2511.16719).

    Special cases:
        top_share = 0: P is the maximum. top_share = 1: P is the mean, the class's share of the recording.
        p constant over time: `power` with the same alpha.
        alpha = 0: the scores stay (P^0 = 1, also for P = 0).
        p(c, t) = 1 in the top_share of frames: P = 1 and the score stays, even in a frame where p is 0.
        P = 0 and alpha > 0: all candidates of the class get score 0.

    The rule never raises a score and is monotone in score and in every p(c, t). It keeps the order of a class
    within the recording; it tells classes and recordings apart, not frames.
    """

    def __init__(self, config: PresenceConfig):
        self.config = config

    def __call__(
        self, scores: np.ndarray, classes: np.ndarray, frames: np.ndarray, p: np.ndarray
    ) -> np.ndarray:
        """Return s * P^alpha for each candidate.

        Args:
            scores: [n] detector scores in [0, 1].
            classes: [n] integers in [0, K).
            frames: [n] integers in [0, N).
            p: [K, N] class activity in [0, 1].

        Returns:
            [n] scores in [0, 1].
        """
        scores = np.asarray(scores, dtype=float)
        if not len(scores):
            return np.zeros(0)
        return scores * self._presence(np.asarray(p, dtype=float))[classes] ** self.config.alpha

    def _presence(self, p: np.ndarray) -> np.ndarray:
        """Return P [K] of an activity [K, N]."""
        frames = p.shape[1]
        top = max(1, math.ceil(self.config.top_share * frames - 1e-9))  # 0.07 * 100 is a little above 7
        return np.partition(p, frames - top, axis=1)[:, frames - top :].mean(axis=1)
