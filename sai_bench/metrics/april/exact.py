"""Energies to the last bit: the April evaluator's float32 operations in its own order. Slow."""

from __future__ import annotations

import math

import numpy as np

from sai_bench.compilation import compiled
from sai_bench.metrics.april.windows import WINDOW_SIGMAS, column_ranges, painted_ranges, window
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
    for (first, last, *columns), *point in zip(ranges, *_float32_points(points), strict=True):
        for left, right in (columns[:2], columns[2:]):
            if first < last and left < right:  # else the point is far above or below the image, or not cut
                window = slice(first, last), slice(left, right)
                rows, columns_of_row = np.s_[first:last, None], np.s_[left:right]
                energy_map[window] += _blobs(*point, rows, columns_of_row, sigma_deg)
    return energy_map


def exact_energies(points: np.ndarray, rows: np.ndarray, columns: np.ndarray, sigma_deg: float) -> np.ndarray:
    """Return the energy map's values [m] float32 at the pixels (rows, columns) [m]."""
    total = np.zeros(len(rows), np.float32)
    step = max(1, _MOST_TERMS // max(1, len(rows)))
    for start in range(0, len(points), step):
        block = np.ascontiguousarray(points[start : start + step])
        blobs = _blobs(*_float32_points(block), rows[:, None], columns[:, None], sigma_deg)
        _add_in_order(block, rows, columns, blobs, WINDOW_SIGMAS * sigma_deg, total)
    return total


def _float32_points(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return azimuth, elevation, its cosine and energy of each point [n] as the evaluator has them."""
    x, y, energy = np.ascontiguousarray(points.T)
    azimuth, elevation = np.radians(x / COLUMNS * 360.0 - 180.0), np.radians(elevation_deg(y))
    values = azimuth, elevation, np.cos(elevation), energy
    return tuple(value.astype(np.float32) for value in values)


def _blobs(azimuth, elevation, cosine, energy, rows, columns, sigma_deg: float) -> np.ndarray:
    """Return what points, as from `_float32_points`, add to pixels; everything broadcasts.

    NumPy's own float32 sine and exponential are needed: others differ in the last bit.
    """
    blobs = cosine * _ROW_COSINE[rows] * np.sin((_COLUMN_AZIMUTH[columns] - azimuth) / 2) ** 2
    blobs = blobs + np.sin((_ROW_ELEVATION[rows] - elevation) / 2) ** 2
    blobs /= -(math.radians(sigma_deg) ** 2) / 2
    np.exp(blobs, out=blobs)
    blobs *= energy
    return blobs


@compiled("void(float64[:, ::1], int64[::1], int64[::1], float32[:, ::1], float64, float32[::1])")
def _add_in_order(points, rows, columns, blobs, cut_deg, total):
    """Add the blobs [m, n] of points [n, 3] to m pixels, point by point, each as often as it is painted."""
    for i in range(len(points)):
        first, last, left, right = window(points[i, 0], points[i, 1], cut_deg)
        for start, stop in column_ranges(left, right):
            for j in range(len(rows)):
                if first <= rows[j] < last and start <= columns[j] < stop:
                    total[j] += blobs[j, i]
