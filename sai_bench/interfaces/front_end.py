"""The front end: waveform to features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class FrontEnd(ABC):
    """Waveform to features. Built as `cls(config)`."""

    @abstractmethod
    def __call__(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return the features of a batch of waveforms.

        Args:
            waveform: [B, M, S] float32, full scale 1, at the declared `sample_rate_hz`.

        Returns:
            [B, C, T, F] as declared by the config's `output()`.
        """
