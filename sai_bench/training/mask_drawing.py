"""A label's points as an image of 180 x 360, by the rule of the April or of the June evaluator.

April: the sum of the evaluator's Gaussians, which it draws at this very size.

June: the evaluator triangulates the points (Delaunay) and interpolates linearly at the positions of a canvas,
one for 3.6 x 3.6 pixels. Here the same interpolation is evaluated at every pixel, so an image sampled at the
canvas's positions is the evaluator's map before it is scaled to peak 1. Fewer than three points, or points on
a line, which the evaluator sets on the nearest positions, fill the pixels nearest to those positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.spatial import Delaunay, QhullError

from sai_bench.compilation import compiled
from sai_bench.metrics.april.rendering import april_renderer
from sai_bench.metrics.june.rendering import COLUMNS as CANVAS_COLUMNS
from sai_bench.metrics.june.rendering import ROWS as CANVAS_ROWS
from sai_bench.metrics.june.sure_triangulation import triangulate
from sai_bench.segmentation import point_sets_of, points_of
from sai_bench.sphere import COLUMNS, ROWS

Rule = Literal["april", "june"]
Points = Sequence[Sequence[tuple[float, float, float]]]

APRIL_SIGMA_DEG = 6.0
"""Width of the Gaussians of the April evaluator."""

_MOST_POINTS = 20_000
"""Larger sets go to Qhull, whose time grows more slowly."""
_INSIDE = -1e-9
"""Barycentric coordinates from here on are inside a triangle: neighbours share the pixels on an edge."""

_CANVAS_COLUMN = np.rint(np.arange(COLUMNS) * CANVAS_COLUMNS / COLUMNS).astype(int) % CANVAS_COLUMNS
_CANVAS_ROW = np.minimum(np.rint(np.arange(ROWS) * CANVAS_ROWS / ROWS).astype(int), CANVAS_ROWS - 1)


def draw_label(segmentation: Points, rule: Rule) -> np.ndarray:
    """Return the image [180, 360] float32 of one annotation, not scaled; it may be 0 everywhere.

    Args:
        segmentation: sets of (x, y, energy), all finite.
        rule: whose.
    """
    if rule == "april":
        return april_renderer(APRIL_SIGMA_DEG).render(points_of(segmentation))
    image = np.zeros((ROWS, COLUMNS), np.float32)
    for points in point_sets_of(segmentation):
        if len(points):
            _draw_set(image, points)
    return image


def _draw_set(image: np.ndarray, points: np.ndarray) -> None:
    """Raise an image to one interpolated point set [n, 3]."""
    x, y, energy = np.ascontiguousarray(points.T, dtype=float)
    x = _across_the_seam(x)
    corner = _triangulated(x, y)
    if len(corner):
        _draw_triangles(image, x, y, energy, corner)
    else:
        _fill_nearest(image, x, y, energy)


def _across_the_seam(x: np.ndarray) -> np.ndarray:
    """Return columns, those left of a gap of more than half the circle a whole turn further right."""
    ascending = np.sort(x)
    gaps = np.diff(ascending)
    if len(gaps) and gaps.max() > COLUMNS / 2:
        return np.where(x <= ascending[gaps.argmax()], x + COLUMNS, x)
    return x


def _triangulated(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the corners [3 t] of the Delaunay triangles; nothing if there are none."""
    if len(x) < 3:
        return np.empty(0, np.int64)
    corner = triangulate(x, y)[0] if len(x) <= _MOST_POINTS else np.empty(0, np.int64)
    if len(corner):
        return corner
    try:
        return Delaunay(np.column_stack([x, y])).simplices.astype(np.int64).ravel()
    except (QhullError, ValueError):
        return np.empty(0, np.int64)


def _fill_nearest(image: np.ndarray, x: np.ndarray, y: np.ndarray, energy: np.ndarray) -> None:
    """Raise the pixels around the canvas positions that are nearest to single points."""
    columns = np.rint(x * CANVAS_COLUMNS / COLUMNS).astype(int) % CANVAS_COLUMNS
    rows = np.clip(np.rint(y * CANVAS_ROWS / ROWS).astype(int), 0, CANVAS_ROWS - 1)
    for row, column, value in zip(rows, columns, energy, strict=True):
        cell = np.ix_(row == _CANVAS_ROW, column == _CANVAS_COLUMN)
        image[cell] = np.maximum(image[cell], value)


@compiled("void(float32[:, ::1], float64[::1], float64[::1], float64[::1], int64[::1])")
def _draw_triangles(image, x, y, energy, corner):
    """Raise an image to linear interpolation over triangles; columns from 360 on are those from 0 on."""
    rows, columns = image.shape
    for t in range(len(corner) // 3):
        a, b, c = corner[3 * t], corner[3 * t + 1], corner[3 * t + 2]
        bx, by, cx, cy = x[b] - x[a], y[b] - y[a], x[c] - x[a], y[c] - y[a]
        area = bx * cy - by * cx
        if area == 0.0:
            continue
        top, bottom = min(y[a], y[b], y[c]), max(y[a], y[b], y[c])
        left, right = min(x[a], x[b], x[c]), max(x[a], x[b], x[c])
        for row in range(max(0, int(np.ceil(top))), min(rows - 1, int(np.floor(bottom))) + 1):
            for column in range(int(np.ceil(left)), int(np.floor(right)) + 1):
                dx, dy = column - x[a], row - y[a]
                of_b, of_c = (dx * cy - dy * cx) / area, (dy * bx - dx * by) / area
                of_a = 1.0 - of_b - of_c
                if min(of_a, of_b, of_c) >= _INSIDE:
                    value = np.float32(of_a * energy[a] + of_b * energy[b] + of_c * energy[c])
                    folded = column % columns
                    image[row, folded] = max(image[row, folded], value)
