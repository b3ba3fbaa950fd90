"""The compressor: point sets to smaller point sets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


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
