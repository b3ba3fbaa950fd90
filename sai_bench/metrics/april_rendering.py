"""The energy map that the April evaluator (2026-04-02) draws from the points of one annotation.

Each point [x, y, energy] becomes a Gaussian of chord length on the unit sphere,

    energy * exp(-(2 sin(d/2))^2 / (2 sigma^2)),    d the great-circle angle to the point,

drawn in float32 and only inside a rectangular window of rows and columns. The window has artefacts that
change scores, so they are reproduced here on purpose:

- its half width in azimuth is 4 sigma / cos(elevation), too little close to a pole;
- a full ring of columns is drawn with one to three columns opposite to the point painted twice;
- a window that leaves the image on both sides loses its middle, the point included;
- a window wholly outside the image is painted over the full ring, and once more where it would have wrapped.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numba
import numpy as np

from sai_bench.errors import AnnotationError
from sai_bench.sphere import COLUMNS, ROWS, elevation_deg

WINDOW_SIGMAS = 4
SMALLEST_COSINE = 0.087
"""The cosine of elevation is not taken below this (85 degrees) when a window gets its width."""

LOWEST_PEAK = 1e-9
"""A map with a lower peak is no region at all: the annotation is removed."""

_HALF_PIXEL_DIAGONAL_RAD = 0.0125
_CHUNK_POINTS = 1024

# The evaluator's own azimuth, x - 180: the mirror image of this project's, so its maps are the same pictures.
_ROW_ELEVATION = np.radians(elevation_deg(np.arange(ROWS))).astype(np.float32)
_ROW_COSINE = np.cos(_ROW_ELEVATION)
_COLUMN_AZIMUTH = np.radians(np.arange(COLUMNS) - 180.0).astype(np.float32)


class _Windows(NamedTuple):
    """The windows of n points: rows [first, last) and, before wrapping, columns [left, right)."""

    first_row: np.ndarray
    last_row: np.ndarray
    left: np.ndarray
    right: np.ndarray


@lru_cache(maxsize=2)
def april_renderer(sigma_deg: float) -> AprilRenderer:
    """Return this process's renderer for a kernel width; its kernels serve all recordings."""
    return AprilRenderer(sigma_deg)


