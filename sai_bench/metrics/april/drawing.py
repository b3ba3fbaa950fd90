"""Energy maps and masks of many annotations, fast: sums of float32 Gaussians, not yet the last bit.

A Gaussian of chord length has the value exp((cos d - 1) / sigma^2) at an angle d. On the pixels of one row it
depends on the distance in columns alone, so points on whole pixels (away from the poles) share one kernel for
each image row; their energies are gathered in a grid first, and eight neighbours are drawn at once. Every
other point gets its exponentials one by one.

Sums differ from the evaluator's in the last digits (`errors`). Masks in which that could matter are
marked as doubtful.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numba import types

from sai_bench.compilation import compiled
from sai_bench.metrics.april.buffers import CANVAS_TYPE, KERNELS_TYPE, MARGIN, SLOTS_TYPE, Canvas, Slots
from sai_bench.metrics.april.errors import BlobErrors, rounding
from sai_bench.metrics.april.kernels import LANES, ROW_COSINE, ROW_ELEVATION, Kernels, whole_lines
from sai_bench.metrics.april.windows import column_ranges, window
from sai_bench.sphere import COLUMNS, ROWS

LOWEST_PEAK = 1e-9
"""A map with a lower peak is no region at all: the annotation is removed."""

BLOCK = 8  # neighbouring points that are drawn at once
_FEW = 2  # points of a block: drawn alone they take less time
_INSIDE, _ACROSS_THE_SEAM, _ELSEWHERE = range(3)  # places in `BlobErrors`
_OTHER_ROUNDINGS = 16  # within a block of points, where the map is wrapped, of the level
_NONE = COLUMNS, -1  # first and last column of an empty row
_U1, _U2, _U3, _U4, _U5, _U6, _U7 = map(np.uintp, range(1, BLOCK))

# 2^f = sum of c_k f^k for |f| <= 1/2, to a float32's precision.
_POWER_OF_TWO = tuple(
    np.polynomial.Chebyshev.interpolate(np.exp2, 6, [-0.5, 0.5])
    .convert(kind=np.polynomial.Polynomial)
    .coef.astype(np.float32)
)
_LEAST_EXPONENT = np.float32(-126)  # of a normal float32
_EVERYTHING = 1e6  # a slack that leaves no pixel of a mask out

_ROW_SINE = np.sin(ROW_ELEVATION)
_COLUMN_AZIMUTH = np.radians(np.arange(COLUMNS) - 180.0)
_COLUMN_SINE, _COLUMN_COSINE = np.sin(_COLUMN_AZIMUTH), np.cos(_COLUMN_AZIMUTH)


def draw(
    points: np.ndarray,
    starts: np.ndarray,
    chosen: np.ndarray,
    kernels: Kernels,
    canvas: Canvas,
    slots: Slots,
    sigma_deg: float,
    cut_deg: float,
    threshold: float,
    errors: BlobErrors,
) -> None:
    """Draw annotations into the first slots.

    Errors and doubts are those of annotations without negative energies.

    Args:
        points: [P, 3] float64 of all annotations; those of a chosen one have finite positions and energies of
            moderate size.
        starts: [n + 1], where in `points` each annotation starts.
        chosen: [m] the annotations to draw.
        kernels: for this `sigma_deg` and `cut_deg`.
        canvas: scratch.
        slots: for at least m annotations.
        sigma_deg: width of the Gaussian.
        cut_deg: half height of a window.
        threshold: a mask is where the energy reaches this fraction of its peak.
        errors: for this `sigma_deg` and `threshold`.
    """
    sizes = math.radians(sigma_deg), cut_deg, threshold, tuple(errors)
    _draw(points, starts, chosen, kernels, canvas, slots, *sizes)


_rounding, _whole_lines = numba.njit(rounding), numba.njit(whole_lines)


@numba.njit(fastmath=True)
def _clear(energy, mask, box):
    """Empty energy and mask, [180, 360] each, in a box [4]."""
    for row in range(box[0], box[1]):
        values, inside = energy[row, box[2] : box[3]], mask[row, box[2] : box[3]]
        for j in range(len(values)):
            values[j] = 0
            inside[j] = False


@numba.njit
def _add_points(points, kernels, canvas, reach, scratch, sigma, cut, box):
    """Add an annotation's points to the wide map.

    Args:
        points: [n, 3] of the annotation.
        kernels: of all rows.
        canvas: its grid is empty before and after.
        reach: [180, 2] first and last occupied column of each row of the grid; `_NONE` before and after.
        scratch: [360] float32.
        sigma: of the Gaussian, in radians.
        cut: half height of a window, in degrees.
        box: [4] becomes the first and last row and column of the wide map that may be painted.

    Returns:
        How many times a sum of energies may have been rounded, here and by the evaluator together; which of
        the `BlobErrors` holds.
    """
    values, layout = kernels
    grid, wide = canvas
    first_row, last_row, first_column, last_column = ROWS, 0, 2 * COLUMNS, -COLUMNS
    top, bottom = ROWS, -1  # of points in the grid: none yet
    additions, place = len(points), _INSIDE
    for i in range(len(points)):
        x, y, energy = points[i, 0], points[i, 1], points[i, 2]
        in_image = 0 <= x < COLUMNS and 0 <= y <= ROWS - 1
        if in_image and x == math.floor(x) and y == math.floor(y) and layout[int(y), 1]:
            row, column = int(y), int(x)
            additions += grid[row, column] != 0
            grid[row, column] += np.float32(energy)
            top, bottom = min(top, row), max(bottom, row)
            reach[row, 0], reach[row, 1] = min(reach[row, 0], column), max(reach[row, 1], column)
            continue
        start_row, stop_row, left, right = window(x, y, cut)
        if not in_image or (left < 0 and right > COLUMNS):
            place = _ELSEWHERE
        elif left < 0 or right > COLUMNS:
            place = max(place, _ACROSS_THE_SEAM)
        for start, stop in column_ranges(left, right):
            if start < stop and start_row < stop_row:
                additions += 2  # the evaluator may paint a pixel twice
                _add_exponentials(wide, scratch, x, y, energy, start_row, stop_row, start, stop, sigma)
                first_row, last_row = min(first_row, start_row), max(last_row, stop_row)
                first_column, last_column = min(first_column, start), max(last_column, stop)
    for row in range(top, bottom + 1):
        leftmost, rightmost = reach[row, 0], reach[row, 1]
        if leftmost <= rightmost:
            reach[row, 0], reach[row, 1] = _NONE
            additions += _add_grid_row(grid, row, leftmost, rightmost, values, layout, wide)
            first_row = min(first_row, layout[row, 0])
            last_row = max(last_row, layout[row, 0] + layout[row, 1])
            first_column = min(first_column, leftmost + layout[row, 2])
            last_column = max(last_column, rightmost - layout[row, 2] + 1)
    if first_column < 0 or last_column > COLUMNS:
        place = max(place, _ACROSS_THE_SEAM)
    box[0], box[1] = first_row, max(first_row, last_row)
    box[2], box[3] = first_column, max(first_column, last_column)
    return additions + _OTHER_ROUNDINGS, place


@numba.njit(fastmath=True)
def _add_exponentials(wide, scratch, x, y, energy, first_row, last_row, first_column, last_column, sigma):
    """Add the blob of one point in one window to `wide` [180, n]; `scratch` [360] is overwritten.

    It is exp(-(a + b c)) with a, b of the row and c of the column.
    """
    azimuth, elevation = math.radians(x - 180.0), math.radians(90.0 - y * 180.0 / (ROWS - 1))
    sine, cosine = math.sin(azimuth), math.cos(azimuth)
    across = scratch[first_column:last_column]
    for j in range(len(across)):
        column = first_column + j
        across[j] = 1.0 - (_COLUMN_COSINE[column] * cosine + _COLUMN_SINE[column] * sine)
    sine, cosine = math.sin(elevation), math.cos(elevation)
    to_exponent = -1.0 / (sigma * sigma * math.log(2.0))  # of two
    loudness = np.float32(energy)
    for row in range(first_row, last_row):
        along = np.float32(to_exponent * (1.0 - (ROW_COSINE[row] * cosine + _ROW_SINE[row] * sine)))
        weight = np.float32(to_exponent * ROW_COSINE[row] * cosine)
        target = wide[row, MARGIN + first_column : MARGIN + last_column]
        for j in range(len(across)):
            target[j] += loudness * _power_of_two(along + weight * across[j])


@numba.njit(fastmath=True)
def _power_of_two(exponent):
    """Return 2^exponent for a float32 not much above 0; written so that loops over it become vector code."""
    exponent = max(exponent, _LEAST_EXPONENT)
    whole = np.int32(exponent - np.float32(0.5))
    rest = exponent - np.float32(whole)
    c0, c1, c2, c3, c4, c5, c6 = _POWER_OF_TWO
    power = c0 + rest * (c1 + rest * (c2 + rest * (c3 + rest * (c4 + rest * (c5 + rest * c6)))))
    return power * np.int32((whole + np.int32(127)) << np.int32(23)).view(np.float32)


@numba.njit(fastmath=True)
def _add_grid_row(grid, row, leftmost, rightmost, values, layout, wide):
    """Draw the points of one image row of `grid` [180, 360] on `wide` and take them out of the grid.

    Returns:
        How many numbers each pixel got, at most.
    """
    drawn = 0
    for block in range(leftmost // BLOCK, rightmost // BLOCK + 1):
        energy = grid[row, BLOCK * block : BLOCK * (block + 1)]
        count = 0
        for k in range(BLOCK):
            count += energy[k] != 0
        if count > _FEW:
            drawn += 1
            _add_block(wide, values, layout[row], MARGIN + BLOCK * block, energy)
        elif count:
            drawn += count
            for k in range(BLOCK):
                if energy[k] != 0:
                    _add_point(wide, values, layout[row], MARGIN + BLOCK * block + k, energy[k])
        if count:
            for k in range(BLOCK):
                energy[k] = 0
    return drawn


# The loops below run over flat arrays with unsigned indices: signed ones would be tested for being negative.


@numba.njit(fastmath=True)
def _add_point(wide, values, layout, column, energy):
    """Draw one point on `wide` [180, n], in whole cache lines: to store across two of them takes longer.

    `layout` [6] is that of the point's row; `column` is a column of `wide`.
    """
    first_row, rows, left, columns, stride, place = layout
    wide_flat, width = wide.reshape(wide.size), wide.shape[1]
    before = (column + left) % LANES
    for r in range(rows):
        target = np.uintp((first_row + r) * width + column + left - before)
        source = np.uintp(place + r * stride + LANES - before)
        for j in range(np.uintp(_whole_lines(before + columns))):
            wide_flat[target + j] += values[source + j] * energy


@numba.njit(fastmath=True)
def _add_block(wide, values, layout, column, energy):
    """Draw eight neighbours at once on `wide` [180, n]: it is read and written once for all of them.

    `layout` [6] is that of the points' row; `column` of `wide` is the first point's, `energy` is [8].
    """
    first_row, rows, left, columns, stride, place = layout
    wide_flat, width = wide.reshape(wide.size), wide.shape[1]
    e0, e1, e2, e3 = energy[0], energy[1], energy[2], energy[3]
    e4, e5, e6, e7 = energy[4], energy[5], energy[6], energy[7]
    for r in range(rows):
        target = np.uintp((first_row + r) * width + column + left)
        source = np.uintp(place + r * stride + LANES)
        for j in range(np.uintp(_whole_lines(columns + BLOCK - 1))):
            k = source + j
            wide_flat[target + j] += (
                (values[k] * e0 + values[k - _U1] * e1)
                + (values[k - _U2] * e2 + values[k - _U3] * e3)
                + (values[k - _U4] * e4 + values[k - _U5] * e5)
                + (values[k - _U6] * e6 + values[k - _U7] * e7)
            )


@numba.njit(fastmath=True)
def _wrap(wide, box, energy, scratch):
    """Move the wide map into the image, columns beyond its sides to where they belong; return the peak.

    Args:
        wide: [180, n] of `Canvas`; zeros at last.
        box: [4] the painted part of the wide map at first, and of the image at last.
        energy: [180, 360] the image, zeros at first.
        scratch: [360] float32.
    """
    first_row, last_row, left, right = box[0], box[1], box[2], box[3]
    if left < 0 or right > COLUMNS:
        box[2], box[3] = 0, COLUMNS
    for shift in (0, COLUMNS, -COLUMNS):
        start, stop = max(left, -shift), min(right, COLUMNS - shift)
        if start < stop:
            source, target = np.uintp(MARGIN + start), np.uintp(start + shift)
            for row in range(first_row, last_row):
                for j in range(np.uintp(stop - start)):
                    energy[row, target + j] += wide[row, source + j]
                    wide[row, source + j] = 0
    # The peak of each column first: that is vector code, a peak of everything is not.
    columns = box[3] - box[2]
    highest = scratch[:columns]
    for j in range(columns):
        highest[j] = 0
    for row in range(first_row, last_row):
        values = energy[row, box[2] : box[3]]
        for j in range(columns):
            highest[j] = max(highest[j], values[j])
    peak = np.float32(0)
    for j in range(columns):
        peak = max(peak, highest[j])
    return peak


@numba.njit(fastmath=True)
def _cut_out(energy, box, peak, threshold, slack, mask, scratch, region):
    """Fill the mask and the box around it.

    Args:
        energy: [180, 360] with the given peak, zeros outside `box` [4].
        box: see energy.
        peak: see energy.
        threshold: the mask is where the energy reaches this fraction of its peak.
        slack: relative difference of an energy to the level or to the peak within which they may be equal.
        mask: [180, 360], False outside the box.
        scratch: [360] float32.
        region: [4] becomes the box of the mask.

    Returns:
        The mask's area; whether it hangs on pixels within the slack.
    """
    for k in range(4):
        region[k] = 0
    if peak < LOWEST_PEAK * (1 - slack):
        return 0, False
    level = threshold * peak
    margin = np.float32(slack) * level
    # Counts are exact up to 2^24, and as wide as the energies: that makes vector code.
    area = close = np.float32(0)
    first_row, last_row = ROWS, 0
    of_column = scratch[: box[3] - box[2]]
    for j in range(len(of_column)):
        of_column[j] = 0
    for row in range(box[0], box[1]):
        values = energy[row, box[2] : box[3]]
        inside = mask[row, box[2] : box[3]]
        before = area
        for j in range(len(values)):
            above = values[j] >= level
            inside[j] = above
            area += np.float32(above)
            close += np.float32(abs(values[j] - level) <= margin)
            of_column[j] += np.float32(above)
        if area > before:
            first_row, last_row = min(first_row, row), row + 1
    region[0], region[1] = first_row, last_row
    region[2], region[3] = box[3], box[2]
    for j in range(len(of_column)):
        if of_column[j]:
            region[2], region[3] = min(region[2], box[2] + j), box[2] + j + 1
    return np.int64(area), close > 0 or peak < LOWEST_PEAK * (1 + slack)


_POINTS, _INDICES = types.float64[:, ::1], types.int64[::1]
_SIZES = types.float64, types.float64, types.float32, types.UniTuple(types.float64, 3)


@compiled(types.void(_POINTS, _INDICES, _INDICES, KERNELS_TYPE, CANVAS_TYPE, SLOTS_TYPE, *_SIZES))
def _draw(points, starts, chosen, kernels, canvas, slots, sigma, cut, threshold, errors):
    scratch = np.empty(COLUMNS, np.float32)
    reach = np.empty((ROWS, 2), np.int64)
    reach[:, 0], reach[:, 1] = _NONE
    for slot in range(len(chosen)):
        energy, mask, box, region = slots.energy[slot], slots.mask[slot], slots.box[slot], slots.region[slot]
        _clear(energy, mask, box)
        own = points[starts[chosen[slot]] : starts[chosen[slot] + 1]]
        additions, place = _add_points(own, kernels, canvas, reach, scratch, sigma, cut, box)
        error = errors[place] + _rounding(additions)
        peak = _wrap(canvas.wide, box, energy, scratch)
        # The peak may be off, too. Beyond one half anything may be equal.
        slack = 2 * error / (1 - error) if error < 0.5 else _EVERYTHING
        area, doubtful = _cut_out(energy, box, peak, threshold, slack, mask, scratch, region)
        slots.peak[slot], slots.area[slot], slots.error[slot] = peak, area, error
        slots.doubtful[slot] = doubtful
