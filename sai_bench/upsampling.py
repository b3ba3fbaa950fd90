"""From a coarse grid on the sphere to a finer one and to the 180 x 360 image: linear, circular in azimuth."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from sai_bench.sphere import COLUMNS, ROWS, check_grid


def upsample_to_image(maps: torch.Tensor) -> torch.Tensor:
    """Interpolate maps [n, h, w] on a coarse grid to [n, 180, 360].

    Raises:
        ValueError: the grid does not divide the image.
    """
    height, width = maps.shape[-2:]
    check_grid(height, width)
    return enlarge(maps, (ROWS // height, COLUMNS // width))


def enlarge(maps: torch.Tensor, factors: tuple[int, int]) -> torch.Tensor:
    """Interpolate maps [n, h, w] linearly to [n, h * factors[0], w * factors[1]].

    Centres of cells agree (a cell's value is reached at the centre of the cells that it becomes); the last
    column neighbours the first; beyond the centres of the first and last row the value is held.
    """
    height, width = maps.shape[-2] * factors[0], maps.shape[-1] * factors[1]
    wrapped = F.pad(maps[:, None], (1, 1, 0, 0), mode="circular")
    size = (height, width + 2 * factors[1])
    enlarged = F.interpolate(wrapped, size=size, mode="bilinear", align_corners=False)
    return enlarged[:, 0, :, factors[1] : factors[1] + width]
