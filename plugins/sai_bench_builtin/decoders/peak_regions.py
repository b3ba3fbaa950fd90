"""Decoder `peak_regions`: local maxima of a steered power map and the regions around them.

It knows nothing of classes: every region becomes one candidate of each class with the same score, and the
fusion with a prior decides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from sai_bench.interfaces import Candidates, Decoder, SphereSpec
from sai_bench.sphere import (
    CLASSES,
    COLUMNS,
    ROWS,
    azimuth_deg,
    elevation_deg,
    grid_directions,
    unit_vectors,
)
from sai_bench.upsampling import upsample_to_image
from sai_bench_builtin.configs.decoder import PeakRegionsConfig

_SURE = 30.0
"""Logit of a candidate's own class over the others: exp(-30) is nothing in float32."""

_LEAST_ENERGY = 1e-6
"""Energies are kept this far from 0 and 1 in the mask logits, which could not express them otherwise."""


@dataclass
class RegionCandidates(Candidates):
    """Candidates whose masks are regions of the map.

    Attributes:
        energies: [B, N, R, h, w] in [0, 1], 0 outside the region.
    """

    energies: torch.Tensor

    def masks(self, selection: torch.Tensor) -> torch.Tensor:
        """Return energies [n, 180, 360], interpolated between cells, of (segment, frame, mask) [n, 3]."""
        batch, frame, mask = selection.unbind(1)
        return upsample_to_image(self.energies[batch, frame, mask])


@dataclass
class DiscCandidates(Candidates):
    """Candidates whose masks are round blobs.

    Attributes:
        centres: [B, N, R, 3] unit vectors.
        width_deg: standard deviation of the blob in degrees.
    """

    centres: torch.Tensor
    width_deg: float

    def masks(self, selection: torch.Tensor) -> torch.Tensor:
        """Return energies [n, 180, 360], exact at every pixel, of (segment, frame, mask) [n, 3]."""
        batch, frame, mask = selection.unbind(1)
        pixels = _grid_vectors(ROWS, COLUMNS).to(self.centres.device)
        energies = _blob(self.centres[batch, frame, mask] @ pixels.T, self.width_deg)
        return energies.unflatten(1, (ROWS, COLUMNS))


