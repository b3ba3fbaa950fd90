"""What one point on a whole pixel draws: the kernel of its image row, the same at every column."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from sai_bench.metrics.april.windows import painted_ranges
from sai_bench.sphere import COLUMNS, ROWS, elevation_deg

LANES = 16
"""Float32 numbers of a cache line, and of the widest vector registers."""

ROW_ELEVATION = np.radians(elevation_deg(np.arange(ROWS)))
ROW_COSINE = np.cos(ROW_ELEVATION)


class Kernels(NamedTuple):
    """What a point of energy 1 draws, for each image row that it may stand on.

    Attributes:
        values: of all kernels; each row has `LANES` zeros at its left and enough at its right, so that it
            may be added to more columns than its window has.
        layout: [180, 6] of each image row: first row of the kernel, how many (0: no kernel), first column
            relative to the point, columns of the window, columns of a stored row, place in `values`.
    """

    values: np.ndarray
    layout: np.ndarray


def whole_lines(columns):
    """Return a number of columns, rounded up to whole cache lines."""
    return (columns + LANES - 1) // LANES * LANES


def kernels_of(sigma_deg: float, cut_deg: float) -> Kernels:
    """Return the kernels of all image rows whose windows are no full ring.

    Within such a row all windows are alike, wherever the point stands.
    """
    rows = np.arange(ROWS, dtype=float)
    middle = np.column_stack([np.full(ROWS, COLUMNS / 2), rows, np.ones(ROWS)])
    layout = np.zeros((ROWS, 6), np.int64)
    values: list[np.ndarray] = []
    for y, (first, last, left, right, _, stop) in enumerate(painted_ranges(middle, cut_deg).tolist()):
        if stop:  # wrapped at both sides
            continue
        kernel = np.zeros((last - first, whole_lines(right - left + 3 * LANES)), np.float32)
        apart = np.radians(np.arange(left, right) - COLUMNS / 2)
        loss = 1 - np.cos(ROW_ELEVATION[first:last, None] - ROW_ELEVATION[y])  # 1 - cos d
        loss = loss + np.outer(ROW_COSINE[first:last] * ROW_COSINE[y], 1 - np.cos(apart))
        kernel[:, LANES : LANES + right - left] = np.exp(-loss / math.radians(sigma_deg) ** 2)
        place = sum(map(len, values))
        layout[y] = first, last - first, left - COLUMNS // 2, right - left, kernel.shape[1], place
        values.append(kernel.ravel())
    return Kernels(np.concatenate([*values, np.zeros(1, np.float32)]), layout)
