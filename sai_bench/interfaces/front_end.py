"""The front end: waveform to features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import torch


class FrontEnd(ABC):
    """Waveform to features. Built as `cls(config)`."""

    landmarks: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """Of a network: label -> (name of a submodule, axes of what that returns). `sai-bench describe` shows
    their shapes."""

    @abstractmethod
    def __call__(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return the features of a batch of waveforms.

        Args:
            waveform: [B, M, S] float32, full scale 1, at the declared `sample_rate_hz`.

        Returns:
            [B, C, T, F] as declared by the config's `output()`.
        """
