"""Blocks over the sphere: depthwise convolution, conditioned by what sounds in the frame."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from sai_bench_builtin.sphere_padding import pad_on_sphere

_INITIAL_SCALE = 0.2


class SphereBlock(nn.Module):
    """x + scale * MLP(FiLM(norm(depthwise convolution(x)), context)) of maps [n, C, h, w].

    FiLM (Perez et al., AAAI 2018) multiplies and shifts each channel by numbers that depend on the context.
    """

    def __init__(self, channels: int, context_channels: int, kernel: int, expansion: int):
        """Build the block with random weights.

        Args:
            channels: C.
            context_channels: channels of the context.
            kernel: side of the convolution in cells, odd.
            expansion: how many times wider the MLP is inside.
        """
        super().__init__()
        self.reach = kernel // 2
        self.depthwise = nn.Conv2d(channels, channels, kernel, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.film = nn.Linear(context_channels, 2 * channels)
        self.expand = nn.Linear(channels, expansion * channels)
        self.reduce = nn.Linear(expansion * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), _INITIAL_SCALE))

    def forward(self, maps: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Return maps [n, C, h, w] (channels innermost in memory).

        Args:
            maps: [n, C, h, w].
            context: [n, context channels].
        """
        y = self.norm(self.depthwise(pad_on_sphere(maps, self.reach)).permute(0, 2, 3, 1))
        factor, shift = self.film(context)[:, None, None].chunk(2, dim=3)
        y = self.reduce(F.gelu(self.expand(y * (1 + factor) + shift)))
        return maps + (self.scale * y).permute(0, 3, 1, 2)
