"""Maps continued beyond their edges, as the sphere goes on there."""

from __future__ import annotations

import torch


def pad_on_sphere(maps: torch.Tensor, reach: int) -> torch.Tensor:
    """Return maps [n, C, h + 2 reach, w + 2 reach], continued across the seam and across the poles.

    Beyond a pole lies the same row half a turn further. The result has its channels innermost in memory,
    which makes convolutions of few channels several times faster.
    """
    rows = maps.permute(0, 2, 3, 1)  # [n, h, w, C]
    half = rows.shape[2] // 2
    top = rows[:, :reach].flip(1).roll(half, 2)
    bottom = rows[:, rows.shape[1] - reach :].flip(1).roll(half, 2)
    tall = torch.cat([top, rows, bottom], dim=1)
    wide = torch.cat([tall[:, :, tall.shape[2] - reach :], tall, tall[:, :, :reach]], dim=2)
    return wide.contiguous().permute(0, 3, 1, 2)
