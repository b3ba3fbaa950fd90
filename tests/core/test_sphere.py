import math

import numpy as np
import pytest

from sai_bench import sphere


@pytest.mark.parametrize(
    ("azimuth", "elevation", "x", "y"),
    [
        (0, 0, 180, 89.5),
        (90, 0, 90, 89.5),
        (-90, 0, 270, 89.5),
        (180, 0, 0, 89.5),
        (-180, 0, 0, 89.5),
        (179, 90, 1, 0),
        (-179, -90, 359, 179),
    ],
)
def test_directions_and_pixels_agree_with_the_design(azimuth, elevation, x, y):
    assert sphere.column(azimuth) == pytest.approx(x)
    assert sphere.row(elevation) == pytest.approx(y)
    assert math.remainder(float(sphere.azimuth_deg(x)) - azimuth, 360) == pytest.approx(0)
    assert sphere.elevation_deg(y) == pytest.approx(elevation)


def test_axes_are_front_left_up():
    np.testing.assert_allclose(
        sphere.unit_vectors([0, 90, 0], [0, 0, 90]), [[1, 0, 0], [0, 1, 0], [0, 0, 1]], atol=1e-12
    )


def test_vectors_give_their_direction_back():
    azimuth, elevation = np.meshgrid(np.arange(-179, 181, 13.0), np.arange(-89, 90, 11.0))
    back = sphere.directions_of(sphere.unit_vectors(azimuth, elevation))
    np.testing.assert_allclose(back, (azimuth, elevation), atol=1e-9)


def test_angles_keep_their_precision_near_zero_and_near_180_degrees():
    assert sphere.angle_between_deg(0, 0, 1e-7, 0) == pytest.approx(1e-7, rel=1e-6)
    assert sphere.angle_between_deg(0, 0, 180, 1e-7) == pytest.approx(180 - 1e-7, abs=1e-12)
    assert sphere.angle_between_deg(0, 60, 90, 60) == pytest.approx(
        math.degrees(math.acos(math.sin(math.radians(60)) ** 2))
    )


def test_the_cell_centre_is_the_mean_of_its_pixels():
    azimuth, elevation = sphere.grid_directions(45, 90)
    assert azimuth[0] == pytest.approx(np.mean(sphere.azimuth_deg(np.arange(4))))
    assert elevation[44] == pytest.approx(np.mean(sphere.elevation_deg(np.arange(176, 180))))
    with pytest.raises(ValueError, match="grid_height = 50 does not divide 180"):
        sphere.grid_directions(50, 90)


def test_the_mic_capsules_stand_where_the_data_set_says():
    mic = sphere.mic_array()
    azimuth, elevation = sphere.directions_of(mic.positions_m)
    np.testing.assert_allclose(azimuth, [45, -45, 135, -135])
    np.testing.assert_allclose(elevation, [35, -35, -35, 35])
    np.testing.assert_allclose(np.linalg.norm(mic.positions_m, axis=1), 0.042)


@pytest.mark.parametrize("yaw", [90, 180, 270])
def test_a_yaw_view_is_the_mic_array_turned(yaw):
    em32, mic = sphere.em32_array(), sphere.mic_array()
    view = em32.subset("view", sphere.MIC_CAPSULES_BY_YAW_DEG[yaw])
    azimuth, elevation = sphere.directions_of(mic.positions_m)
    turned = sphere.EM32_RADIUS_M * sphere.unit_vectors(azimuth + yaw, elevation)
    np.testing.assert_allclose(view.positions_m, turned, atol=1e-12)


@pytest.mark.parametrize(
    ("samples", "rate", "frames"),
    [
        (48000, 24000, 20),
        (48001, 24000, 20),
        (50000, 24000, 21),
        (2399, 24000, 1),
        (0, 24000, 0),
        (4410, 44100, 1),
    ],
)
def test_label_frames_of_a_recording(samples, rate, frames):
    assert sphere.frame_count(samples, rate) == frames


def test_bad_geometry_is_refused():
    with pytest.raises(ValueError, match=r"finite \[M, 3\]"):
        sphere.ArrayGeometry("mine", np.zeros((4, 2)))
