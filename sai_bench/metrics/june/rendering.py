"""The energy map that the June evaluator (2026-06-30) draws from the points of one annotation.

Points [x, y, intensity] are triangulated (Delaunay) and interpolated linearly at the positions of a canvas of
50 rows x 200 columns, 3.6 degrees apart; its two halves are then laid over each other. So a region is always
filled to its convex hull, and one that lies between the positions draws nothing. Fewer than three points, or
points on a line, are set on the nearest positions instead.

The evaluator leaves the triangulation to Qhull. Where points lie on a common circle (any rectangle of whole
pixels) Qhull's choice of diagonal shows in the map; then, and wherever rounding decides, Qhull and SciPy are
asked in the evaluator's own way. Everywhere else the own triangulation gives the same map.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import Delaunay, QhullError

from sai_bench.compilation import compiled
from sai_bench.metrics.june.sure_triangulation import is_sound, sure_triangles, triangulate
from sai_bench.metrics.june.triangle_interpolation import interpolate_onto
from sai_bench.segmentation import point_sets_of

ROWS, COLUMNS = 50, 100
PLANE_COLUMNS = 2 * COLUMNS
_ALL_COLUMNS = (1 << COLUMNS) - 1
SMALLEST_PEAK = 1e-8
"""Maps with a lower peak are not scaled to peak 1."""

_PIXELS_PER_DEGREE = np.float32(100 / 360)
_ROWS_PER_DEGREE = np.float32(50 / 180)
_MOST_POINTS = 20_000
"""Larger sets go to Qhull, whose time grows more slowly."""
_QHULL_OPTIONS = "Qbb Qc Qz Q12 Q5"
"""SciPy's own, and Q5: no check of outer planes when all is done, which takes a tenth of the time."""
_REMEMBERED = 256
"""Maps (10 MB). The label of a source that stands still is the same in frame after frame."""

_LARGEST_RATIO = 1e15
"""Of intensities in an ordinary set: beyond it, rounding decides where the weak ones draw anything."""

_CROWDED = 60.0
_CLEAR = 1e-3
"""How far from its border, in canvas units, a position must be to lie in a region beyond doubt."""


class JuneMap(NamedTuple):
    """What one annotation looks like.

    Attributes:
        energy: [50, 100], peak 1 (unless below 1e-8); float32 if no polygon was triangulated, else float64.
        first_row: rows above it are 0.
        last_row: rows from here on are 0; not above `first_row` if all is 0.
        by_qhull: whether Qhull was asked, which takes long.
    """

    energy: np.ndarray
    first_row: int
    last_row: int
    by_qhull: bool = False

    @property
    def is_empty(self) -> bool:
        """Return whether the annotation drew nothing."""
        return self.last_row <= self.first_row


EMPTY_MAP = JuneMap(np.zeros((ROWS, COLUMNS)), 0, 0)
"""What overlaps nothing."""


class Footprint(NamedTuple):
    """Where the points of one annotation may draw something: bit n is set for row (column) n."""

    rows: int
    columns: int

    def meets(self, other: Footprint) -> bool:
        """Return whether two annotations may draw on a common pixel."""
        return bool(self.rows & other.rows and self.columns & other.columns)


def footprint(segmentation: Sequence[Sequence[Sequence[float]]]) -> Footprint:
    """Return the rows and columns that one annotation's point sets span."""
    rows = columns = 0
    for points in point_sets_of(segmentation):
        first_row, last_row, first_column, last_column = _span(points)
        rows |= _bits(first_row, last_row)
        span = _bits(first_column, last_column)
        columns |= span & _ALL_COLUMNS | span >> COLUMNS
    return Footprint(rows, columns)


def render(segmentation: Sequence[Sequence[Sequence[float]]]) -> JuneMap:
    """Return the map of one annotation's point sets. It is shared: leave its energy as it is.

    Args:
        segmentation: sets of (x, y, intensity) with x in 0 ... 360 and y in 0 ... 180.
    """
    return _render(tuple(points.tobytes() for points in point_sets_of(segmentation)))


@lru_cache(_REMEMBERED)
def _render(point_sets: tuple[bytes, ...]) -> JuneMap:
    energy = np.zeros((ROWS, COLUMNS))
    ways = {_draw(energy, np.frombuffer(bytearray(content)).reshape(-1, 3)) for content in point_sets}
    first, last = _occupied_rows(energy)
    if not any(way.triangulated for way in ways):
        energy = energy.astype(np.float32)
    peak = energy[first:last].max(initial=0)
    if peak > SMALLEST_PEAK:
        with np.errstate(invalid="ignore"):  # infinite intensities; see draws_infinity
            energy[first:last] /= peak
    return JuneMap(energy, first, last, any(way.by_qhull for way in ways))


