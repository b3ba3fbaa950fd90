"""The backbone: features to features on the sphere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import torch

    from sai_bench.sphere import ArrayGeometry


class Backbone(ABC):
    """Features to features on the sphere. Built as `cls(config, features)`, features a FeatureSpec."""

    chooses_frames: ClassVar[bool] = False
    """Whether `__call__` also takes `frames=`, [n] label frames of the segment, and then returns only those:
    training that decodes few frames of a segment then also projects few."""

    landmarks: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """Of a network: label -> (name of a submodule, axes of what that returns). `sai-bench describe` shows
    their shapes."""

    @abstractmethod
    def __call__(self, features: torch.Tensor, array: ArrayGeometry) -> torch.Tensor:
        """Return sphere features at the label frames that the segment touches.

        Args:
            features: [B, C, T, F] from the front end, complex64, or real in the type of the weights.
            array: the capsules that the M channels come from.

        Returns:
            [B, N, D, h, w]; frame n starts n/10 s after the segment. There may be more frames than the
            segment has full label frames; the caller drops the rest.
        """
