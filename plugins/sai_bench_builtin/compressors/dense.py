"""No compression: every point, the yardstick for all other compressors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sai_bench.interfaces import Compressor
from sai_bench_builtin.configs.compressor import DenseConfig


class Dense(Compressor):
    """Point sets as they are."""

    def __init__(self, config: DenseConfig):
        self.config = config

    def __call__(self, point_sets: Sequence[np.ndarray], scores: np.ndarray) -> list[np.ndarray]:
        """Return the arrays [n_i, 3] of `point_sets` unchanged; `scores` play no part."""
        return list(point_sets)
