"""Maps on finer grids, without corners: trigonometric interpolation on the sphere."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from sai_bench.sphere import grid_directions


class SphereInterpolation(nn.Module):
    """Maps [n, C, h, w] -> [n, C, r h, r w], exact for maps that are smooth enough for the coarse grid.

    Along a row the map is a periodic function of azimuth. Along a column it goes on over the pole into the
    column opposite, so that both together are periodic, too (the double Fourier sphere of Merilees, "The
    pseudospectral approximation applied to the shallow water equations on a sphere", Atmosphere 11, 1973).
    Both are interpolated by trigonometric polynomials, which is a product with a constant matrix each.
    """

    def __init__(self, height: int, width: int, factor: int):
        """Prepare the matrices.

        Args:
            height: h, rows of the coarse grid.
            width: w, its columns; even.
            factor: r, how many times as fine the result is.
        """
        super().__init__()
        azimuth, elevation = grid_directions(height, width)
        fine_azimuth, fine_elevation = grid_directions(factor * height, factor * width)
        around = np.concatenate([elevation, 180 - elevation[::-1]])
        columns, rows = _interpolation(azimuth, fine_azimuth), _interpolation(around, fine_elevation)
        self.register_buffer("columns", columns.T.contiguous(), persistent=False)
        self.register_buffer("rows", rows[:, :height].contiguous(), persistent=False)
        self.register_buffer("opposite_rows", rows[:, height:].contiguous(), persistent=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the finer maps."""
        wide = maps @ self.columns
        opposite = wide.roll(wide.shape[3] // 2, 3).flip(2)
        return self.rows @ wide + self.opposite_rows @ opposite


def _interpolation(angles_deg: np.ndarray, fine_deg: np.ndarray) -> torch.Tensor:
    """Return the matrix [m, n] from values at n angles around a circle to those at m others."""
    orders = np.arange(1, (len(angles_deg) + 1) // 2)

    def basis(degrees):
        phases = np.radians(degrees)[:, None] * orders
        return np.concatenate([np.ones((len(degrees), 1)), np.cos(phases), np.sin(phases)], axis=1)

    return torch.from_numpy(basis(fine_deg) @ np.linalg.pinv(basis(angles_deg))).float()
