"""From sphere features to class activity and class maps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from sai_bench.interfaces import SphereSpec
from sai_bench.sphere import CLASSES
from sai_bench_builtin.configs.decoder import ClassMapsConfig
from sai_bench_builtin.sphere_padding import pad_on_sphere

_ALMOST_NOTHING = 1e-6
"""Energies stay this far below 1, where logits have no end."""

_SHARPNESS_RANGE = 0.4, 5.0


@dataclass(frozen=True)
class MapLogits:
    """What the network says of n label frames.

    Attributes:
        activity: [n, K] logits of whether each class sounds.
        maps: [n, K, h, w] logits of where each class sounds, if it does.
        sharpness: [n, h, w] exponent that makes of a map's probability a mask's energy.
        cells: [n, h / r, w / r, C] features of the coarse cells.
    """

    activity: torch.Tensor
    maps: torch.Tensor
    sharpness: torch.Tensor
    cells: torch.Tensor

    def mask_logits(self, frames: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Return logits [..., h, w] of the energies that maps are as masks: probability ** sharpness.

        Args:
            frames: [...] which label frames.
            classes: [...] which classes, broadcast with `frames`.
        """
        energies = self.sharpness[frames] * F.logsigmoid(self.maps[frames, classes])  # logarithms
        energies = energies.clamp_max(-_ALMOST_NOTHING)
        return energies - torch.log(-torch.expm1(energies))


class ClassMapNetwork(nn.Module):
    """A convolution on the sphere, then r x r numbers a class and cell: a map r times as fine as the grid."""

    def __init__(self, config: ClassMapsConfig, sphere: SphereSpec):
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
        self.sharpness = nn.Linear(hidden, 1)
        self.activity = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.GELU(), nn.Linear(hidden, CLASSES))
        nn.init.zeros_(self.sharpness.weight)
        nn.init.constant_(self.sharpness.bias, math.log(config.initial_sharpness))
        nn.init.constant_(self.maps.bias, config.initial_logit)
        nn.init.constant_(self.activity[-1].bias, config.initial_logit)

    def forward(self, sphere: torch.Tensor) -> MapLogits:
        """Return activity and maps of sphere features [n, D, h, w]."""
        padded = pad_on_sphere(sphere.to(self.maps.weight.dtype), 1)
        cells = F.gelu(self.convolution(padded).permute(0, 2, 3, 1))  # [n, h, w, C]
        pooled = torch.cat([cells.mean((1, 2)), cells.amax((1, 2))], dim=1)
        blocks = self.maps(cells).unflatten(3, (CLASSES, self.factor, self.factor))
        maps = blocks.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)
        sharpness = self.sharpness(cells)[..., 0].float().exp().clamp(*_SHARPNESS_RANGE)
        sharpness = sharpness.repeat_interleave(self.factor, 1).repeat_interleave(self.factor, 2)
        return MapLogits(self.activity(pooled).float(), maps.float(), sharpness, cells.float())
