"""The decoder: features on the sphere to candidates, and the loss that it learns by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import torch

    from sai_bench.config import LossConfig
    from sai_bench.interfaces.candidates import Candidates
    from sai_bench.training.targets import MaskTargets


class Decoder(ABC):
    """Sphere features to candidates. Built as `cls(config, sphere)` with the backbone's SphereSpec."""

    frames_are_independent: bool = True
    """Whether a frame's candidates hang on its own features alone. If not, the decoder is also given the
    frames around those that are wanted."""

    landmarks: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """Of a network: label -> (name of a submodule, axes of what that returns). `sai-bench describe` shows
    their shapes."""

    @abstractmethod
    def __call__(self, sphere: torch.Tensor) -> Candidates:
        """Return the candidates of every frame.

        Args:
            sphere: [B, N, D, h, w] from the backbone, in the type of the weights.
        """

    def target_grids(self, losses: LossConfig) -> tuple[tuple[int, int], ...]:
        """Return the grids (rows, columns) at which `loss` wants its targets' masks.

        Args:
            losses: of the class that the decoder's config names as `losses`.
        """
        raise TypeError(f"{type(self).__name__} cannot be trained: it has no loss")

    def loss(
        self, sphere: torch.Tensor, targets: MaskTargets, losses: LossConfig
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return what training lowers, and its parts for the log (only if the config names `losses`).

        With several processes each sees its own segments; what is divided by a count must be divided by the
        mean count of all (`sai_bench.training.distributed.mean_count`), so that the mean of their gradients
        is the gradient of all segments together.

        Args:
            sphere: [B, N, D, h, w] from the backbone.
            targets: regions of the same B segments and N frames, with masks on `target_grids(losses)`.
            losses: which losses count how much.

        Returns:
            the weighted sum [], and the losses by name, [] each, without weights.
        """
        raise TypeError(f"{type(self).__name__} cannot be trained: it has no loss")
