"""Energy maps: the formula where the window is no artefact, and each artefact where it is."""

import math

import numpy as np
import pytest

from sai_bench.errors import AnnotationError
from sai_bench.metrics.april.rendering import AprilRenderer
from sai_bench.sphere import angle_between_deg, azimuth_deg, elevation_deg


@pytest.fixture(scope="module")
def renderer():
    return AprilRenderer(6.0)


def direct_blob(x, y, energy, sigma_deg):
    """The Gaussian of chord length at every pixel, in float64, without a window; and the angle in degrees."""
    angle = angle_between_deg(
        azimuth_deg(np.arange(360)), elevation_deg(np.arange(180))[:, None], azimuth_deg(x), elevation_deg(y)
    )
    chord = 2 * np.sin(np.radians(angle) / 2)
    return energy * np.exp(-(chord**2) / (2 * math.radians(sigma_deg) ** 2)), angle


@pytest.mark.parametrize("sigma_deg", [2.0, 6.0, 9.0])
@pytest.mark.parametrize(
    ("x", "y"), [(180, 90), (3, 60), (358, 120), (0, 45), (200.25, 89.5), (359.7, 100.2), (0.1, 130.9)]
)
def test_blob_away_from_the_poles_is_the_chord_gaussian(sigma_deg, x, y):
    energy_map = AprilRenderer(sigma_deg).render(np.array([[x, y, 0.7]]))
    direct, angle = direct_blob(x, y, 0.7, sigma_deg)
    inside = angle < 3.4 * sigma_deg  # a circle that fits the window at these elevations
    np.testing.assert_allclose(energy_map[inside], direct[inside], rtol=3e-4, atol=1e-7)
    assert inside.sum() > 100
    assert energy_map[angle > 7 * sigma_deg].max() == 0.0


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("whole", [True, False])
def test_maps_with_points_anywhere_equal_the_plain_implementation(renderer, plain_april, seed, whole):
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.uniform(-60, 420, 25), rng.uniform(-40, 220, 25), rng.uniform(-0.2, 1, 25)])
    points[:8, 1] = rng.uniform(0, 8, 8)  # full rings
    points[8:12, 1] = rng.uniform(171, 179, 4)
    if whole:
        points[:, :2] = np.rint(points[:, :2])
    plain = plain_april.render([points.tolist()])
    np.testing.assert_allclose(renderer.render(points), plain, rtol=0, atol=2e-5)


def test_every_whole_pixel_of_the_polar_rows_equals_the_plain_implementation(renderer, plain_april):
    for y in (0, 3, 7, 8, 172, 179):
        for x in range(0, 360, 7):
            point = [x, y, 1.0]
            plain = plain_april.render([[point]])
            np.testing.assert_allclose(renderer.render(np.array([point])), plain, rtol=0, atol=2e-5)


def test_near_the_pole_the_window_leaves_far_pixels_of_the_circle_out(renderer):
    y = float(10 * 179 / 180)  # elevation 80: the pole row is 10 degrees away everywhere
    energy_map = renderer.render(np.array([[180.0, y, 1.0]]))
    direct, _ = direct_blob(180.0, y, 1.0, 6.0)
    assert direct[0].min() > 0.24
    painted = np.flatnonzero(energy_map[0])
    assert painted.min() == pytest.approx(180 - 138, abs=1.5)
    assert painted.max() == pytest.approx(180 + 138, abs=1.5)


def test_full_ring_paints_the_opposite_column_twice(renderer):
    energy_map = renderer.render(np.array([[90.0, 5.0, 1.0]]))  # elevation 85
    direct, _ = direct_blob(90.0, 5.0, 1.0, 6.0)
    ratio = energy_map[0] / direct[0]
    assert ratio[270] == pytest.approx(2, rel=1e-3)
    assert np.delete(ratio, [269, 270, 271]) == pytest.approx(1, rel=1e-3)


def test_polar_blob_just_left_of_the_middle_column_is_lost(renderer):
    energy_map = renderer.render(np.array([[179.5, 3.0, 1.0]]))
    assert energy_map.any(axis=0).sum() <= 2
    assert not energy_map[:, 170:190].any()


def test_point_left_or_right_of_the_image_wraps_while_its_window_touches_it(renderer):
    for outside, inside in ((-10.0, 350.0), (365.0, 5.0)):
        moved = renderer.render(np.array([[outside, 60.0, 0.5]]))
        np.testing.assert_allclose(moved, renderer.render(np.array([[inside, 60.0, 0.5]])), atol=1e-5)


def test_point_far_outside_counts_double_inside_its_window(renderer):
    far = renderer.render(np.array([[400.0, 90.0, 0.5]]))
    near = renderer.render(np.array([[40.0, 90.0, 0.5]]))
    np.testing.assert_allclose(far[:, 20:60], 2 * near[:, 20:60], rtol=1e-4, atol=1e-6)


def test_point_far_above_or_below_the_image_draws_nothing(renderer):
    assert not renderer.render(np.array([[100.0, -30.0, 1.0], [100.0, 210.0, 1.0]])).any()


def test_points_add_up_in_any_split(renderer):
    rng = np.random.default_rng(5)
    points = rng.uniform([0, 0, 0.1], [360, 179, 1], (30, 3))
    points[::2, :2] = np.floor(points[::2, :2])
    apart = renderer.render(points[:11]) + renderer.render(points[11:])
    np.testing.assert_allclose(renderer.render(points), apart, atol=1e-5)


def test_no_points_give_an_empty_map(renderer):
    energy_map = renderer.render(np.empty((0, 3)))
    assert energy_map.shape == (180, 360)
    assert energy_map.dtype == np.float32
    assert not energy_map.any()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_coordinates_that_are_not_finite_are_refused(renderer, bad):
    with pytest.raises(AnnotationError, match="not a finite number"):
        renderer.render(np.array([[10.0, 20.0, 1.0], [bad, 20.0, 1.0]]))


@pytest.mark.parametrize("seed", range(5))
def test_judging_without_drawing_never_claims_a_region_that_drawing_denies(renderer, seed):
    rng = np.random.default_rng(seed)
    claims = 0
    for _ in range(60):
        points = rng.uniform([-40, -20, 0], [400, 200, 1], (3, 3))
        points[:, 2] *= 10.0 ** rng.uniform(-11, 0)
        if rng.random() < 0.3:
            points[:, 0] = rng.uniform(179, 180)
            points[:, 1] = rng.uniform(0, 9)
        if renderer.surely_has_region(points):
            claims += 1
            assert renderer.render(points).max() >= 1e-9
    assert claims > 10


@pytest.mark.parametrize(
    "points", [[], [[10, 10, 0.0]], [[10, 10, -1.0]], [[10, 10, math.nan]], [[179.5, 3, 1]], [[500, 10, 1]]]
)
def test_odd_point_sets_are_left_to_drawing(renderer, points):
    assert not renderer.surely_has_region(np.array(points, dtype=float).reshape(-1, 3))