def draws_nothing(segmentation: Sequence[Sequence[Sequence[float]]]) -> bool:
    """Return whether an annotation's map is all zero, quickly where the points alone can tell."""
    for points in point_sets_of(segmentation):
        if _surely_draws(*_on_plane(points)):
            return False
    return render(segmentation).is_empty


def draws_infinity(points: np.ndarray) -> bool:
    """Return whether a map would hold infinity, which the evaluator cannot match and crashes on."""
    energy = np.zeros((ROWS, COLUMNS))
    _draw(energy, points)
    return bool(np.isinf(energy).any())


class _Way(NamedTuple):
    """How a point set was drawn."""

    triangulated: bool
    by_qhull: bool


def _draw(energy: np.ndarray, points: np.ndarray) -> _Way:
    """Raise `energy` [50, 100] to the map of one point set; return how."""
    if not len(points):
        return _Way(triangulated=False, by_qhull=False)
    x, y, intensity, ordinary = _on_plane(points)
    if len(x) < 3:
        _splat(energy, x, y, intensity)
        return _Way(triangulated=False, by_qhull=False)
    worth_trying = ordinary and len(x) <= _MOST_POINTS and not _is_crowded_lattice(points)
    if worth_trying and _draw_if_sure(energy, x, y, intensity):
        return _Way(triangulated=True, by_qhull=False)
    try:
        triangulation = Delaunay(np.column_stack([x, y]), qhull_options=_QHULL_OPTIONS)
    except (QhullError, ValueError):
        _splat(energy, x, y, intensity)
        return _Way(triangulated=False, by_qhull=True)
    if not (ordinary and _draw_if_steady(energy, x, y, intensity, triangulation)):
        _draw_with_scipy(energy, x, y, intensity, triangulation)
    return _Way(triangulated=True, by_qhull=True)


@compiled("Tuple((float64[::1], float64[::1], float64[::1], boolean))(float64[:, ::1])")
def _on_plane(points):
    """Return the (x, y, intensity) of points, and whether all intensities are ordinary.

    Those are positive, finite and not too far apart. All values are float32 values held in float64. Points
    left of a gap of more than half the circle move a whole turn to the right; the gap across the seam does
    not count.
    """
    n = len(points)
    x, y, intensity = np.empty(n), np.empty(n), np.empty(n)
    ordinary = True
    for i in range(n):
        x[i] = np.float32(np.float32(points[i, 0]) * _PIXELS_PER_DEGREE)
        y[i] = np.float32(np.float32(points[i, 1]) * _ROWS_PER_DEGREE)
        intensity[i] = np.float32(points[i, 2])
        ordinary &= 0.0 < intensity[i] < np.inf
    ordinary &= n == 0 or intensity.max() <= _LARGEST_RATIO * intensity.min()
    sorted_x = np.sort(x)
    widest, left_of_gap = np.float32(0), 0.0
    for i in range(n - 1):
        gap = np.float32(sorted_x[i + 1]) - np.float32(sorted_x[i])
        if gap > widest:
            widest, left_of_gap = gap, sorted_x[i]
    if widest > COLUMNS // 2:
        for i in range(n):
            if x[i] <= left_of_gap:
                x[i] = np.float32(np.float32(x[i]) + np.float32(COLUMNS))
    return x, y, intensity, ordinary


def _bits(first: int, last: int) -> int:
    return (1 << last + 1) - (1 << first) if first <= last else 0


@compiled("UniTuple(int64, 4)(float64[:, ::1])")
def _span(points):
    """Return the first and last row, first and last column of the plane that points [n, 3] may draw on."""
    if not len(points):
        return 0, -1, 0, -1
    x, y, _, _ = _on_plane(points)
    first_row, last_row = int(np.floor(y.min())), int(np.ceil(y.max()))
    first_column, last_column = int(np.floor(x.min())), int(np.ceil(x.max()))
    # Single points beyond the last row or column are set on it.
    return (
        min(first_row, ROWS - 1),
        min(last_row, ROWS - 1),
        min(first_column, PLANE_COLUMNS - 1),
        min(last_column, PLANE_COLUMNS - 1),
    )


@compiled("boolean(float64[:, ::1])")
def _is_crowded_lattice(points):
    """Return whether points lie on whole pixels, and so close together that some rectangle decides the map.

    Only Qhull knows how rectangles are cut. This is a guess that saves time, nothing hangs on it.
    """
    for i in range(len(points)):
        if points[i, 0] != np.floor(points[i, 0]) or points[i, 1] != np.floor(points[i, 1]):
            return False
    width = points[:, 0].max() - points[:, 0].min() + 1
    height = points[:, 1].max() - points[:, 1].min() + 1
    return len(points) ** 1.5 > _CROWDED * np.sqrt(width * height)