class AprilRenderer:
    """Draws energy maps with one kernel width; keeps the kernels of points on whole pixels."""

    def __init__(self, sigma_deg: float):
        """Prepare for kernels of `sigma_deg` degrees."""
        self._cut_deg = WINDOW_SIGMAS * sigma_deg
        self._sigma = math.radians(sigma_deg)
        # The kernel of each image row, computed when first needed: [180, window rows, columns -360 ... 359].
        window_rows = min(ROWS, 2 * math.ceil(self._cut_deg) + 3)
        self._kernels = np.empty((ROWS, window_rows, 2 * COLUMNS), np.float32)
        self._has_kernel = np.zeros(ROWS, bool)

    def render(self, points: np.ndarray) -> np.ndarray:
        """Return the energy map [180, 360] float32 of points [n, 3] float64 (x, y, energy).

        Raises:
            AnnotationError: a coordinate is not finite.
        """
        energy_map = np.zeros((ROWS, COLUMNS), np.float32)
        if not len(points):
            return energy_map
        if not np.isfinite(points[:, :2]).all():
            raise AnnotationError(
                "A point has x or y that is not a finite number. Expected [x, y, energy] with x a column and "
                "y a row of the 180 x 360 image; write the file again."
            )
        on_pixels = _on_pixels(points)
        # Infinite energies are legal: they make a region whose correlation is undefined.
        with np.errstate(invalid="ignore", over="ignore"):
            if on_pixels.any():
                self._add_on_pixels(energy_map, points[on_pixels])
            between = points[~on_pixels]
            for start in range(0, len(between), _CHUNK_POINTS):
                self._add_between_pixels(energy_map, between[start : start + _CHUNK_POINTS])
        return energy_map

    def surely_has_region(self, points: np.ndarray) -> bool:
        """Return True if the peak is certainly above `LOWEST_PEAK`, judged without drawing.

        False means that only drawing can tell.
        """
        if not len(points) or not np.isfinite(points).all() or points[:, 2].min() < 0:
            return False
        strongest = points[points[:, 2].argmax()]
        x, y, energy = strongest
        if not (0 <= x < COLUMNS and 0 <= y <= ROWS - 1):
            return False
        window = self._windows(strongest[None])
        keeps_its_middle = window.left[0] >= 0 or window.right[0] <= COLUMNS
        at_nearest_pixel = math.exp(-(_HALF_PIXEL_DIAGONAL_RAD**2) / (2 * self._sigma**2))
        return bool(keeps_its_middle and energy * at_nearest_pixel > 2 * LOWEST_PEAK)

    def _windows(self, points: np.ndarray) -> _Windows:
        azimuth = np.degrees(np.radians(_azimuth_deg(points)))
        elevation = elevation_deg(points[:, 1])
        top = np.minimum(elevation + self._cut_deg, 90.0)
        bottom = np.maximum(elevation - self._cut_deg, -90.0)
        cosine = np.maximum(np.cos(np.radians(elevation)), SMALLEST_COSINE)
        half_width = np.minimum(self._cut_deg / cosine, 180.0)
        # Degrees to radians and back, / 360 * 360: a last bit lost here doubles a column of a full ring.
        return _Windows(
            np.floor((90.0 - top) / 180.0 * (ROWS - 1)).astype(int),
            np.ceil((90.0 - bottom) / 180.0 * (ROWS - 1)).astype(int) + 1,
            np.floor((azimuth - half_width + 180.0) / 360.0 * COLUMNS).astype(int),
            np.ceil((azimuth + half_width + 180.0) / 360.0 * COLUMNS).astype(int) + 1,
        )

    def _add_on_pixels(self, energy_map: np.ndarray, points: np.ndarray) -> None:
        """Add points on whole pixels of the image: the kernel of the point's row, shifted in azimuth."""
        x, y = points[:, :2].astype(int).T
        windows = self._windows(points)
        for row in np.unique(y[~self._has_kernel[y]]):
            self._kernels[row] = self._kernel(row)
            self._has_kernel[row] = True
        _add_shifted_kernels(energy_map, self._kernels, x, y, points[:, 2].astype(np.float32), *windows)

    def _kernel(self, row: int) -> np.ndarray:
        """Return the blob of a unit point at (0, row): rows of its window, columns -360 ... 359."""
        first = self._windows(np.array([[0.0, row, 1.0]])).first_row[0]
        elevation = np.radians(elevation_deg(first + np.arange(self._kernels.shape[1])))
        own_elevation = np.radians(elevation_deg(row))
        across = np.sin(np.radians(np.arange(-COLUMNS, COLUMNS)) / 2) ** 2
        haversine = np.sin((elevation - own_elevation) / 2) ** 2
        haversine = haversine[:, None] + np.outer(np.cos(own_elevation) * np.cos(elevation), across)
        return np.exp(-2 * haversine / self._sigma**2)

    def _add_between_pixels(self, energy_map: np.ndarray, points: np.ndarray) -> None:
        """Add points anywhere, in the evaluator's float32 order of operations."""
        azimuth = np.radians(_azimuth_deg(points))
        elevation = np.radians(elevation_deg(points[:, 1]))
        along = np.sin((_ROW_ELEVATION - elevation[:, None].astype(np.float32)) / 2) ** 2
        weight = np.cos(elevation)[:, None].astype(np.float32) * _ROW_COSINE
        across = np.sin((_COLUMN_AZIMUTH - azimuth[:, None].astype(np.float32)) / 2) ** 2
        window = zip(*(part.tolist() for part in self._windows(points)), strict=True)
        for i, (energy, (first, last, left, right)) in enumerate(
            zip(points[:, 2].tolist(), window, strict=True)
        ):
            if last <= first:  # more than the window's height above or below the image
                continue
            for start, stop in _column_ranges(left, right):
                blob = np.multiply.outer(weight[i, first:last], across[i, start:stop])
                blob += along[i, first:last, None]
                blob /= -(self._sigma**2) / 2
                np.exp(blob, out=blob)
                blob *= energy
                energy_map[first:last, start:stop] += blob


def _azimuth_deg(points: np.ndarray) -> np.ndarray:
    return points[:, 0] / COLUMNS * 360.0 - 180.0


def _on_pixels(points: np.ndarray) -> np.ndarray:
    x, y = points[:, 0], points[:, 1]
    whole = (x == np.floor(x)) & (y == np.floor(y))
    return whole & (x >= 0) & (x < COLUMNS) & (y >= 0) & (y < ROWS)


@numba.njit(cache=True)
def _column_ranges(left, right):
    """Return the two ranges of image columns that a window is painted in; the second may be empty."""
    if left >= 0 and right <= COLUMNS:
        return (left, right), (0, 0)
    stop = right % COLUMNS
    return (0, stop if stop else COLUMNS), (left % COLUMNS, COLUMNS)


@numba.njit(cache=True)
def _add_shifted_kernels(energy_map, kernels, x, y, energy, first_row, last_row, left, right):
    """Add energy[i] times the kernel of row y[i], moved to column x[i], inside window i, for each point i."""
    for i in range(len(x)):
        for start, stop in _column_ranges(left[i], right[i]):
            shift = COLUMNS - x[i]
            for row in range(first_row[i], last_row[i]):
                # Views, so that the inner loop has no negative indices to check and becomes vector code.
                target = energy_map[row, start:stop]
                source = kernels[y[i], row - first_row[i], start + shift : stop + shift]
                for column in range(len(target)):
                    target[column] += source[column] * energy[i]
