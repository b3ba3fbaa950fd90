"""From sphere features to class activity and class maps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from sai_bench.interfaces import SphereSpec
from sai_bench.sphere import CLASSES
from sai_bench_builtin.configs.class_maps import ClassDiscsConfig, ClassMapsConfig
from sai_bench_builtin.sphere_interpolation import SphereInterpolation
from sai_bench_builtin.sphere_padding import pad_on_sphere

_CORRECTION_STD = 0.002
"""Weights that begin as a correction of the maps that the backbone made: almost nothing."""


@dataclass(frozen=True)
class MapLogits:
    """What the network says of n label frames.

    Attributes:
        activity: [n, K] logits of whether each class sounds.
        maps: [n, K, h, w] logits of where each class sounds, if it does.
        cells: [n, h / r, w / r, C] features of the coarse cells.
    """

    activity: torch.Tensor
    maps: torch.Tensor
    cells: torch.Tensor

    def of_any_class(self) -> MapLogits:
        """Return one activity and one map for whatever sounds: the classes' odds together, so all learn."""
        return replace(
            self,
            activity=self.activity.logsumexp(1, keepdim=True),
            maps=self.maps.logsumexp(1, keepdim=True),
        )

    def features_at(self, frames: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
        """Return the features [..., C] of the coarse cells in which cells of the maps lie.

        Args:
            frames: [...] which label frames.
            cells: [...] cell numbers in a map, broadcast with `frames`.
        """
        width = self.maps.shape[3]
        factor = width // self.cells.shape[2]
        return self.cells[frames, cells // width // factor, cells % width // factor]


class ClassMapNetwork(nn.Module):
    """A convolution on the sphere, then r x r numbers a class and cell: a map r times as fine as the grid.

    If the backbone made maps of the classes already, they are interpolated and the rest corrects them.
    """

    def __init__(self, config: ClassMapsConfig | ClassDiscsConfig, sphere: SphereSpec):
        """Build the network with random weights.

        Args:
            config: the decoder's keys.
            sphere: what the backbone promises.
        """
        super().__init__()
        self.factor = config.upsampling
        hidden = config.hidden_channels
        self.convolution = nn.Conv2d(sphere.channels, hidden, 3)
        self.maps = nn.Linear(hidden, CLASSES * self.factor**2)
        self.activity = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.GELU(), nn.Linear(hidden, CLASSES))
        nn.init.constant_(self.maps.bias, config.initial_logit)
        nn.init.constant_(self.activity[-1].bias, config.initial_logit)
        self.log_gain = None
        if sphere.class_maps:
            self.interpolation = SphereInterpolation(sphere.height, sphere.width, self.factor)
            self.log_gain = nn.Parameter(torch.full((CLASSES, 1, 1), math.log(config.class_map_gain)))
            nn.init.normal_(self.maps.weight, std=_CORRECTION_STD)

    def forward(self, sphere: torch.Tensor) -> MapLogits:
        """Return activity and maps of sphere features [n, D, h, w]."""
        padded = pad_on_sphere(sphere.to(self.maps.weight.dtype), 1)
        cells = F.gelu(self.convolution(padded).permute(0, 2, 3, 1))  # [n, h, w, C]
        pooled = torch.cat([cells.mean((1, 2)), cells.amax((1, 2))], dim=1)
        blocks = self.maps(cells).unflatten(3, (CLASSES, self.factor, self.factor))
        maps = blocks.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)
        if self.log_gain is not None:
            seen = sphere[:, -CLASSES:].to(self.maps.weight.dtype)
            maps = maps + self.interpolation(self.log_gain.exp() * seen)
        return MapLogits(self.activity(pooled).float(), maps.float(), cells.float())