def _draw_if_sure(energy, x, y, intensity) -> bool:
    """Raise `energy` to the map of a point set, if every correct triangulation gives the same one."""
    corner, twin = triangulate(x, y)
    if not len(corner):
        return False
    return _draw_triangles(energy, x, y, intensity, corner, twin, sure_triangles(x, y, corner, twin))


def _draw_if_steady(energy, x, y, intensity, triangulation: Delaunay) -> bool:
    """Raise `energy` to the map over Qhull's triangulation; False where only SciPy's rounding can tell."""
    corner = triangulation.simplices.astype(np.int64).ravel()
    twin = _twins(corner, triangulation.neighbors)
    if not is_sound(x, y, corner, twin):
        return False
    return _draw_triangles(energy, x, y, intensity, corner, twin, np.ones(len(triangulation.simplices), bool))


def _draw_triangles(energy, x, y, intensity, corner, twin, sure) -> bool:
    drawn = np.zeros_like(energy)
    if not interpolate_onto(drawn, x, y, intensity, corner, twin, sure, PLANE_COLUMNS):
        return False
    np.maximum(energy, drawn, out=energy)
    return True


@compiled("int64[::1](int64[::1], int32[:, ::1])")
def _twins(corner, neighbours):
    """Return the half-edge of the neighbour for each half-edge, -1 on the hull.

    Args:
        corner: [3 t] of the triangles.
        neighbours: [t, 3], the triangle opposite to each corner, -1 if there is none.
    """
    twin = np.full(len(corner), -1, np.int64)
    for t in range(len(neighbours)):
        for i in range(3):
            neighbour = neighbours[t, (i + 2) % 3]
            if neighbour >= 0:
                twin[3 * t + i] = 3 * neighbour  # if the edge is not found there, `is_sound` will tell
                for f in range(3 * neighbour, 3 * neighbour + 3):
                    if corner[f] == corner[3 * t + (i + 1) % 3]:
                        twin[3 * t + i] = f
    return twin


def _draw_with_scipy(energy, x, y, intensity, triangulation: Delaunay) -> None:
    """Raise `energy` to the map as the evaluator computes it, position by position.

    SciPy's search starts where the last one ended; positions outside the bounding box leave no trace in it,
    so the others get the values they have in the evaluator.
    """
    columns = np.arange(max(0, int(x.min())), min(PLANE_COLUMNS - 1, int(x.max()) + 1) + 1)
    rows = np.arange(max(0, int(y.min())), min(ROWS - 1, int(y.max()) + 1) + 1)
    interpolated = LinearNDInterpolator(triangulation, intensity, fill_value=0.0)(*np.meshgrid(columns, rows))
    values = np.maximum(np.nan_to_num(interpolated, nan=0.0), 0.0)
    for value, column in zip(values.T, columns % COLUMNS, strict=True):
        energy[rows, column] = np.maximum(energy[rows, column], value)


def _splat(energy, x, y, intensity) -> None:
    """Raise the positions nearest to the points to their intensities; NaN never wins."""
    columns = np.clip(np.rint(x).astype(int), 0, PLANE_COLUMNS - 1) % COLUMNS
    rows = np.clip(np.rint(y).astype(int), 0, ROWS - 1)
    np.fmax.at(energy, (rows, columns), intensity)


@compiled("UniTuple(int64, 2)(float64[:, ::1])")
def _occupied_rows(energy):
    """Return the first row with something in it and the one after the last, (0, 0) if there is none."""
    first, last = 0, 0
    for row in range(ROWS):
        occupied = False
        for column in range(COLUMNS):
            if energy[row, column] > 0.0:
                occupied = True
                break
        if occupied:
            first = row if last == 0 else first
            last = row + 1
    return first, last


@compiled("boolean(float64[::1], float64[::1], float64[::1], boolean)")
def _surely_draws(x, y, intensity, ordinary):
    """Return whether the quadrilateral of the outermost points clearly holds a position.

    If it does not, the whole hull still may.
    """
    if not ordinary or len(x) < 3:
        return False
    outermost = (np.argmin(x), np.argmin(y), np.argmax(x), np.argmax(y))
    top, bottom = y[outermost[1]] + _CLEAR, y[outermost[3]] - _CLEAR
    for row in range(max(0, int(np.ceil(top))), min(ROWS - 1, int(np.floor(bottom))) + 1):
        left, right = np.inf, -np.inf
        for i in range(4):
            a, b = outermost[i], outermost[(i + 1) % 4]
            if y[a] != y[b] and min(y[a], y[b]) <= row <= max(y[a], y[b]):
                crossing = x[a] + (x[b] - x[a]) * (row - y[a]) / (y[b] - y[a])
                left, right = min(left, crossing), max(right, crossing)
        column = np.ceil(left + _CLEAR)
        if column <= right - _CLEAR and column < PLANE_COLUMNS:
            return True
    return False
