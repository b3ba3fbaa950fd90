"""From a coarse grid to the 180 x 360 image: linear, circular in azimuth."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from sai_bench.sphere import COLUMNS, ROWS, check_grid


def upsample_to_image(maps: torch.Tensor) -> torch.Tensor:
    """Interpolate maps [n, h, w] on a coarse grid to [n, 180, 360].

    Pixel centres and cell centres agree (a cell's value is reached at the centre of its block of pixels);
    column 359 neighbours column 0; beyond the centres of the first and last row the value is held.
    """
    height, width = maps.shape[-2:]
    check_grid(height, width)
    block = COLUMNS // width
    wrapped = F.pad(maps[:, None], (1, 1, 0, 0), mode="circular")
    image = F.interpolate(wrapped, size=(ROWS, COLUMNS + 2 * block), mode="bilinear", align_corners=False)
    return image[:, 0, :, block : block + COLUMNS]
