"""No fusion: what a system is worth when nobody asks the prior."""

from __future__ import annotations

import numpy as np

from sai_bench.interfaces import Fusion
from sai_bench_builtin.configs.fusion import NoFusionConfig


class NoFusion(Fusion):
    """Detector scores as they are: s_f = s_d."""

    def __init__(self, config: NoFusionConfig):
        self.config = config

    def __call__(
        self, scores: np.ndarray, classes: np.ndarray, frames: np.ndarray, p: np.ndarray
    ) -> np.ndarray:
        """Return a copy of `scores` [n]; classes, frames and p play no part."""
        return np.array(scores, dtype=float)
