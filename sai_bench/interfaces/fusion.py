"""The fusion rule: detector scores and class activity to new scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


class Fusion(ABC):
    """Detector scores and class activity to new scores; class and mask stay. Built as `cls(config)`."""

    @abstractmethod
    def __call__(
        self, scores: np.ndarray, classes: np.ndarray, frames: np.ndarray, p: np.ndarray
    ) -> np.ndarray:
        """Return the fused scores of all candidates of one recording.

        Args:
            scores: [n] float64 detector scores in [0, 1].
            classes: [n] integers in [0, K).
            frames: [n] integers in [0, N).
            p: [K, N] float64 class activity in [0, 1] of the whole recording.

        Returns:
            [n] finite scores in [0, 1].
        """
