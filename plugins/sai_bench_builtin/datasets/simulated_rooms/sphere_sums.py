"""Adding up image sources in the responses of capsules on a rigid sphere."""

from __future__ import annotations

import functools
import math

import numpy as np

from sai_bench.compilation import compiled
from sai_bench.sphere import SPEED_OF_SOUND_M_PER_S, ArrayGeometry
from sai_bench_builtin.backbones.steering import steering_vectors
from sai_bench_builtin.datasets.simulated_rooms.image_sums import HALF_TAPS, NEAREST_M

_ANGLES = 180
_STEPS = 16
_LASTING_S = 1.2e-3
"""The response of a sphere the size of the em32 to an impulse has died away after this."""
_SPECTRUM_SAMPLES = 2048


def add_images_on_a_sphere(
    responses: np.ndarray,
    capsules_m: np.ndarray,
    images_m: np.ndarray,
    amplitudes: np.ndarray,
    delays_s: np.ndarray,
    sample_rate_hz: int,
) -> None:
    """Add what reaches capsules on a rigid sphere from point sources, in place, `HALF_TAPS` samples late.

    Every image travels the shortest way to the capsule: straight, or behind the horizon along the surface.
    Delay and 1/distance follow this way; the rest depends on the angle between image and capsule alone and
    is that of a plane wave (the table of `sphere_filters`, interpolated linearly in angle and delay).

    Args:
        responses: [M, L] float32.
        capsules_m: [M, 3] from the sphere's centre, all equally far.
        images_m: [I, 3] positions of the image sources from the sphere's centre.
        amplitudes: [I] at 1 m.
        delays_s: [I] beyond the way through the air.
        sample_rate_hz: rate of the responses.

    Raises:
        ValueError: an image arrives beyond the end of the responses.
    """
    # Rounded to a micrometre, so that arrays at different places share one table.
    radius_m = round(float(np.linalg.norm(capsules_m, axis=1).mean()), 6)
    _add(
        responses,
        np.ascontiguousarray(capsules_m) / radius_m,
        np.ascontiguousarray(images_m),
        amplitudes,
        delays_s,
        sample_rate_hz,
        radius_m,
        sphere_filters(radius_m, sample_rate_hz),
    )


@functools.lru_cache(maxsize=4)
def sphere_filters(radius_m: float, sample_rate_hz: int) -> np.ndarray:
    """Return the impulse responses of a point on a rigid sphere to plane waves, without their travel times.

    Made from the spherical harmonic series; the shortest way from the wave to the point is taken out of its
    phase, after which neighbouring angles differ little.

    Args:
        radius_m: of the sphere.
        sample_rate_hz: rate of the filters.

    Returns:
        [181 angles 0 ... 180 degrees, 17 delays 0 ... 1 sample, taps] float32; without a delay, the impulse
        arrives at tap `HALF_TAPS`.
    """
    angles = np.radians(np.linspace(0, 180, _ANGLES + 1))
    hz = np.fft.rfftfreq(_SPECTRUM_SAMPLES, 1 / sample_rate_hz)
    directions = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=-1)
    point = ArrayGeometry("point on a sphere", np.array([[radius_m, 0.0, 0.0]]), "rigid")
    pressures = steering_vectors(point, directions, hz)[:, 0].T.astype(complex)  # [angles, F]
    way_m = radius_m * np.where(angles < np.pi / 2, -np.cos(angles), angles - np.pi / 2)
    pressures *= np.exp(2j * np.pi * hz * way_m[:, None] / SPEED_OF_SOUND_M_PER_S)
    lasting = math.ceil(_LASTING_S * sample_rate_hz)
    steps = np.arange(_STEPS + 1)[:, None] / _STEPS
    delayed = pressures[:, None] * np.exp(-2j * np.pi * hz * steps / sample_rate_hz)
    taps = np.arange(-HALF_TAPS, lasting + HALF_TAPS + 1)
    filters = np.fft.irfft(delayed, _SPECTRUM_SAMPLES)[..., taps]
    beyond = np.maximum(-(taps - steps), taps - steps - lasting).clip(0, HALF_TAPS + 1)
    return np.ascontiguousarray(filters * np.cos(np.pi / 2 * beyond / (HALF_TAPS + 1)) ** 2, dtype=np.float32)


@compiled(
    "void(float32[:, ::1], float64[:, ::1], float64[:, ::1], float64[::1], float64[::1], int64, float64,"
    " float32[:, :, ::1])"
)
def _add(responses, outwards, images_m, amplitudes, delays_s, sample_rate_hz, radius_m, filters):
    late_s = HALF_TAPS / sample_rate_hz
    earliest_s = (HALF_TAPS + 1) / sample_rate_hz
    taps = filters.shape[2]
    for i in range(len(images_m)):
        x, y, z = images_m[i]
        centre_m = max(math.sqrt(x * x + y * y + z * z), NEAREST_M)
        horizon = math.acos(radius_m / centre_m)
        for m in range(len(outwards)):
            along_m = x * outwards[m, 0] + y * outwards[m, 1] + z * outwards[m, 2]
            cosine = min(max(along_m / centre_m, -1.0), 1.0)
            angle = math.acos(cosine)
            if angle <= horizon:
                way_m = math.sqrt(centre_m**2 + radius_m**2 - 2 * centre_m * radius_m * cosine)
            else:
                way_m = math.sqrt(centre_m**2 - radius_m**2) + radius_m * (angle - horizon)
            arrival_s = max(way_m / SPEED_OF_SOUND_M_PER_S + (delays_s[i] + late_s), earliest_s)
            at = sample_rate_hz * arrival_s
            first = int(at) - HALF_TAPS
            if first < 0 or first + taps > responses.shape[1]:
                raise ValueError("an image arrives beyond the end of the response")
            step = (at - int(at)) * _STEPS
            degree = angle * (_ANGLES / math.pi)
            row, column = min(int(degree), _ANGLES - 1), min(int(step), _STEPS - 1)
            aside, late = degree - row, step - column
            amplitude = amplitudes[i] / way_m
            a = np.float32(amplitude * (1 - aside) * (1 - late))
            b = np.float32(amplitude * (1 - aside) * late)
            c = np.float32(amplitude * aside * (1 - late))
            d = np.float32(amplitude * aside * late)
            near, near_late = filters[row, column], filters[row, column + 1]
            far, far_late = filters[row + 1, column], filters[row + 1, column + 1]
            response = responses[m, first : first + taps]
            for k in range(taps):
                response[k] += a * near[k] + b * near_late[k] + c * far[k] + d * far_late[k]
