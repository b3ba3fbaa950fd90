"""What a batch of training segments should yield: regions per label frame, as masks on some grids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from sai_bench.training.mask_sets import EMPTY

Grid = tuple[int, int]
"""Rows and columns of a grid that divides 180 x 360."""


@dataclass(frozen=True)
class MaskTargets:
    """The labelled regions of B segments with N label frames, at most T in a frame.

    Attributes:
        classes: [B, N, T] int64 in [0, K), EMPTY in slots without a region. Class-agnostic targets: 0.
        instances: [B, N, T] int64, which sound event a region belongs to; equal numbers in frames of one
            segment are one event. EMPTY in slots without a region.
        masks: grid (h, w) -> [B, N, T, h, w] float32 in [0, 1], 0 in slots without a region; the peak of the
            image of 180 x 360 is 1, a cell of a coarser grid holds the mean of its block.
        class_agnostic: whether classes mean nothing.
    """

    classes: torch.Tensor
    instances: torch.Tensor
    masks: Mapping[Grid, torch.Tensor]
    class_agnostic: bool = False

    @property
    def present(self) -> torch.Tensor:
        """Return which slots hold a region, [B, N, T] bool."""
        return self.classes != EMPTY

    def of_frames(self, frames: torch.Tensor) -> MaskTargets:
        """Return the targets of chosen label frames [n] (of every segment the same)."""
        return MaskTargets(
            self.classes[:, frames],
            self.instances[:, frames],
            {grid: masks[:, frames] for grid, masks in self.masks.items()},
            self.class_agnostic,
        )

    def to(self, device: torch.device | str) -> MaskTargets:
        """Return the targets on a device."""
        return MaskTargets(
            self.classes.to(device),
            self.instances.to(device),
            {grid: masks.to(device) for grid, masks in self.masks.items()},
            self.class_agnostic,
        )
