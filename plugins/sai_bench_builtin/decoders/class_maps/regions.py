"""Peaks of class maps and the regions around them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from sai_bench.sphere import CLASSES, grid_directions, unit_vectors
from sai_bench_builtin.configs.class_maps import ClassDiscsConfig, ClassMapsConfig
from sai_bench_builtin.decoders.class_maps.network import MapLogits
from sai_bench_builtin.sphere_padding import pad_on_sphere

OUTSIDE = -30.0
"""Logit of a mask outside its region: no energy in float32."""

_OTHER = -30.0
"""Logit of the classes that a candidate is not."""


@dataclass(frozen=True)
class FoundRegions:
    """The R most probable regions of n label frames.

    Attributes:
        classes: [n, R] class of each.
        activity: [n, R] logit of whether that class sounds.
        cells: [n, R] where it peaks, cell number in the map.
        peaks: [n, R] logit of the map there; -inf: there is no such region.
        inside: [n, R, h, w] which cells belong to it.
    """

    classes: torch.Tensor
    activity: torch.Tensor
    cells: torch.Tensor
    peaks: torch.Tensor
    inside: torch.Tensor

    @property
    def frames(self) -> torch.Tensor:
        """Return the number of each one's label frame, [n, 1]."""
        return torch.arange(len(self.classes), device=self.classes.device)[:, None]

    def class_logits(self) -> torch.Tensor:
        """Return class logits [n, R, K+1]: its class as probable as it sounds, or nothing."""
        result = self.activity.new_full((*self.activity.shape, CLASSES + 1), _OTHER)
        result.scatter_(2, self.classes[..., None], self.activity.clamp_min(_OTHER / 2)[..., None])
        result[..., CLASSES] = 0
        return result


def cell_vectors(height: int, width: int) -> torch.Tensor:
    """Return the unit vectors [G, 3] of a grid's cells, row by row."""
    azimuth, elevation = grid_directions(height, width)
    return torch.from_numpy(unit_vectors(azimuth[None, :], elevation[:, None]).reshape(-1, 3)).float()


def find_regions(
    logits: MapLogits, vectors: torch.Tensor, config: ClassMapsConfig | ClassDiscsConfig
) -> FoundRegions:
    """Return the regions around the peaks of class maps, the most probable ones of each frame first.

    A peak is a cell that none of its eight neighbours exceeds, neighbours across the seam and the poles
    included. A region is what is nearer to its peak than to others of its class, and near enough.

    Args:
        logits: of n label frames.
        vectors: [G, 3] directions of the map's cells.
        config: how many regions, how far apart, how large.
    """
    classes = _likely_classes(logits, config.candidates)  # [n, C]
    frame = torch.arange(len(classes), device=classes.device)[:, None]
    maps, activity = logits.maps[frame, classes], logits.activity[frame, classes]
    cells, peaks = _class_peaks(maps, vectors, config)  # [n, C, P]
    probability = (F.logsigmoid(activity)[:, :, None] + F.logsigmoid(peaks)).flatten(1)
    chosen = probability.topk(min(config.candidates, probability.shape[1]), dim=1).indices
    owner, number = chosen // peaks.shape[2], chosen % peaks.shape[2]  # [n, R]
    inside = _territory(cells[frame, owner], peaks[frame, owner], number, vectors, config.region_radius_deg)
    return FoundRegions(
        classes[frame, owner],
        activity[frame, owner],
        cells.flatten(1).gather(1, chosen),
        peaks.flatten(1).gather(1, chosen),
        inside.unflatten(2, maps.shape[2:]),
    )


def _likely_classes(logits, count):
    """Return the classes [n, C] whose highest peaks are the most probable; no others can be among `count`."""
    highest = F.logsigmoid(logits.activity) + F.logsigmoid(logits.maps.amax((2, 3)))
    return highest.topk(min(count, highest.shape[1]), dim=1).indices


def _class_peaks(maps, vectors, config):
    """Return cells and logits [n, C, P] of each map's peaks, highest first; -inf where there is none."""
    open_peaks = torch.where(maps >= _highest_around(maps), maps, -torch.inf).flatten(2)  # [n, C, G]
    least_cosine = math.cos(math.radians(config.min_separation_deg))
    cells, peaks = [], []
    for number in range(config.peaks_per_class):
        peak, cell = open_peaks.max(dim=2)
        if number:
            enough = peak.sigmoid() >= config.least_share * peaks[0].sigmoid()
            peak = peak.masked_fill(~enough, -torch.inf)
        cells.append(cell)
        peaks.append(peak)
        if number + 1 < config.peaks_per_class:
            close = vectors[cell] @ vectors.T > least_cosine
            open_peaks = open_peaks.masked_fill(close, -torch.inf)
    return torch.stack(cells, 2), torch.stack(peaks, 2)


def _highest_around(maps):
    """Return the highest of each cell of maps [n, C, h, w] and its eight neighbours."""
    padded = pad_on_sphere(maps, 1)
    rows = torch.maximum(torch.maximum(padded[:, :, :-2], padded[:, :, 1:-1]), padded[:, :, 2:])
    return torch.maximum(torch.maximum(rows[..., :-2], rows[..., 1:-1]), rows[..., 2:])


def _territory(cells, peaks, number, vectors, radius_deg):
    """Return which cells [n, R, G] belong to a peak: near enough, and no other of its class is nearer.

    Between two peaks that are equally near, a cell belongs to the higher one.

    Args:
        cells: [n, R, P] all peaks of each candidate's class.
        peaks: [n, R, P] their logits, -inf where there is none.
        number: [n, R] which of them is the candidate's own.
        vectors: [G, 3].
        radius_deg: what is near.
    """
    own = cells.gather(2, number[..., None])[..., 0]
    to_own = vectors[own] @ vectors.T  # [n, R, G]
    inside = to_own >= math.cos(math.radians(radius_deg))
    for other in range(cells.shape[2]):
        rival = peaks[..., other].isfinite() & (number != other)
        if rival.any():
            to_other = vectors[cells[..., other]] @ vectors.T
            nearer = torch.where((number < other)[..., None], to_own >= to_other, to_own > to_other)
            inside &= nearer | ~rival[..., None]
    return inside