class PeakRegions(Decoder):
    """Finds the peaks of each frame's map and turns each into a region.

    The map's mean over the sphere is its pedestal (low frequencies agree with every direction); heights are
    counted from there. A peak is a cell that none of its eight neighbours exceeds, neighbours across the seam
    and across the poles included.
    """

    def __init__(self, config: PeakRegionsConfig, sphere: SphereSpec):
        self.config = config
        config.output(sphere)  # refuses a map that is no steered power
        self.grid = (sphere.height, sphere.width)
        self.vectors = _grid_vectors(*self.grid)
        self.area = _cell_areas(*self.grid)

    def __call__(self, sphere: torch.Tensor) -> Candidates:
        """Return one candidate per region and class.

        Args:
            sphere: [B, N, 1, h, w] steered power.

        Returns:
            Candidates with R = `peaks` masks, strongest first, and Q = 13 R candidates: candidate
            13 r + c is region r as class c. Slots without a peak have score 0.
        """
        self.vectors, self.area = self.vectors.to(sphere.device), self.area.to(sphere.device)
        batch = sphere.shape[:2]
        heights = sphere[:, :, 0].flatten(2).flatten(0, 1)  # [n, G]
        heights = heights - (heights @ self.area)[:, None]
        cells, contrasts = self._peaks(heights)
        centres = self._refined(heights, cells)
        if self.config.shape == "disc":
            energies = _blob(centres @ self.vectors.T, self.config.disc_width_deg)
            extra = {"centres": centres.unflatten(0, batch), "width_deg": self.config.disc_width_deg}
            kind = DiscCandidates
        else:
            energies = self._regions(heights, cells, contrasts)
            extra = {"energies": energies.unflatten(0, batch).unflatten(3, self.grid)}
            kind = RegionCandidates
        logits = energies.clamp(_LEAST_ENERGY, 1 - _LEAST_ENERGY).logit()
        return kind(
            class_logits=_one_hot_logits(contrasts.unflatten(0, batch)),
            scores=self._scores(contrasts).unflatten(0, batch).repeat_interleave(CLASSES, dim=2),
            mask_logits=logits.unflatten(0, batch).unflatten(3, self.grid),
            mask_of=torch.arange(self.config.peaks, device=sphere.device).repeat_interleave(CLASSES),
            **extra,
        )

    def _peaks(self, heights):
        """Return cells [n, R] and heights [n, R] of the peaks, strongest first; -inf where there is none."""
        maps = heights.unflatten(1, self.grid)
        highest_around = F.max_pool2d(_pad_on_sphere(maps)[:, None], 3, stride=1)[:, 0]
        open_peaks = torch.where(maps >= highest_around, maps, -torch.inf).flatten(1)
        least_cosine = math.cos(math.radians(self.config.min_separation_deg))
        cells, contrasts = [], []
        for _ in range(self.config.peaks):
            contrast, cell = open_peaks.max(dim=1)
            cells.append(cell)
            contrasts.append(contrast)
            close = self.vectors[cell] @ self.vectors.T > least_cosine
            open_peaks = open_peaks.masked_fill(close, -torch.inf)
        return torch.stack(cells, 1), torch.stack(contrasts, 1)

    def _refined(self, heights, cells):
        """Return unit vectors [n, R, 3] of the peaks, between cells: a parabola along each axis."""
        height, width = self.grid
        rows, columns = cells // width, cells % width
        padded = _pad_on_sphere(heights.unflatten(1, self.grid))
        frame = torch.arange(len(heights), device=heights.device)[:, None]
        middle = padded[frame, rows + 1, columns + 1]
        down = _vertex(padded[frame, rows, columns + 1], middle, padded[frame, rows + 2, columns + 1])
        right = _vertex(padded[frame, rows + 1, columns], middle, padded[frame, rows + 1, columns + 2])
        y = (rows + down + 0.5) * (ROWS / height) - 0.5
        x = (columns + right + 0.5) * (COLUMNS / width) - 0.5
        return _vectors_at(x, y)

    def _regions(self, heights, cells, contrasts):
        """Return energies [n, R, G]: heights relative to the peak; each cell in one region at most."""
        config = self.config
        energies = heights[:, None] / contrasts.clamp_min(torch.finfo(heights.dtype).tiny)[:, :, None]
        cosines = self.vectors[cells] @ self.vectors.T  # [n, R, G]
        cosines = cosines.masked_fill(contrasts[:, :, None] <= 0, -torch.inf)
        nearest = F.one_hot(cosines.argmax(1), config.peaks).transpose(1, 2).bool()
        near = cosines >= math.cos(math.radians(config.region_radius_deg))
        return torch.where(nearest & near & (energies >= config.region_fraction), energies, 0).clamp(0, 1)

    def _scores(self, contrasts):
        """Return scores [n, R] in [0, 1] of peaks that stand [n, R] above the mean, strongest first."""
        config = self.config
        rise = (contrasts - config.contrast_at_zero) / (config.contrast_at_one - config.contrast_at_zero)
        dominance = contrasts.clamp_min(0) / contrasts[:, :1].clamp_min(torch.finfo(contrasts.dtype).tiny)
        return rise.clamp(0, 1) * dominance**config.dominance_exponent


def _one_hot_logits(regions):
    """Return class logits [B, N, 13 R, 14] that leave no doubt, for anything shaped [B, N, R]."""
    own = F.pad(_SURE * torch.eye(CLASSES, device=regions.device), (0, 1))
    return own.repeat(regions.shape[2], 1).expand(*regions.shape[:2], -1, -1)


def _blob(cosines, width_deg):
    """Return exp(-chord^2 / (2 width^2)) for cosines of the angle to the centre."""
    return torch.exp((cosines.clamp(max=1) - 1) / math.radians(width_deg) ** 2)


def _vertex(before, middle, after):
    """Return where the parabola through three equidistant values has its maximum, in [-0.5, 0.5]."""
    bend = (2 * middle - before - after).clamp_min(torch.finfo(middle.dtype).tiny)
    return (0.5 * (after - before) / bend).clamp(-0.5, 0.5)


def _pad_on_sphere(maps):
    """Return maps [n, h + 2, w + 2] with their neighbours across the poles and the seam."""
    half = maps.shape[2] // 2
    top, bottom = maps[:, :1].roll(half, 2), maps[:, -1:].roll(half, 2)
    return F.pad(torch.cat([top, maps, bottom], 1), (1, 1, 0, 0), mode="circular")


def _vectors_at(x, y):
    """Return unit vectors [..., 3] of pixel positions (fractions allowed)."""
    vectors = unit_vectors(azimuth_deg(x.cpu().numpy()), elevation_deg(y.cpu().numpy()))
    return torch.from_numpy(vectors).to(x.device, torch.float32)


def _grid_vectors(height, width):
    """Return the unit vectors [G, 3] of a grid's cells, row by row."""
    azimuth, elevation = grid_directions(height, width)
    return torch.from_numpy(unit_vectors(azimuth[None, :], elevation[:, None]).reshape(-1, 3)).float()


def _cell_areas(height, width):
    """Return the share of the sphere [G] that each cell of a grid stands for."""
    _, elevation = grid_directions(height, width)
    cosines = torch.from_numpy(elevation).deg2rad().cos().float()
    return (cosines / (cosines.sum() * width)).repeat_interleave(width)
