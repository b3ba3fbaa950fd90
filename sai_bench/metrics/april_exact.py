"""Energies to the last bit: the April evaluator's float32 operations in its own order. Slow."""

from __future__ import annotations

import math

import numpy as np

from sai_bench.metrics.april_windows import WINDOW_SIGMAS, painted_ranges
from sai_bench.sphere import COLUMNS, ROWS, elevation_deg

# The evaluator's own azimuth, x - 180: the mirror image of this project's, so its maps are the same pictures.
_ROW_ELEVATION = np.radians(elevation_deg(np.arange(ROWS))).astype(np.float32)
_ROW_COSINE = np.cos(_ROW_ELEVATION)
_COLUMN_AZIMUTH = np.radians(np.arange(COLUMNS) - 180.0).astype(np.float32)

_MOST_TERMS = 1 << 20  # of a block, to bound the memory


def exact_map(points: np.ndarray, sigma_deg: float) -> np.ndarray:
    """Return the energy map [180, 360] float32 of points [n, 3] with finite x and y, window by window."""
    energy_map = np.zeros((ROWS, COLUMNS), np.float32)
    ranges = painted_ranges(points, WINDOW_SIGMAS * sigma_deg).tolist()
    for point, (first, last, *columns) in zip(points, ranges, strict=True):
        rows = slice(first, max(first, last))  # none, if the point is far above or below the image
        for window in (slice(*columns[:2]), slice(*columns[2:])):
            blob = _blobs(point[None], np.arange(ROWS)[rows, None], np.arange(COLUMNS)[window], sigma_deg)
            energy_map[rows, window] += blob[0]
    return energy_map


def exact_energies(points: np.ndarray, rows: np.ndarray, columns: np.ndarray, sigma_deg: float) -> np.ndarray:
    """Return the energy map's values [m] float32 at the pixels (rows, columns) [m]."""
    total = np.zeros((1, len(rows)), np.float32)
    step = max(1, _MOST_TERMS // len(rows))
    for start in range(0, len(points), step):
        block = points[start : start + step]
        first, last, *painted = painted_ranges(block, WINDOW_SIGMAS * sigma_deg).T[:, :, None]
        inside = (first <= rows) & (rows < last)
        blobs = _blobs(block, rows, columns, sigma_deg)
        # A pixel in both ranges gets the blob twice, one after the other.
        terms = [
            np.where(inside & (left <= columns) & (columns < right), blobs, np.float32(0))
            for left, right in (painted[:2], painted[2:])
        ]
        terms = np.stack(terms, axis=1).reshape(-1, len(rows))
        # Accumulation keeps the order of summands, a sum would not.
        total = np.add.accumulate(np.concatenate([total, terms]))[-1:]
    return total[0]


def _blobs(points: np.ndarray, rows: np.ndarray, columns: np.ndarray, sigma_deg: float) -> np.ndarray:
    """Return what each point adds to each pixel [n, ...] float32; `rows` and `columns` broadcast."""
    along_axes = (slice(None),) + (None,) * max(rows.ndim, columns.ndim)
    azimuth = np.radians(points[:, 0] / COLUMNS * 360.0 - 180.0)
    elevation = np.radians(elevation_deg(points[:, 1]))
    azimuth_f, elevation_f, cosine_f, energy_f = (
        values.astype(np.float32)[along_axes]
        for values in (azimuth, elevation, np.cos(elevation), points[:, 2])
    )
    blobs = cosine_f * _ROW_COSINE[rows] * np.sin((_COLUMN_AZIMUTH[columns] - azimuth_f) / 2) ** 2
    blobs = blobs + np.sin((_ROW_ELEVATION[rows] - elevation_f) / 2) ** 2
    blobs /= -(math.radians(sigma_deg) ** 2) / 2
    return np.exp(blobs, out=blobs) * energy_f
