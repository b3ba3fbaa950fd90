"""Front end, backbone and decoder, and the candidates that they end in: what hears regions.

They exchange torch tensors; a neural one is an `nn.Module` that also derives from the base class here, and
its config says `learned = True`. This module does not import torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import torch

    from sai_bench.config import LossConfig
    from sai_bench.sphere import ArrayGeometry
    from sai_bench.training.targets import MaskTargets


@dataclass
class Candidates:
    """What a decoder returns for a batch of segments.

    Attributes:
        class_logits: [B, N, Q, K+1]; the last class is "no object".
        scores: [B, N, Q] in [0, 1], 0 where a slot is empty.
        mask_logits: [B, N, R, h, w].
        mask_of: [Q] integers in [0, R): which mask a candidate uses. Usually R = Q and this is 0 ... Q-1;
            a class-agnostic decoder lets K candidates share a mask.
    """

    class_logits: torch.Tensor
    scores: torch.Tensor
    mask_logits: torch.Tensor
    mask_of: torch.Tensor

    def masks(self, selection: torch.Tensor) -> torch.Tensor:
        """Return full-size masks of the chosen few.

        The default interpolates the logits linearly (circular in azimuth) and applies a sigmoid; a decoder
        with a better way returns a subclass.

        Args:
            selection: [n, 3] integers: (segment, frame, mask).

        Returns:
            [n, 180, 360] energies in [0, 1].
        """
        from sai_bench.upsampling import upsample_to_image

        batch, frame, mask = selection.unbind(1)
        return upsample_to_image(self.mask_logits[batch, frame, mask]).sigmoid()


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


class Backbone(ABC):
    """Features to features on the sphere. Built as `cls(config, features)`, features a FeatureSpec."""

    chooses_frames: ClassVar[bool] = False
    """Whether `__call__` also takes `frames=`, [n] label frames of the segment, and then returns only those:
    training that decodes few frames of a segment then also projects few."""

    @abstractmethod
    def __call__(self, features: torch.Tensor, array: ArrayGeometry) -> torch.Tensor:
        """Return sphere features at the label frames that the segment touches.

        Args:
            features: [B, C, T, F] from the front end.
            array: the capsules that the M channels come from.

        Returns:
            [B, N, D, h, w]; frame n starts n/10 s after the segment. There may be more frames than the
            segment has full label frames; the caller drops the rest.
        """


class Decoder(ABC):
    """Sphere features to candidates. Built as `cls(config, sphere)` with the backbone's SphereSpec."""

    frames_are_independent: bool = True
    """Whether a frame's candidates hang on its own features alone. If not, the decoder is also given the
    frames around those that are wanted."""

    @abstractmethod
    def __call__(self, sphere: torch.Tensor) -> Candidates:
        """Return the candidates of every frame.

        Args:
            sphere: [B, N, D, h, w] from the backbone.
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
