from __future__ import annotations

import numpy as np
import pytest
from scipy.special import lpmv, spherical_jn, spherical_yn

from sai_bench.sphere import ArrayGeometry, em32_array, mic_array, unit_vectors
from sai_bench_builtin.backbones.steering import steering_vectors

DIRECTIONS = unit_vectors([0, 90, 180, -60, 17], [0, 0, 0, 45, -80])


def test_open_array_gives_the_phase_of_the_earlier_arrival_at_nearer_capsules():
    array = ArrayGeometry("pair", [[0.05, 0, 0], [-0.05, 0, 0]], "open")

    vectors = steering_vectors(array, unit_vectors([0], [0]), np.array([1000.0]))

    # From the front, the front capsule hears the wave 5 cm earlier than the centre.
    expected = np.exp(2j * np.pi * 1000 * np.array([0.05, -0.05]) / 343)
    np.testing.assert_allclose(vectors[0, :, 0], expected, atol=1e-6)


def test_rigid_sphere_has_one_and_a_half_times_the_open_phase_at_low_frequencies():
    array = mic_array("rigid")
    frequency_hz = 20.0
    ka_cosine = 2 * np.pi * frequency_hz / 343 * array.positions_m @ DIRECTIONS.T

    vectors = steering_vectors(array, DIRECTIONS, np.array([frequency_hz]))[0]

    np.testing.assert_allclose(np.angle(vectors), 1.5 * ka_cosine, atol=2e-4)
    np.testing.assert_allclose(np.abs(vectors), 1, atol=1e-3)


@pytest.mark.parametrize("frequency_hz", [50.0, 1000.0, 5000.0, 11900.0])
def test_rigid_sphere_equals_incident_plus_scattered_series(frequency_hz):
    array = em32_array("rigid").subset("some", (1, 13, 30))
    ka = 2 * np.pi * frequency_hz / 343 * 0.042

    vectors = steering_vectors(array, DIRECTIONS, np.array([frequency_hz]))[0]

    for m, position in enumerate(array.positions_m):
        for g, direction in enumerate(DIRECTIONS):
            pressure = _incident_plus_scattered(ka, float(position @ direction) / 0.042)
            assert vectors[m, g] == pytest.approx(pressure, abs=1e-5)


def _incident_plus_scattered(ka: float, cosine: float) -> complex:
    """Total field on the surface, term by term, the scattered wave from the condition of zero velocity."""
    total = 0j
    for order in range(40):
        j, dj = spherical_jn(order, ka), spherical_jn(order, ka, True)
        h = j - 1j * spherical_yn(order, ka)
        dh = dj - 1j * spherical_yn(order, ka, True)
        total += 1j**order * (2 * order + 1) * lpmv(0, order, cosine) * (j - dj / dh * h)
    return total


def test_zero_frequency_and_a_capsule_in_the_centre_give_one():
    array = ArrayGeometry("odd", [[0, 0, 0], [0.04, 0, 0]], "rigid")

    vectors = steering_vectors(array, DIRECTIONS, np.array([0.0, 1e-4, 2000.0]))

    np.testing.assert_allclose(vectors[:2], 1, atol=1e-6)
    np.testing.assert_allclose(vectors[2, 0], 1, atol=1e-6)
    assert np.isfinite(vectors).all()
    assert abs(np.angle(vectors[2, 1, 0])) > 0.5


def test_many_bins_equal_the_same_bins_one_by_one():
    array = mic_array("rigid")
    frequencies_hz = np.linspace(0, 12000, 70)

    together = steering_vectors(array, DIRECTIONS, frequencies_hz)

    assert together.shape == (70, 4, 5)
    for f in (0, 31, 32, 69):
        alone = steering_vectors(array, DIRECTIONS, frequencies_hz[f : f + 1])
        np.testing.assert_allclose(together[f], alone[0], atol=1e-6)
