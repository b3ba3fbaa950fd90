"""Log odds: detector and prior each give evidence, and evidence adds up."""

from __future__ import annotations

import numpy as np

from sai_bench.interfaces import Fusion
from sai_bench_builtin.configs.fusion import LogOddsConfig


class LogOdds(Fusion):
    """Weighted sum: logit s_f = score_weight * logit s_d + alpha * (logit p(c, t) - logit r).

    logit(x) = log(x / (1 - x)), r = neutral_activity; p is first kept activity_margin away from 0 and 1.

    Special cases:
        score_weight = 1, and alpha = 0 or p = r: the score stays.
        score_weight = alpha = 1 and r the class's frequency: Bayes' rule for a score and an activity that are
            independent given the truth, both calibrated to that frequency.
        s = 0 or 1: the score stays, whatever p is.
        p = 1: not the identity, a score rises (by the margin's log odds): full activity is evidence, unlike
            in `power`, where it is only the lack of a penalty.
        p = 0: the score falls, but not to 0.

    The rule is monotone in score and activity. Among candidates of one activity the order stays.
    """

    def __init__(self, config: LogOddsConfig):
        self.config = config

    def __call__(
        self, scores: np.ndarray, classes: np.ndarray, frames: np.ndarray, p: np.ndarray
    ) -> np.ndarray:
        """Return the sum of log odds as a probability for each candidate.

        Args:
            scores: [n] detector scores in [0, 1].
            classes: [n] integers in [0, K).
            frames: [n] integers in [0, N).
            p: [K, N] class activity in [0, 1].

        Returns:
            [n] scores in [0, 1].
        """
        config = self.config
        margin = config.activity_margin
        activity = np.asarray(p, dtype=float)[classes, frames].clip(margin, 1 - margin)
        evidence = config.alpha * (_log_odds(activity) - _log_odds(config.neutral_activity))
        return _probability(config.score_weight * _log_odds(np.asarray(scores, dtype=float)) + evidence)


def _log_odds(probability: np.ndarray | float) -> np.ndarray:
    """Return log(x / (1 - x)), infinite at 0 and 1."""
    with np.errstate(divide="ignore"):
        return np.log(probability) - np.log1p(-probability)


def _probability(log_odds: np.ndarray) -> np.ndarray:
    """Return the inverse of `_log_odds`."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-log_odds))
