"""Adding up image sources in the responses of capsules in the free field."""

from __future__ import annotations

import functools
import math

import numpy as np

from sai_bench.compilation import compiled
from sai_bench.sphere import SPEED_OF_SOUND_M_PER_S

HALF_TAPS = 40
"""A fractional delay is a windowed sinc with so many samples on both sides of its centre."""

NEAREST_M = 0.05
_STEPS = 20


def add_images_in_the_open(
    responses: np.ndarray,
    capsules_m: np.ndarray,
    images_m: np.ndarray,
    amplitudes: np.ndarray,
    delays_s: np.ndarray,
    sample_rate_hz: int,
) -> None:
    """Add what reaches capsules from point sources, in place; everything arrives `HALF_TAPS` samples late.

    The arithmetic is that of pyroomacoustics' `rir_builder`, to the bit: single precision, a Hann-windowed
    sinc from a table of 20 steps a sample with linear interpolation. Its table is only sorted by steps here,
    so that a processor takes several taps at once.

    Args:
        responses: [M, L] float32.
        capsules_m: [M, 3].
        images_m: [I, 3] positions of the image sources.
        amplitudes: [I] at 1 m.
        delays_s: [I] beyond the way through the air.
        sample_rate_hz: rate of the responses.

    Raises:
        ValueError: an image arrives beyond the end of the responses.
    """
    _add(
        responses,
        np.array(capsules_m, order="C"),  # a copy, since compiled code takes no read-only arrays
        np.ascontiguousarray(images_m),
        amplitudes,
        delays_s,
        sample_rate_hz,
        *_tables(),
    )


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Return the sinc [steps + 2, taps] by steps and the window [taps], float32."""
    taps = 2 * HALF_TAPS + 1
    sinc = _sinc_table((taps + 2) * _STEPS)
    by_steps = np.stack([sinc[first : first + _STEPS * taps : _STEPS] for first in range(_STEPS + 2)])
    return by_steps, _hann_window(taps)


@compiled("float32[::1](int64)")
def _sinc_table(size):
    # As in rir_builder, single steps are added up with their rounding, and sines have single precision.
    table = np.ones(size, dtype=np.float32)
    time, step = np.float32(-HALF_TAPS - 1), np.float32(1) / np.float32(_STEPS)
    for i in range(size):
        angle = np.float32(np.pi) * time
        if angle != 0:
            table[i] = np.float32(math.sin(angle)) / angle
        time += step
    return table


@compiled("float32[::1](int64)")
def _hann_window(taps):
    window = np.empty(taps, dtype=np.float32)
    for i in range(taps):
        angle = np.float32(np.pi) * np.float32(2 * i) / np.float32(taps - 1)
        window[i] = np.float32(0.5) - np.float32(0.5) * np.float32(math.cos(angle))
    return window


@compiled(
    "void(float32[:, ::1], float64[:, ::1], float64[:, ::1], float64[::1], float64[::1], int64,"
    " float32[:, ::1], float32[::1])"
)
def _add(responses, capsules_m, images_m, amplitudes, delays_s, sample_rate_hz, sinc, window):
    half = len(window) // 2
    late_s = half / sample_rate_hz
    earliest_s = (half + 1) / sample_rate_hz
    rate = np.float32(sample_rate_hz)
    for m in range(len(capsules_m)):
        response = responses[m]
        for i in range(len(images_m)):
            x = images_m[i, 0] - capsules_m[m, 0]
            y = images_m[i, 1] - capsules_m[m, 1]
            z = images_m[i, 2] - capsules_m[m, 2]
            distance_m = max(math.sqrt(x * x + y * y + z * z), NEAREST_M)
            arrival_s = np.float32(
                max(distance_m / SPEED_OF_SOUND_M_PER_S + (delays_s[i] + late_s), earliest_s)
            )
            amplitude = np.float32(amplitudes[i] / distance_m)
            at = rate * arrival_s
            whole = np.float32(math.floor(at))
            offset = np.float32((1.0 - np.float64(at - whole)) * _STEPS)
            step = int(offset)
            between = offset - np.float32(step)
            first = int(whole) - half
            if first < 0 or first + len(window) > len(response):
                raise ValueError("an image arrives beyond the end of the response")
            below, above = sinc[step], sinc[step + 1]
            for k in range(len(window)):
                value = below[k] + between * (above[k] - below[k])
                response[first + k] += amplitude * window[k] * value
