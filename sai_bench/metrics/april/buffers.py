"""What the April metric's drawing fills: scratch, and slots for energy maps and masks; as numba sees them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import types

from sai_bench.metrics.april.kernels import LANES, Kernels, whole_lines
from sai_bench.sphere import COLUMNS, ROWS

MARGIN = 192
"""Columns left of the image in the wide map: half of it, and some."""


class Canvas(NamedTuple):
    """Scratch of `draw`: all zeros before and after.

    Attributes:
        grid: [180, 360] float32 energies of points on pixels.
        wide: [180, n] float32 map with margins at both sides, not yet wrapped.
    """

    grid: np.ndarray
    wide: np.ndarray


class Slots(NamedTuple):
    """Room for n annotations: their energy maps and masks, everything 0 outside their boxes.

    Attributes:
        energy: [n, 180, 360] float32.
        mask: [n, 180, 360] bool, where the energy reaches the threshold.
        box: [n, 4] first and last (excluded) row and column of what is drawn.
        region: [n, 4] likewise, of the mask.
        peak: [n] float32, the largest energy.
        area: [n] pixels of the mask.
        error: [n] float32, bound on the relative difference of energies to the evaluator's.
        doubtful: [n] bool, whether the mask hangs on that difference.
    """

    energy: np.ndarray
    mask: np.ndarray
    box: np.ndarray
    region: np.ndarray
    peak: np.ndarray
    area: np.ndarray
    error: np.ndarray
    doubtful: np.ndarray


KERNELS_TYPE = types.NamedTuple((types.float32[::1], types.int64[:, ::1]), Kernels)
CANVAS_TYPE = types.NamedUniTuple(types.float32[:, ::1], 2, Canvas)
SLOTS_TYPE = types.NamedTuple(
    (
        types.float32[:, :, ::1],
        types.boolean[:, :, ::1],
        types.int64[:, ::1],
        types.int64[:, ::1],
        types.float32[::1],
        types.int64[::1],
        types.float32[::1],
        types.boolean[::1],
    ),
    Slots,
)


def new_slots(count: int) -> Slots:
    """Return empty slots."""
    return Slots(
        np.zeros((count, ROWS, COLUMNS), np.float32),
        np.zeros((count, ROWS, COLUMNS), np.bool_),
        np.zeros((count, 4), np.int64),
        np.zeros((count, 4), np.int64),
        np.zeros(count, np.float32),
        np.zeros(count, np.int64),
        np.zeros(count, np.float32),
        np.zeros(count, np.bool_),
    )


def new_canvas(kernels: Kernels) -> Canvas:
    """Return an empty canvas wide enough for every kernel."""
    _, _, left, columns, *_ = kernels.layout.T
    width = whole_lines(MARGIN + COLUMNS + max(0, (left + columns).max()) + 2 * LANES)
    # Every row starts with a cache line.
    room = np.zeros(ROWS * width + LANES, np.float32)
    start = -room.ctypes.data % (LANES * room.itemsize) // room.itemsize
    wide = room[start : start + ROWS * width].reshape(ROWS, width)
    return Canvas(np.zeros((ROWS, COLUMNS), np.float32), wide)
