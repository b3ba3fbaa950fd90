"""Pearson correlation of two energy maps around their regions, as the April evaluator computes it."""

from __future__ import annotations

import math

import numpy as np

DILATIONS = 2
SMALLEST_RANGE = 1e-7
"""A map that varies by no more than this has no correlation."""


def dilate(mask: np.ndarray, times: int = DILATIONS) -> np.ndarray:
    """Return a boolean mask grown by the four neighbours of each pixel, `times` times over.

    The image does not wrap around: the mask stops at its border.
    """
    for _ in range(times):
        grown = mask.copy()
        grown[1:] |= mask[:-1]
        grown[:-1] |= mask[1:]
        grown[:, 1:] |= mask[:, :-1]
        grown[:, :-1] |= mask[:, 1:]
        mask = grown
    return mask


def region_correlation(
    energy_a: np.ndarray, mask_a: np.ndarray, energy_b: np.ndarray, mask_b: np.ndarray
) -> float:
    """Return Pearson's r of two energy maps over the dilated union of their masks, NaN if undefined.

    Args:
        energy_a: [rows, columns] energies, not cut off at the mask.
        mask_a: its region, boolean, not empty.
        energy_b: likewise.
        mask_b: likewise.
    """
    union = mask_a | mask_b
    around = _box(union, DILATIONS)
    near = dilate(union[around])
    a, b = energy_a[around][near].astype(float), energy_b[around][near].astype(float)
    with np.errstate(invalid="ignore"):  # an infinite energy leaves the correlation undefined
        if np.ptp(a) <= SMALLEST_RANGE or np.ptp(b) <= SMALLEST_RANGE:
            return math.nan
        a -= a.mean()
        b -= b.mean()
        r = np.dot(a, b) / math.sqrt(np.dot(a, a) * np.dot(b, b))
    return float(np.clip(r, -1.0, 1.0))


def _box(mask: np.ndarray, margin: int) -> tuple[slice, slice]:
    """Return the bounding box of a mask that is not empty, with a margin, as slices."""
    sides = []
    for axis in (1, 0):
        occupied = np.flatnonzero(mask.any(axis=axis))
        sides.append(slice(max(0, int(occupied[0]) - margin), int(occupied[-1]) + margin + 1))
    return sides[0], sides[1]
