"""How far the fast drawing (`drawing`) may be from the April evaluator's float32 energies: a bound.

A blob is exp(-u^2/2) at u sigma from its point. The evaluator rounds angles to float32, which moves it on its
flank; it rounds the exponent, and so does the fast drawing where it has no kernel; and sums lose digits.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

_UNIT = 2.0**-24  # relative error of one rounding

# Both angles of longitude in radians, their difference, and both latitudes.
_MOVED_INSIDE = 2.8e-7
_MOVED_ACROSS_THE_SEAM = 5.2e-7  # differences of angles are up to 2 pi there
_MOVED_ELSEWHERE = 1.7e-6  # columns may be up to two turns outside

_OF_EXPONENT = 22 * _UNIT  # 16 roundings of the evaluator, two of them of sines, and the fast drawing's
_OF_FACTORS = 12 * _UNIT  # exponential, energy and their product, of both

_HALF_PIXEL_DIAGONAL_RAD = 0.0125
_DISCS = 100  # with radius sigma cover all points whose windows reach a pixel


class BlobErrors(NamedTuple):
    """Bounds on the relative error of what points add to an energy, by where they are.

    Attributes:
        inside: all windows are within the image.
        across_the_seam: windows wrap around, all points are in the image and paint its pixels next to them.
        elsewhere: whatever the points, and the pixels; of the sum of absolute energies if some are negative.
    """

    inside: float
    across_the_seam: float
    elsewhere: float


@lru_cache
def blob_errors(sigma_deg: float, threshold: float) -> BlobErrors:
    """Return bounds for pixels with at least `threshold` times the peak; no energy is negative."""
    sigma = math.radians(sigma_deg)
    # The corner of a window may be farther away than 4 sqrt(2) sigma near a pole; pixels stick out of it.
    farthest = min(2 / sigma, 7.5 + 1.2 / sigma_deg)
    u = np.linspace(0.0, farthest, 256)
    # Each point adds exp(-(1 + d)^2 / 2) times its energy to the pixel, d sigma from it, next to its disc.
    within_a_disc = math.exp(min((1 + _HALF_PIXEL_DIAGONAL_RAD / sigma) ** 2 / 2, 100.0))
    most_energy = _DISCS * within_a_disc / threshold  # of all points, per energy of the pixel
    bounds = []
    for moved in (_MOVED_INSIDE, _MOVED_ACROSS_THE_SEAM):
        error = moved * u / sigma + _OF_EXPONENT * u**2 / 2 + _OF_FACTORS
        # Up to any u the error is no larger than there; what is beyond adds more error, but is faint.
        beyond = np.exp(-(u**2) / 2) * np.maximum(error - error[:, None], 0.0)
        bounds.append(float((error + most_energy * beyond.max(axis=1)).min()))
    loosest = _MOVED_ELSEWHERE * farthest / sigma + _OF_EXPONENT * farthest**2 / 2 + _OF_FACTORS
    return BlobErrors(*bounds, loosest)


def rounding(additions):
    """Return a bound on the relative error of a sum after a number of roundings."""
    return math.expm1(_UNIT * additions)
