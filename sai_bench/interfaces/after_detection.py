"""What happens to detections: fusion gives new scores, compression smaller point sets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
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


class Compressor(ABC):
    """Point sets to smaller point sets. Built as `cls(config)`."""

    @abstractmethod
    def __call__(self, point_sets: Sequence[np.ndarray], scores: np.ndarray) -> list[np.ndarray]:
        """Return a smaller point set for each mask of one recording, in the same order.

        Args:
            point_sets: arrays [n_i, 3] of (x, y, energy) rows; x in [0, 360), y in [0, 179],
                energy in (0, 1].
            scores: [len(point_sets)] fused scores, for rules that spend less on weak detections.

        Returns:
            arrays [m_i, 3], m_i >= 1 wherever n_i >= 1.
        """
