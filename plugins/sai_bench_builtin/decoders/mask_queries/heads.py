"""From query states to classes, scores and masks on the coarse grid."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from sai_bench_builtin.decoders.mask_queries.convolution import SphereConv


class MultiLayer(nn.Sequential):
    """Linear layers with ReLU between them: channels[0] in, channels[-1] out."""

    def __init__(self, *channels: int):
        layers = []
        for before, after in pairwise(channels):
            layers += [nn.Linear(before, after), nn.ReLU()]
        super().__init__(*layers[:-1])


class MaskFeatures(nn.Sequential):
    """Sphere features [n, D, h, w] to what the masks are made of, [n, C, h, w]."""

    def __init__(self, sphere_channels: int, channels: int):
        super().__init__(
            SphereConv(sphere_channels, channels), nn.GELU(), nn.Conv2d(channels, channels, kernel_size=1)
        )


class ProductMasks(nn.Module):
    """Masks as products of a query's embedding and each cell's features (MaskFormer, Mask2Former)."""

    def __init__(self, query_channels: int, channels: int):
        super().__init__()
        self.embedding = MultiLayer(query_channels, query_channels, query_channels, channels)

    def forward(self, states: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Return mask logits [n, Q, frames, h, w] float32.

        Args:
            states: [n, Q, d].
            features: [n, C, frames, h, w] float32.
        """
        embedding = self.embedding(states).float()
        with torch.autocast(features.device.type, enabled=False):
            return (embedding @ features.flatten(2)).unflatten(2, features.shape[2:])


class AttentionMasks(nn.Module):
    """Masks from where a query looks: attention maps, one per head, and a small convolution (DETR, 3.4)."""

    def __init__(self, query_channels: int, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query_projection = nn.Linear(query_channels, channels)
        self.mixing = nn.Sequential(
            SphereConv(heads, 2 * heads), nn.GELU(), nn.Conv2d(2 * heads, 1, kernel_size=1)
        )

    def forward(self, states: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Return mask logits [n, Q, frames, h, w] float32.

        Args:
            states: [n, Q, d].
            features: [n, C, frames, h, w] float32.
        """
        sets, _, *grid = features.shape
        query = self.query_projection(states).float().unflatten(2, (self.heads, -1)).transpose(1, 2)
        key = features.flatten(2).unflatten(1, (self.heads, -1))
        with torch.autocast(features.device.type, enabled=False):
            attention = (query @ key * query.shape[-1] ** -0.5).softmax(-1)  # [n, heads, Q, cells]
        # An attention that is spread evenly becomes 1 everywhere, whatever the grid.
        maps = (attention * attention.shape[-1]).unflatten(3, grid).permute(0, 2, 3, 1, 4, 5)
        maps = maps.reshape(-1, self.heads, *grid[1:]).to(self.query_projection.weight.dtype)
        return self.mixing(maps).float().reshape(sets, -1, *grid)


def derived_scores(class_logits: torch.Tensor, mask_logits: torch.Tensor) -> torch.Tensor:
    """Return scores [...] in [0, 1] without a score head.

    (1 - p of "no object") * largest p of a class * mean of the mask's probabilities above 0.5 (0 if none is).

    Args:
        class_logits: [..., K+1] float32, the last class is "no object".
        mask_logits: [..., h, w] float32.
    """
    classes = class_logits.softmax(-1)
    mask = mask_logits.sigmoid().flatten(-2)
    covered = (mask_logits > 0).flatten(-2)
    mean = (mask * covered).sum(-1) / covered.sum(-1).clamp_min(1)
    return (1 - classes[..., -1]) * classes[..., :-1].amax(-1) * mean


def peak_of(mask_logits: torch.Tensor) -> torch.Tensor:
    """Return the largest probability [...] of masks [..., h, w]."""
    return F.sigmoid(mask_logits.flatten(-2).amax(-1))
