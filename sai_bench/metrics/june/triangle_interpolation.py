"""Linear interpolation over a triangulation at the whole-numbered positions of a folded canvas."""

from __future__ import annotations

import numba
import numpy as np

from sai_bench.compilation import compiled
from sai_bench.metrics.june.sure_triangulation import SURE_ALTITUDE

EDGE_MARGIN = 1e-9
"""Barycentric distance from an edge within which rounding decides on which side a position lies."""

_ON_EDGE = 1e-13
"""Closer than this a position is on the edge for all purposes: both triangles give it the same value."""

_LARGEST_GROWTH = 20.0
"""SciPy's inside test forgives 2.2e-14; weights whose rounding grows less than this stay well within it."""


@numba.njit
def _sliver_margin(width, height, area):
    """Return the barycentric distance that stands for `SURE_ALTITUDE` in a sliver; 0 if it is none."""
    diameter = np.hypot(width, height)
    return SURE_ALTITUDE * diameter / area if area < SURE_ALTITUDE * diameter else 0.0


@numba.njit
def _points_on_hull(n, corner, twin):
    on_hull = np.zeros(n, np.bool_)
    for e in range(len(corner)):
        if twin[e] < 0:
            on_hull[corner[e]] = True
            on_hull[corner[e - 2 if e % 3 == 2 else e + 1]] = True
    return on_hull


@numba.njit
def _point_at(x, y, a, b, c, column, row):
    """Return which of three points lies exactly on a position, -1 if none does."""
    for point in (a, b, c):
        if x[point] == column and y[point] == row:
            return point
    return -1


@numba.njit
def _rounding_growth(x, y, a, b, c, column, row):
    """Return |T^-1| |T| |T^-1| |d|, the growth of rounding in barycentric coordinates, for the worst corner.

    T holds two corners and d the position, relative to the third corner.
    """
    area = abs((x[b] - x[a]) * (y[c] - y[a]) - (y[b] - y[a]) * (x[c] - x[a]))
    worst = 0.0
    for p, q, r in ((a, b, c), (b, c, a), (c, a, b)):
        px, py, qx, qy = abs(x[p] - x[r]), abs(y[p] - y[r]), abs(x[q] - x[r]), abs(y[q] - y[r])
        dx, dy = abs(column - x[r]), abs(row - y[r])
        u, v = (qy * dx + qx * dy) / area, (py * dx + px * dy) / area
        dx, dy = px * u + qx * v, py * u + qy * v
        worst = max(worst, (qy * dx + qx * dy + py * dx + px * dy) / area)
    return worst


@numba.njit
def _edge_is_safe(x, y, corner, twin, sure, on_hull, edge, column, row):
    """Return whether a position on (or next to) an edge has one certain value."""
    t = edge // 3
    a, b, c = corner[3 * t], corner[3 * t + 1], corner[3 * t + 2]
    point = _point_at(x, y, a, b, c, column, row)
    if point >= 0:
        return not on_hull[point]
    if twin[edge] >= 0:
        return sure[t] or sure[twin[edge] // 3]
    start, end = corner[edge], corner[edge - 2 if edge % 3 == 2 else edge + 1]
    exactly_on_it = (x[start] == column and x[end] == column) or (y[start] == row and y[end] == row)
    return sure[t] and exactly_on_it and _rounding_growth(x, y, a, b, c, column, row) < _LARGEST_GROWTH


@compiled(
    "boolean(float64[:, ::1], float64[::1], float64[::1], float64[::1],"
    "int64[::1], int64[::1], boolean[::1], int64)"
)
def interpolate_onto(canvas, x, y, values, corner, twin, sure, columns):
    """Raise a folded canvas to the interpolated values wherever they are higher.

    Position (column, row) of the plane falls on `canvas[row, column % width]`.

    Args:
        canvas: [rows, width] float64, changed in place.
        x: [n] of the points, likewise y and values.
        y: see x.
        values: see x; all positive.
        corner: [3 t] as from `triangulate`.
        twin: [3 t] likewise, negative on the hull.
        sure: [t], which triangles may be relied on.
        columns: columns 0 ... columns - 1 of the plane exist.

    Returns:
        False if the value at some position hangs on rounding or on a triangle that is not sure. The canvas
        is then spoilt.
    """
    rows, width = canvas.shape
    on_hull = _points_on_hull(len(x), corner, twin)
    for t in range(len(sure)):
        a, b, c = corner[3 * t], corner[3 * t + 1], corner[3 * t + 2]
        left, right = min(x[a], x[b], x[c]), max(x[a], x[b], x[c])
        top, bottom = min(y[a], y[b], y[c]), max(y[a], y[b], y[c])
        # A hair wider, so that positions on the border are met and judged.
        first_column, last_column = int(np.ceil(left - EDGE_MARGIN)), int(np.floor(right + EDGE_MARGIN))
        first_row, last_row = int(np.ceil(top - EDGE_MARGIN)), int(np.floor(bottom + EDGE_MARGIN))
        if first_column > last_column or first_row > last_row:
            continue
        bx, by, cx, cy = x[b] - x[a], y[b] - y[a], x[c] - x[a], y[c] - y[a]
        area = bx * cy - by * cx
        if area <= 0.0:
            return False
        margin = max(EDGE_MARGIN, _sliver_margin(right - left, bottom - top, area))
        for row in range(max(first_row, 0), min(last_row, rows - 1) + 1):
            for column in range(max(first_column, 0), min(last_column, columns - 1) + 1):
                dx, dy = column - x[a], row - y[a]
                of_b, of_c = (dx * cy - dy * cx) / area, (dy * bx - dx * by) / area
                of_a = 1.0 - of_b - of_c
                least = min(of_a, of_b, of_c)
                if least < -margin:
                    continue
                value = of_a * values[a] + of_b * values[b] + of_c * values[c]
                if least < margin:
                    # Half-edge 3 t + i is opposite to corner (i + 2) % 3.
                    point = _point_at(x, y, a, b, c, column, row)
                    for i, opposite in enumerate((of_c, of_a, of_b)):
                        if point < 0 and _ON_EDGE < abs(opposite) < EDGE_MARGIN:
                            return False
                        if opposite < margin and not _edge_is_safe(
                            x, y, corner, twin, sure, on_hull, 3 * t + i, column, row
                        ):
                            return False
                    if point >= 0:
                        value = values[point]
                    elif least < -EDGE_MARGIN or (not sure[t] and margin == EDGE_MARGIN):
                        continue  # a neighbour gives the value
                    elif margin > EDGE_MARGIN:
                        return False
                elif not sure[t]:
                    return False
                folded = column % width
                if value > canvas[row, folded]:
                    canvas[row, folded] = value
    return True
