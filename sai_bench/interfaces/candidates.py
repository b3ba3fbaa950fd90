"""What a decoder returns: candidates with classes, scores and masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


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
