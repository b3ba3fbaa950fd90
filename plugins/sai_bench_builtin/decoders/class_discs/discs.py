"""Discs on the sphere, how well they agree, and which one is expected to agree best."""

from __future__ import annotations

import math

import numpy as np
import torch

from sai_bench_builtin.configs.class_maps import ClassDiscsConfig

_MARGIN = 0.05
"""Soft IoUs this close to a threshold may pass it or not: regions are no exact discs."""

_STEP_DEG = 0.5
"""Spacing of the grid on which discs are compared, at most."""

_CELLS_ACROSS = 160
"""Cells of that grid from side to side, at most."""

_LEAST_ENERGY = 0.05
"""Weaker energies of masks do not count here.

Where an export cuts masks off is a key of its own (`export.mask_energy`, 0.10) that a decoder does not know.
With 0.10 here, entries of the default table would differ by 0.001 on average and 0.054 at most.
"""

_LEAST_AREA = 1e-3
"""Cells whose centre is a pole have an area, too."""


def angles_deg(directions: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Return the angles [m, G] between unit vectors [m, 3] and [G, 3], in degrees."""
    return torch.rad2deg(torch.acos((directions @ others.T).clamp(-1, 1)))


def disc_energies(distance_deg, radius_deg, config: ClassDiscsConfig):
    """Return energies in [0, 1] at given distances from the centre of discs, 1 there, arrays or tensors.

    Args:
        distance_deg: [...].
        radius_deg: where the energy is about half of `rim_energy`; broadcast with the distances.
        config: how the energy falls towards the rim, and how soft the edge is.
    """
    exp = torch.exp if isinstance(distance_deg, torch.Tensor) else np.exp
    beyond = ((distance_deg - radius_deg) / config.edge_deg).clip(-60, 60)
    inside = exp(math.log(config.rim_energy) * (distance_deg / radius_deg) ** 2)
    return inside * (1 + math.e ** (-radius_deg / config.edge_deg)) / (1 + exp(beyond))


def agreement_table(config: ClassDiscsConfig) -> torch.Tensor:
    """Return how well discs agree: [S masks, S regions, D + 1 distances of 0 ... D whole degrees].

    An entry is the share of `iou_thresholds` that two discs of these extents pass whose centres are that far
    apart; from D on none. A threshold t is passed in part if the soft IoU is near it: from 0 at t - 0.05 up
    to 1 at t + 0.05, half at t, since regions are no exact discs. Of masks the energies below 0.05 are left
    out, of regions none. Discs are compared on a plane, on which small ones almost lie, and drawn finely:
    what the cells of a map make of them is not in the table.
    """
    extents = np.array(config.extents_deg)
    reach = extents.max() + config.edge_deg * math.log(1 / _LEAST_ENERGY)
    furthest = math.ceil(2 * reach)
    step = max(_STEP_DEG, 2 * reach / _CELLS_ACROSS)
    y, x = np.mgrid[-reach : reach + step : step, -reach : reach + step : step]
    regions = disc_energies(np.hypot(y, x), extents[:, None, None], config).reshape(len(extents), -1)
    areas = np.where(regions > _LEAST_ENERGY, regions, 0).sum(1)  # of masks; a shifted one may leave the grid
    table = np.zeros((len(extents), len(extents), furthest + 1))
    for distance in range(furthest):
        shifted = np.hypot(y, x - distance)
        masks = disc_energies(shifted, extents[:, None, None], config).reshape(len(extents), -1)
        masks = np.where(masks > _LEAST_ENERGY, masks, 0)
        for number, (mask, area) in enumerate(zip(masks, areas, strict=True)):
            common = np.minimum(mask, regions).sum(1)
            iou = common / (area + regions.sum(1) - common)
            over = (iou[:, None] - np.array(config.iou_thresholds)) / (2 * _MARGIN) + 0.5
            table[number, :, distance] = over.clip(0, 1).mean(1)
    return torch.from_numpy(table).float()


def best_discs(
    places: torch.Tensor,
    extents: torch.Tensor,
    centres: torch.Tensor,
    vectors: torch.Tensor,
    table: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return for discs around given centres which extent is expected to agree best, and how well.

    Args:
        places: [m, G] probability that the region's centre lies in a cell; they sum to 1 or less. The rest is
            elsewhere, where no disc agrees with it.
        extents: [m, S] probability of each extent of the region.
        centres: [m, 3] unit vectors, where the mask's centre would be.
        vectors: [G, 3] directions of the cells.
        table: from `agreement_table`.

    Returns:
        numbers of the extents [m] and expected agreement [m] in [0, 1].
    """
    furthest = table.shape[2] - 1
    distances = angles_deg(centres, vectors).round().long().clamp_max(furthest)
    shares = places.new_zeros(len(places), furthest + 1).scatter_add(1, distances, places)
    expected = torch.einsum("md,msd->ms", shares, torch.einsum("std,mt->msd", table, extents))
    agreement, number = expected.max(1)
    return number, agreement


def region_centres(shares: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Return the directions [m, 3] where shares [m, G] of cells balance, of probability or energy.

    Of energies, a cell's share is that times its area (`cell_areas`).
    """
    return torch.nn.functional.normalize(shares @ vectors, dim=1)


def cell_areas(vectors: torch.Tensor) -> torch.Tensor:
    """Return the areas [G] of a grid's cells relative to those at the equator, from their directions [G, 3].

    All rows have as many cells, those near the poles on less of the sphere.
    """
    return (1 - vectors[:, 2].square()).clamp_min(_LEAST_AREA**2).sqrt()
