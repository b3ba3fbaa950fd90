"""Which channels form the array again, and where sources then are: shown with simulated plane waves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import eval_legendre, spherical_jn, spherical_yn

from sai_bench.sphere import (
    COLUMNS,
    MIC_CAPSULES_BY_YAW_DEG,
    ROWS,
    SPEED_OF_SOUND_M_PER_S,
    ArrayGeometry,
    azimuth_deg,
    elevation_deg,
    em32_array,
    foa_array,
    grid_directions,
    mic_array,
    unit_vectors,
)
from sai_bench.training.views import View, views_of
from sai_bench_builtin.backbones.steering import steering_vectors

FREQUENCIES_HZ = np.arange(400, 6000, 350.0)
AZIMUTHS, ELEVATIONS = np.meshgrid(*grid_directions(60, 120))
DIRECTIONS = unit_vectors(AZIMUTHS.ravel(), ELEVATIONS.ravel())


def plane_wave(positions_m, baffle, source, frequencies_hz=FREQUENCIES_HZ):
    """Pressure [F, M] of a plane wave from `source` [3]; the rigid sphere by its series of harmonics."""
    pressures = []
    for k in 2 * np.pi * frequencies_hz / SPEED_OF_SOUND_M_PER_S:
        if baffle == "open":
            pressures.append(np.exp(1j * k * positions_m @ source))
            continue
        radius = np.linalg.norm(positions_m[0])
        cosine = positions_m @ source / radius
        n = np.arange(30)[:, None]
        slope = spherical_jn(n, k * radius, True) - 1j * spherical_yn(n, k * radius, True)
        terms = 1j**n * (2 * n + 1) * eval_legendre(n, cosine) * -1j / ((k * radius) ** 2 * slope)
        pressures.append(np.where(np.isfinite(terms), terms, 0).sum(axis=0))
    return np.array(pressures)


def peak_of_steered_power(channels, array, frequencies_hz=FREQUENCIES_HZ):
    """Row and column on the 60 x 120 grid where phase-aligned power of channels [F, M] is largest."""
    steering = steering_vectors(array, DIRECTIONS, frequencies_hz)
    unit = steering / np.linalg.norm(steering, axis=1, keepdims=True)
    power = np.abs(np.einsum("fmg,fm->fg", unit.conj(), channels)) ** 2
    power /= np.linalg.norm(channels, axis=1, keepdims=True) ** 2
    return np.unravel_index(power.sum(axis=0).argmax(), AZIMUTHS.shape)


def image_with(row, column):
    """An image of 0 with a 1 in the middle of a block of 3 x 3 pixels."""
    image = np.zeros((ROWS, COLUMNS))
    image[3 * row + 1, 3 * column + 1] = 1
    return image


def seen(image, view):
    moved = np.empty_like(image)
    moved[np.ix_(view.rows, view.columns)] = image
    return moved


@pytest.mark.parametrize("baffle", ["open", "rigid"])
@pytest.mark.parametrize(
    ("recorded", "heard", "count"), [(mic_array, mic_array, 8), (em32_array, mic_array, 16)]
)
def test_steered_power_peaks_at_the_label_as_the_view_has_it(recorded, heard, count, baffle):
    views = views_of(recorded(baffle), heard(baffle))
    assert len(views) == count
    places = np.random.default_rng(0).integers([4, 0], [56, 120], (count, 2))
    for view, (row, column) in zip(views, places, strict=True):
        source = unit_vectors(azimuth_deg(3 * column + 1), elevation_deg(3 * row + 1))
        channels = plane_wave(recorded(baffle).positions_m, baffle, source)[:, list(view.channels)]
        found = peak_of_steered_power(channels, heard(baffle))
        (expected,) = np.argwhere(seen(image_with(row, column), view))
        assert np.array_equal(found, expected // 3), view


@pytest.mark.parametrize("baffle", ["open", "rigid"])
def test_all_32_capsules_have_eight_views_that_hold_within_a_cell(baffle):
    array, frequencies_hz = em32_array(baffle), FREQUENCIES_HZ[3::5]
    views = views_of(array, array)
    assert len(views) == 8
    places = np.random.default_rng(1).integers([10, 0], [50, 120], (8, 2))
    for view, (row, column) in zip(views, places, strict=True):
        source = unit_vectors(azimuth_deg(3 * column + 1), elevation_deg(3 * row + 1))
        channels = plane_wave(array.positions_m, baffle, source, frequencies_hz)[:, list(view.channels)]
        found = np.array(peak_of_steered_power(channels, array, frequencies_hz))
        (expected,) = np.argwhere(seen(image_with(row, column), view))
        assert np.abs(found - expected // 3).max() <= 1, view


def test_views_of_ambisonics_encode_the_moved_source():
    views = views_of(foa_array(), foa_array())
    assert len(views) == 16
    for view in views:
        x, y, z = unit_vectors(azimuth_deg(100), elevation_deg(40))
        heard = view.signs[:, 0] * np.array([1, y, z, x])[list(view.channels)]
        image = np.zeros((ROWS, COLUMNS))
        image[40, 100] = 1
        ((row, column),) = np.argwhere(seen(image, view))
        x, y, z = unit_vectors(azimuth_deg(column), elevation_deg(row))
        np.testing.assert_allclose(heard, [1, y, z, x], atol=1e-12)
    assert {v.azimuth_shift for v in views_of(foa_array(), foa_array(), "yaw")} == {0, 90, 180, 270}


def test_yaws_of_the_em32_are_those_of_the_report():
    found = {v.azimuth_shift: v for v in views_of(em32_array(), mic_array(), "yaw")}
    expected = {
        yaw: View(tuple(c - 1 for c in capsules), yaw) for yaw, capsules in MIC_CAPSULES_BY_YAW_DEG.items()
    }
    assert found == expected


def test_four_channels_have_two_yaws():
    assert [v.azimuth_shift for v in views_of(mic_array(), mic_array(), "yaw")] == [0, 180]


@pytest.mark.parametrize("wanted", ["none", "yaw", "all"])
def test_the_first_view_changes_nothing(wanted):
    for array in (mic_array(), em32_array(), foa_array()):
        views = views_of(array, array, wanted)
        assert views[0] == View(tuple(range(array.microphones)))
        if wanted == "none":
            assert len(views) == 1


def test_an_array_without_symmetry_has_one_view():
    array = ArrayGeometry("odd", [[0.02, 0, 0], [0, 0.05, 0.01], [-0.01, -0.03, 0.04]], "open")
    assert views_of(array, array) == (View((0, 1, 2)),)


def test_an_array_that_is_not_part_of_the_recorded_one_is_refused():
    with pytest.raises(ValueError, match="mic array is not part of the odd array"):
        views_of(ArrayGeometry("odd", np.eye(3)), mic_array())
