"""Where a cell lies on the sphere and when a frame is, as numbers that attention can use."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.special import lpmv

from sai_bench.sphere import grid_directions

TIME_PERIODS_FRAMES = (4, 8, 16, 32, 64)
"""Periods of the waves that tell the frames of a segment apart, in label frames of 0.1 s."""


def sphere_positions(height: int, width: int, degree: int, zonal: bool) -> torch.Tensor:
    """Return real spherical harmonics of the cell centres [height * width, P] float32, row by row.

    The harmonics of degree 1 ... `degree` (the constant one says nothing) are smooth over the whole sphere:
    neither the seam at 180 degrees nor the poles stand out. Their mean square over the sphere is 1.

    Args:
        height: rows of the grid.
        width: columns of the grid.
        degree: highest degree; P = (degree + 1)^2 - 1.
        zonal: only the harmonics that do not depend on azimuth; P = degree.
    """
    azimuth, elevation = (np.radians(angles) for angles in grid_directions(height, width))
    waves = []
    for n in range(1, degree + 1):
        for order in range(0 if zonal else -n, 1 if zonal else n + 1):
            m = abs(order)
            scale = (2 - (m == 0)) * (2 * n + 1) * math.factorial(n - m) / math.factorial(n + m)
            along = np.cos(m * azimuth) if order >= 0 else np.sin(m * azimuth)
            waves.append(math.sqrt(scale) * np.outer(lpmv(m, n, np.sin(elevation)), along).ravel())
    stacked = np.stack(waves, axis=1) if waves else np.zeros((height * width, 0))
    return torch.from_numpy(stacked).float()


def frame_positions(frames: int, device: torch.device) -> torch.Tensor:
    """Return sine and cosine waves of the frame number [frames, 2 * len(TIME_PERIODS_FRAMES)] float32."""
    periods = torch.tensor(TIME_PERIODS_FRAMES, device=device)
    phase = torch.arange(frames, device=device)[:, None] * (2 * math.pi / periods)
    return torch.cat([phase.sin(), phase.cos()], dim=1)
