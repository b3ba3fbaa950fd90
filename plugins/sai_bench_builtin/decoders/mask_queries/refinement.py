"""From masks on the coarse grid to the image of 180 x 360, learned, for chosen candidates only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import zip_longest

import torch
import torch.nn.functional as F
from torch import nn

from sai_bench.interfaces import Candidates
from sai_bench.sphere import COLUMNS, ROWS
from sai_bench.upsampling import enlarge
from sai_bench_builtin.decoders.mask_queries.convolution import SphereConv

_MASKS_AT_ONCE = 16
"""Masks refined together: enough to fill the cores, few enough to stay in their caches."""

_FEWEST_CHANNELS = 4


class Refinement(nn.Module):
    """Enlarges masks step by step (45 x 90 -> 90 x 180 -> 180 x 360), circular in azimuth.

    Each step adds a learned correction to the linear interpolation of the step before. What a mask looks
    like and the sphere features of its frame decide the correction; it starts as zero.

    Attributes:
        sizes: rows and columns after each step.
    """

    def __init__(self, sphere_channels: int, grid: tuple[int, int], channels: int):
        """Set up the steps.

        Args:
            sphere_channels: D of the sphere features.
            grid: rows and columns of the coarse grid, fewer than 180 and 360.
            channels: hidden channels of the first step; each further step has half as many, at least 4.
        """
        super().__init__()
        factors = list(zip_longest(_primes(ROWS // grid[0]), _primes(COLUMNS // grid[1]), fillvalue=1))
        self.sizes = tuple(
            (grid[0] * math.prod(rows), grid[1] * math.prod(columns))
            for rows, columns in (zip(*factors[:step], strict=True) for step in range(1, len(factors) + 1))
        )
        hidden = [max(_FEWEST_CHANNELS, channels >> step) for step in range(len(factors))]
        self.frame_entry = SphereConv(sphere_channels, channels)
        self.mask_entry = SphereConv(1, channels)
        self.steps = nn.ModuleList(
            _Step(now, after, pair)
            for now, after, pair in zip(hidden, [*hidden[1:], 0], factors, strict=True)
        )

    def frame_features(self, sphere: torch.Tensor) -> torch.Tensor:
        """Return what the masks of a frame share, [n, channels, h, w], from sphere features [n, D, h, w]."""
        return self.frame_entry(sphere)

    def forward(self, mask_logits: torch.Tensor, frame_features: torch.Tensor) -> list[torch.Tensor]:
        """Return logits at every size, coarse ones first and [n, 180, 360] last, float32.

        Args:
            mask_logits: [n, h, w] float32.
            frame_features: [n, channels, h, w] of the masks' frames.
        """
        mask = mask_logits.sigmoid().to(self.mask_entry.weight.dtype)
        hidden = self.mask_entry(mask[:, None]) + frame_features
        levels = [mask_logits]
        for step in self.steps:
            logits, hidden = step(levels[-1], hidden)
            levels.append(logits)
        return levels


class _Step(nn.Module):
    """One enlargement by whole factors."""

    def __init__(self, channels: int, next_channels: int, factors: tuple[int, int]):
        super().__init__()
        self.factors = factors
        self.mixing = SphereConv(channels, channels)
        self.spread = nn.Conv2d(channels, (1 + next_channels) * factors[0] * factors[1], kernel_size=1)
        nn.init.zeros_(self.spread.weight.data[:: 1 + next_channels])
        nn.init.zeros_(self.spread.bias.data[:: 1 + next_channels])

    def forward(self, logits: torch.Tensor, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return larger logits [n, h', w'] and the next step's hidden maps [n, next channels, h', w']."""
        blocks = self.spread(F.relu(self.mixing(F.relu(hidden))))
        blocks = blocks.permute(0, 2, 3, 1).unflatten(3, (*self.factors, -1))  # [n, h, w, f_h, f_w, 1 + c]
        fine = blocks.transpose(2, 3).flatten(3, 4).flatten(1, 2)  # [n, h f_h, w f_w, 1 + c]
        correction, hidden = fine[..., 0], fine[..., 1:].permute(0, 3, 1, 2)
        return enlarge(logits, self.factors) + correction.float(), hidden


@dataclass
class RefinedCandidates(Candidates):
    """Candidates whose full-size masks are made when they are asked for.

    Attributes:
        sphere: [B, N, D, h, w] sphere features.
        refinement: the network that enlarges masks.
    """

    sphere: torch.Tensor
    refinement: Refinement

    def masks(self, selection: torch.Tensor) -> torch.Tensor:
        """Return energies [n, 180, 360] float32 in [0, 1] of (segment, frame, mask) [n, 3]."""
        images = self.mask_logits.new_empty(len(selection), ROWS, COLUMNS)
        for first in range(0, len(selection), _MASKS_AT_ONCE):
            part = slice(first, first + _MASKS_AT_ONCE)
            images[part] = self.mask_levels(selection[part])[-1].sigmoid()
        return images

    def mask_levels(self, selection: torch.Tensor) -> list[torch.Tensor]:
        """Return logits at every size, [n, h, w] first and [n, 180, 360] last, for the refinement loss.

        Args:
            selection: [n, 3] integers: (segment, frame, mask).
        """
        segment, frame, mask = selection.unbind(1)
        frames, frame_of = selection[:, :2].unique(dim=0, return_inverse=True)
        shared = self.refinement.frame_features(self.sphere[frames[:, 0], frames[:, 1]])
        return self.refinement(self.mask_logits[segment, frame, mask], shared[frame_of])


def _primes(number: int) -> list[int]:
    """Return the prime factors of a positive number, ascending."""
    primes, factor = [], 2
    while number > 1:
        if number % factor:
            factor += 1
        else:
            primes.append(factor)
            number //= factor
    return primes
