"""The report's compression rule: the strongest point of each grid cell, and boundary support for weak masks.

Report, section 3.3.2; the details of the boundary support follow the authors' later release. A mask of one
recording is a run of rows in one long point table, so that the whole recording is thinned at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sai_bench.interfaces import Compressor
from sai_bench.sphere import COLUMNS, ROWS
from sai_bench_builtin.configs.compressor import GridSupportConfig

MASKS_AT_ONCE = 64
"""Bounds the memory for grid cells, whatever the length of the recording."""

STEPS_PER_PX = 1000
"""Prediction files hold three decimals: points closer than this are one point."""


@dataclass(frozen=True)
class _Table:
    """Points of several masks: row i belongs to mask `mask[i]`; masks are in rising order."""

    points: np.ndarray  # [n, 3] of (x, y, energy)
    mask: np.ndarray  # [n]

    def __getitem__(self, chosen: np.ndarray) -> _Table:
        return _Table(self.points[chosen], self.mask[chosen])


class GridSupport(Compressor):
    """Drop what the evaluator's 10% threshold hides, then thin on a grid.

    1. Points below `floor` times the peak of their mask go.
    2. The strongest point of each grid cell stays exactly as it is (the first of equals): cells of
       `strong_cell_px` pixels for scores >= `strong_score`, else of `weak_cell_px`. Grids start at pixel
       (0, 0), no cell crosses the seam.
    3. A weak detection gets boundary support against shrinkage: its points between `floor` and
       `boundary_ceiling` of the peak (all its points if there are none), thinned on a grid of
       `boundary_cell_px`, each surrounded by `support_copies` points at `support_radius_px` with
       `support_energy` times the peak; x wraps around the seam, y is clipped at the poles. Where two points
       meet, the stronger one stays.

    Kept points come first and in their old order, so the strongest point of a mask (where evaluators match
    detections with labels) does not move. Whole-numbered coordinates stay whole.
    """

    def __init__(self, config: GridSupportConfig):
        self.config = config

    def __call__(self, point_sets: Sequence[np.ndarray], scores: np.ndarray) -> list[np.ndarray]:
        """Return the thinned point sets of one recording.

        Args:
            point_sets: arrays [n_i, 3] of (x, y, energy).
            scores: [len(point_sets)] fused scores.

        Returns:
            float64 arrays [m_i, 3]; m_i = 0 only where n_i = 0.
        """
        scores = np.asarray(scores, dtype=float)
        thinned = []
        for start in range(0, len(point_sets), MASKS_AT_ONCE):
            part = slice(start, start + MASKS_AT_ONCE)
            thinned += self._compress(point_sets[part], scores[part])
        return thinned

    def _compress(self, point_sets: Sequence[np.ndarray], scores: np.ndarray) -> list[np.ndarray]:
        config = self.config
        sizes = [len(points) for points in point_sets]
        if not sum(sizes):
            return [np.empty((0, 3)) for _ in sizes]
        table = _Table(
            np.concatenate([np.asarray(points, dtype=float).reshape(-1, 3) for points in point_sets]),
            np.repeat(np.arange(len(sizes)), sizes),
        )
        peaks = _peaks(table, len(sizes))
        table = table[table.points[:, 2] >= config.floor * peaks[table.mask]]
        strong = scores[table.mask] >= config.strong_score
        weak_dense = table[~strong]
        weak = _thin(weak_dense, config.weak_cell_px)
        if config.support_copies:
            weak = self._with_support(weak, weak_dense, peaks)
        parts = [_thin(table[strong], config.strong_cell_px), weak]
        return _split(parts, len(sizes))

    def _with_support(self, kept: _Table, dense: _Table, peaks: np.ndarray) -> _Table:
        """Return `kept` and, behind each mask's points, its boundary support."""
        config = self.config
        table = kept if config.boundary_from == "grid" else dense
        low = table.points[:, 2] <= config.boundary_ceiling * peaks[table.mask]
        has_low = np.zeros(len(peaks), dtype=bool)
        has_low[table.mask[low]] = True
        boundary = _thin(table[low | ~has_low[table.mask]], config.boundary_cell_px)
        copies = _copies_around(boundary, config.support_copies, config.support_radius_px)
        copies.points[:, 2] = config.support_energy * peaks[copies.mask]
        everything = _Table(
            np.concatenate([kept.points, copies.points]), np.concatenate([kept.mask, copies.mask])
        )
        everything = everything[np.argsort(everything.mask, kind="stable")]
        _, position = np.unique(_positions(everything), return_inverse=True)
        return everything[_strongest(position, everything.points[:, 2])]


def _peaks(table: _Table, masks: int) -> np.ndarray:
    """Return the largest energy of each mask, [masks]."""
    peaks = np.zeros(masks)
    np.maximum.at(peaks, table.mask, table.points[:, 2])
    return peaks


def _thin(table: _Table, cell_px: int) -> _Table:
    """Keep the strongest point of each cell of each mask."""
    rows, columns = -(-ROWS // cell_px), -(-COLUMNS // cell_px)
    cell_x = (table.points[:, 0] // cell_px).astype(np.int64) % columns
    cell_y = (table.points[:, 1] // cell_px).astype(np.int64)
    cell = (table.mask * rows + cell_y) * columns + cell_x
    return table[_strongest(cell, table.points[:, 2])]


def _strongest(group: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Return the rising indices of the strongest member of each group; the first of equals.

    Scattering into one slot a group needs no sort. Group numbers should not be much larger than their count.
    """
    if not len(group):
        return np.empty(0, dtype=np.int64)
    best = np.full(group.max() + 1, -np.inf)
    np.maximum.at(best, group, energy)
    candidates = np.flatnonzero(energy == best[group])
    first = np.full(len(best), len(group))
    np.minimum.at(first, group[candidates], candidates)
    return candidates[first[group[candidates]] == candidates]


def _copies_around(table: _Table, copies: int, radius_px: float) -> _Table:
    """Return `copies` points on a circle of `radius_px` around each point, energies as they were."""
    angles = 2 * np.pi * np.arange(copies) / copies
    around = np.repeat(table.points, copies, axis=0)
    around[:, 0] += np.tile(np.rint(radius_px * np.cos(angles)), len(table.points))
    around[:, 1] += np.tile(np.rint(radius_px * np.sin(angles)), len(table.points))
    around[:, 0] %= COLUMNS
    around[:, 1] = np.clip(around[:, 1], 0, ROWS - 1)
    return _Table(around, np.repeat(table.mask, copies))


def _positions(table: _Table) -> np.ndarray:
    """Return one integer for each distinct position of each mask, [n]."""
    x, y = np.rint(table.points[:, :2] * STEPS_PER_PX).astype(np.int64).T
    return (table.mask * (ROWS * STEPS_PER_PX) + y) * (COLUMNS * STEPS_PER_PX) + x % (COLUMNS * STEPS_PER_PX)


def _split(parts: Sequence[_Table], masks: int) -> list[np.ndarray]:
    """Return the points of each mask; every mask stands in one of the tables only."""
    sets = [np.empty((0, 3))] * masks
    for table in parts:
        for index, points in zip(*_runs(table), strict=True):
            sets[index] = points
    return sets


def _runs(table: _Table) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the masks that have points, and the points of each."""
    masks, starts = np.unique(table.mask, return_index=True)
    return masks, np.split(table.points, starts[1:]) if len(masks) else []
