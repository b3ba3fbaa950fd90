"""What is computed in a step, as one module: DDP watches what goes through `forward`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from sai_bench.errors import ContractError
from sai_bench.networks import DETECTOR_KINDS

if TYPE_CHECKING:
    from sai_bench.config import LossConfig
    from sai_bench.sphere import ArrayGeometry
    from sai_bench.training.targets import MaskTargets


class TrainingStep(nn.Module):
    """Front end, backbone and the decoder's loss."""

    def __init__(self, parts: Mapping[str, object], losses: LossConfig, precision: str):
        """Take the parts of a detector.

        Args:
            parts: kind -> part; those that are no networks have nothing to learn.
            losses: which losses of the decoder count how much.
            precision: `fp32`, or `bf16`: products of backbone and decoder in bfloat16.
        """
        super().__init__()
        for kind in DETECTOR_KINDS:
            setattr(self, kind, parts[kind])
        self.losses, self.precision = losses, precision

    def forward(
        self, waveform: torch.Tensor, array: ArrayGeometry, targets: MaskTargets, frames: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the loss [] and its parts by name, [] each.

        Args:
            waveform: [B, M, S] at the front end's rate.
            array: the capsules of the M channels.
            targets: of the chosen label frames.
            frames: [n] label frames that are decoded, ascending.
        """
        features = self.front_end(waveform)  # in float32, which phases need
        # Not accelerate's own autocast: that has one precision for all stages of a process.
        with torch.autocast(waveform.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            return self.decoder.loss(self._sphere(features, array, frames), targets, self.losses)

    def _sphere(self, features: torch.Tensor, array: ArrayGeometry, frames: torch.Tensor) -> torch.Tensor:
        """Return the sphere features of the chosen label frames."""
        if self.backbone.chooses_frames:
            return self.backbone(features, array, frames=frames)
        sphere = self.backbone(features, array)
        if sphere.shape[1] <= int(frames[-1]):
            raise ContractError(
                f"Backbone {type(self.backbone).__name__} returned {sphere.shape[1]} label frames for "
                f"features of {features.shape[2]} STFT frames, too few for frame {int(frames[-1])}."
            )
        return sphere[:, frames]
