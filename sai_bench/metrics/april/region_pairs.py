"""How alike two regions are: IoU of masks, and Pearson's r of energies as in the April evaluator."""

from __future__ import annotations

import math

import numba
import numpy as np

from sai_bench.compilation import compiled

SMALLEST_RANGE = 1e-7
"""A map that varies by no more than this has no correlation."""

_DILATION = 2

_SUMS = {"reassoc", "contract", "nsz"}  # sums may be split among vector lanes; energies may be infinite


def compare_regions(
    energy: np.ndarray,
    mask: np.ndarray,
    box: np.ndarray,
    area: np.ndarray,
    pairs: np.ndarray,
    correlate: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Compare pairs of n regions.

    The correlation is over the union of both masks, grown by the four neighbours of each pixel two times
    over. The image does not wrap around: the union stops at its border.

    Args:
        energy: [n, rows, columns] float32, not cut off at the mask.
        mask: [n, rows, columns] bool.
        box: [n, 4] int64 first and last (excluded) row and column, outside of which the mask is empty.
        area: [n] int64 pixels of each mask.
        pairs: [P, 2] int64 indices of regions.
        correlate: [P] bool, which pairs to correlate.

    Returns:
        IoU [P], 0 if both masks are empty; r [P], NaN where it is not wanted or not defined, and if a mask is
        empty.
    """
    iou, correlation = np.zeros(len(pairs)), np.full(len(pairs), math.nan)
    _compare(energy, mask, box, area, pairs, correlate, iou, correlation)
    return iou, correlation


@numba.njit
def _overlap(a, b, box_a, box_b):
    """Return how many pixels two masks share."""
    common = 0
    left, right = max(box_a[2], box_b[2]), min(box_a[3], box_b[3])
    if left < right:
        for row in range(max(box_a[0], box_b[0]), min(box_a[1], box_b[1])):
            in_a, in_b = a[row, left:right], b[row, left:right]
            for j in range(len(in_a)):
                common += in_a[j] & in_b[j]
    return common


@numba.njit
def _grown_union(a, b, first_row, last_row, first_column, last_column, union, near):
    """Fill `near` [rows, columns] of a part of the image; `union` is scratch, larger by two at each side."""
    for row in range(last_row - first_row + 2 * _DILATION):
        for column in range(last_column - first_column + 2 * _DILATION):
            union[row, column] = False
    for row in range(first_row, last_row):
        target = union[row - first_row + _DILATION, _DILATION:]
        in_a, in_b = a[row, first_column:last_column], b[row, first_column:last_column]
        for j in range(len(in_a)):
            target[j] = in_a[j] | in_b[j]
    columns = last_column - first_column
    for row in range(last_row - first_row):
        one, two, three, four, five = (
            union[row],
            union[row + 1],
            union[row + 2],
            union[row + 3],
            union[row + 4],
        )
        target = near[row, :columns]
        for j in range(columns):  # a diamond of radius 2 about three[j + 2]
            target[j] = (
                one[j + 2]
                | (two[j + 1] | two[j + 2] | two[j + 3])
                | (three[j] | three[j + 1] | three[j + 2] | three[j + 3] | three[j + 4])
                | (four[j + 1] | four[j + 2] | four[j + 3])
                | five[j + 2]
            )


@numba.njit(fastmath=_SUMS)
def _sums(a, b, near, first_row, first_column, rows, columns):
    """Return over the pixels in `near`: how many, sum of a and sum of b."""
    count = sum_a = sum_b = 0.0
    for row in range(rows):
        inside = near[row, :columns]
        of_a = a[first_row + row, first_column : first_column + columns]
        of_b = b[first_row + row, first_column : first_column + columns]
        for j in range(columns):
            weight = np.float64(inside[j])
            count += weight
            sum_a += weight * of_a[j]
            sum_b += weight * of_b[j]
    return count, sum_a, sum_b


@numba.njit(fastmath=_SUMS)
def _products(a, b, near, first_row, first_column, rows, columns, mean_a, mean_b):
    """Return the sums over the pixels in `near` of aa, bb and ab without their means."""
    aa = bb = ab = 0.0
    for row in range(rows):
        inside = near[row, :columns]
        of_a = a[first_row + row, first_column : first_column + columns]
        of_b = b[first_row + row, first_column : first_column + columns]
        for j in range(columns):
            da, db = inside[j] * (of_a[j] - mean_a), inside[j] * (of_b[j] - mean_b)
            aa += da * da
            bb += db * db
            ab += da * db
    return aa, bb, ab


@numba.njit
def _range(values, near, first_row, first_column, rows, columns):
    """Return the largest less the smallest value over the pixels in `near`."""
    low, high = np.inf, -np.inf
    for row in range(rows):
        for column in range(columns):
            if near[row, column]:
                value = np.float64(values[first_row + row, first_column + column])
                low, high = min(low, value), max(high, value)
    return high - low


@compiled(
    "void(float32[:, :, ::1], boolean[:, :, ::1], int64[:, ::1], int64[::1], int64[:, ::1], boolean[::1],"
    "float64[::1], float64[::1])"
)
def _compare(energy, mask, box, area, pairs, correlate, iou, correlation):
    image_rows, image_columns = mask.shape[1:]
    union = np.empty((image_rows + 2 * _DILATION, image_columns + 2 * _DILATION), np.bool_)
    near = np.empty((image_rows, image_columns), np.bool_)
    for i in range(len(pairs)):
        a, b = pairs[i, 0], pairs[i, 1]
        common = _overlap(mask[a], mask[b], box[a], box[b])
        total = area[a] + area[b] - common
        iou[i] = common / total if total else 0.0
        if not correlate[i] or area[a] == 0 or area[b] == 0:
            continue
        first_row = max(min(box[a, 0], box[b, 0]) - _DILATION, 0)
        last_row = min(max(box[a, 1], box[b, 1]) + _DILATION, image_rows)
        first_column = max(min(box[a, 2], box[b, 2]) - _DILATION, 0)
        last_column = min(max(box[a, 3], box[b, 3]) + _DILATION, image_columns)
        _grown_union(mask[a], mask[b], first_row, last_row, first_column, last_column, union, near)
        part = near, first_row, first_column, last_row - first_row, last_column - first_column
        count, sum_a, sum_b = _sums(energy[a], energy[b], *part)
        if not (math.isfinite(sum_a) and math.isfinite(sum_b)):
            continue
        aa, bb, ab = _products(energy[a], energy[b], *part, sum_a / count, sum_b / count)
        # No range is smaller than its standard deviation, and few are small enough to be measured.
        if min(aa, bb) <= count * SMALLEST_RANGE**2 and (
            _range(energy[a], *part) <= SMALLEST_RANGE or _range(energy[b], *part) <= SMALLEST_RANGE
        ):
            continue
        correlation[i] = min(max(ab / math.sqrt(aa * bb), -1.0), 1.0)
