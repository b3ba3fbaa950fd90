"""A prior that knows nothing: what a system is worth without recognition."""

from __future__ import annotations

import numpy as np

from sai_bench.interfaces import Prior
from sai_bench.sphere import CLASSES, frame_count
from sai_bench_builtin.configs.prior import UniformConfig


class Uniform(Prior):
    """The same activity for every class in every label frame."""

    def __init__(self, config: UniformConfig):
        self.config = config

    def __call__(self, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Return p [K, N] float32, everywhere the config's `probability`.

        Args:
            waveform: [M, S]; only its length matters.
            sample_rate_hz: its rate.
        """
        frames = frame_count(waveform.shape[-1], sample_rate_hz)
        return np.full((CLASSES, frames), self.config.probability, dtype=np.float32)
