"""Steering vectors: how a plane wave from each direction arrives at the capsules of an array."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import eval_legendre, spherical_jn, spherical_yn

from sai_bench.errors import AudioError
from sai_bench.sphere import SPEED_OF_SOUND_M_PER_S, ArrayGeometry

_BINS_AT_ONCE = 32
_STILL = 1e-6
"""Below this wave number times radius a capsule is taken to sit in the array's centre."""


def steering_vectors(array: ArrayGeometry, directions: np.ndarray, frequencies_hz: np.ndarray) -> np.ndarray:
    """Return the pressure at each capsule for plane waves of unit amplitude.

    The phase refers to the array's centre with time factor exp(+i omega t), as in a Fourier transform that
    turns a delay tau into exp(-i omega tau): capsules nearer to the source are ahead, so their phase is
    positive.

    Args:
        array: capsules, in the open or on a rigid sphere.
        directions: [G, 3] unit vectors that the waves come from.
        frequencies_hz: [F].

    Returns:
        [F, M, G] complex64.

    Raises:
        AudioError: the channels are ambisonic components, no capsules.
    """
    if array.baffle == "ambisonic":
        raise AudioError(
            f"array '{array.name}' has ambisonic channels, and steering needs capsules at known positions. "
            "Use recordings of capsules (starss23: `format: mic`) or a backbone that learns directions, such "
            "as convnext_spherical."
        )
    wave_numbers = 2 * np.pi * np.asarray(frequencies_hz, dtype=float) / SPEED_OF_SOUND_M_PER_S
    responses = _on_rigid_sphere if array.baffle == "rigid" else _in_the_open
    vectors = np.empty((len(wave_numbers), array.microphones, len(directions)), dtype=np.complex64)
    # Formed in double precision, a few bins at a time to spare memory.
    for start, part in responses(array.positions_m, directions, wave_numbers):
        vectors[start : start + len(part)] = part
    return vectors


def _in_the_open(positions, directions, wave_numbers):
    """Yield (first bin, pressures [bins, M, G]): pure delays."""
    paths_m = positions @ directions.T
    for start, part in _in_parts(wave_numbers):
        yield start, np.exp(1j * part[:, None, None] * paths_m)


def _on_rigid_sphere(positions, directions, wave_numbers):
    """Yield (first bin, pressures [bins, M, G]) on the surface of a rigid sphere.

    Spherical harmonic series of a plane wave scattered by a rigid sphere (Williams, Fourier Acoustics, 1999,
    section 6.10); each capsule's distance from the centre is the sphere's radius.
    """
    radii = np.linalg.norm(positions, axis=1)
    cosines = np.clip(positions @ directions.T / np.maximum(radii, 1e-12)[:, None], -1, 1)
    orders = np.arange(_orders_needed(wave_numbers.max() * radii.max()) + 1)
    legendre = eval_legendre(orders[:, None], cosines[:, None])  # [M, L, G]
    for start, part in _in_parts(wave_numbers):
        strengths = _mode_strengths(orders, part * radii[:, None]).transpose(1, 2, 0)  # [M, bins, L]
        pressures = strengths.real @ legendre + 1j * (strengths.imag @ legendre)
        yield start, pressures.swapaxes(0, 1)


def _in_parts(wave_numbers):
    for start in range(0, len(wave_numbers), _BINS_AT_ONCE):
        yield start, wave_numbers[start : start + _BINS_AT_ONCE]


def _orders_needed(ka: float) -> int:
    """Return at which order the series may end: beyond ka its terms fall faster than exponentially."""
    return math.ceil(ka + 4 * ka ** (1 / 3) + 10)


def _mode_strengths(orders, ka):
    """Return i^l (2l + 1) (-i) / ((ka)^2 h_l'(ka)), [L, *ka.shape].

    h is the spherical Hankel function of outgoing waves, of the second kind for exp(+i omega t).
    """
    order = orders.reshape(-1, *[1] * ka.ndim)
    x = np.where(ka < _STILL, 1.0, ka)
    with np.errstate(all="ignore"):
        slope = spherical_jn(order, x, derivative=True) - 1j * spherical_yn(order, x, derivative=True)
        strengths = 1j**order * (2 * order + 1) * -1j / (x**2 * slope)
    # High orders at low frequency overflow in h', where the strength is zero to any precision.
    strengths = np.where(np.isfinite(strengths), strengths, 0)
    return np.where(ka < _STILL, order == 0, strengths)
