"""Where the April evaluator (2026-04-02) draws a point: a rectangular window whose artefacts change scores.

They are reproduced here on purpose:

- the half width in azimuth is 4 sigma / cos(elevation), too little close to a pole;
- a full ring of columns is drawn with one to three columns opposite to the point painted twice;
- a window that leaves the image on both sides loses its middle, the point included;
- a window wholly outside the image is painted over the full ring, and once more where it would have wrapped.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from sai_bench.compilation import compiled
from sai_bench.sphere import COLUMNS, ROWS

WINDOW_SIGMAS = 4
SMALLEST_COSINE = 0.087
"""The cosine of elevation is not taken below this (85 degrees) when a window gets its width."""

_FAR_COLUMN, _FAR_ROW = 9e18, 1e4


@numba.njit(fastmath=False)  # not even where the caller allows it: the order of operations decides
def window(x, y, cut_deg):
    """Return rows [first, last) and, before wrapping, columns [left, right) of a point's window.

    Args:
        x: column of the point.
        y: row of the point.
        cut_deg: `WINDOW_SIGMAS` sigma, half the height of a window.
    """
    # Columns must fit an integer: one that does not gets the ring of columns of the last that does, where
    # the evaluator may double others. Rows that far out draw nothing, however far.
    x, y = min(max(x, -_FAR_COLUMN), _FAR_COLUMN), min(max(y, -_FAR_ROW), _FAR_ROW)
    # Degrees to radians and back, / 360 * 360: a last bit lost here doubles a column of a full ring.
    azimuth = math.degrees(math.radians(x / COLUMNS * 360.0 - 180.0))
    elevation = 90.0 - y * 180.0 / (ROWS - 1)
    cosine = max(math.cos(math.radians(elevation)), SMALLEST_COSINE)
    half_width = min(cut_deg / cosine, 180.0)
    top, bottom = min(elevation + cut_deg, 90.0), max(elevation - cut_deg, -90.0)
    first = math.floor((90.0 - top) / 180.0 * (ROWS - 1))
    last = math.ceil((90.0 - bottom) / 180.0 * (ROWS - 1)) + 1
    left = math.floor((azimuth - half_width + 180.0) / 360.0 * COLUMNS)
    right = math.ceil((azimuth + half_width + 180.0) / 360.0 * COLUMNS) + 1
    return first, last, left, right


@numba.njit
def column_ranges(left, right):
    """Return the two ranges of image columns that a window is painted in; the second may be empty."""
    if left >= 0 and right <= COLUMNS:
        return (left, right), (0, 0)
    stop = right % COLUMNS
    return (0, stop if stop else COLUMNS), (left % COLUMNS, COLUMNS)


@compiled("int64[:, ::1](float64[:, ::1], float64)")
def painted_ranges(points, cut_deg):
    """Return for each point [n, 3] the rows [first, last) and both ranges of columns: [n, 6]."""
    ranges = np.empty((len(points), 6), np.int64)
    for i in range(len(points)):
        first, last, left, right = window(points[i, 0], points[i, 1], cut_deg)
        ranges[i, 0], ranges[i, 1] = first, last
        for k, (start, stop) in enumerate(column_ranges(left, right)):
            ranges[i, 2 + 2 * k], ranges[i, 3 + 2 * k] = start, stop
    return ranges
