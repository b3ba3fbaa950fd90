"""Labels as images: the April sum of Gaussians, the June interpolation, and block means of both."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import LinearNDInterpolator

from sai_bench.metrics.june.rendering import render
from sai_bench.predictions import Annotation
from sai_bench.sphere import COLUMNS, ROWS, azimuth_deg, elevation_deg, mic_array, unit_vectors
from sai_bench.training.label_regions import FLOOR, draw_regions
from sai_bench.training.mask_drawing import draw_label
from sai_bench.training.mask_grids import block_means
from sai_bench.training.views import View, views_of

IDENTITY = View((0, 1, 2, 3))


def blob(x, y, radius=9, points=25, seed=0):
    """A label: points around a place on whole pixels, with energies in (0, 1]."""
    rng = np.random.default_rng(seed)
    xy = np.rint(np.array([x, y]) + rng.uniform(-radius, radius, (points, 2)))
    return [[((a % COLUMNS), b, e) for (a, b), e in zip(xy, rng.uniform(0.2, 1, points), strict=True)]]


def label(segmentation, frame=0, category=3, instance=0):
    return Annotation(frame, category, segmentation, instance_id=instance)


def image_of(regions, mask):
    image = np.zeros(ROWS * COLUMNS)
    own = slice(regions.mask_starts[mask], regions.mask_starts[mask + 1])
    image[regions.pixels[own]] = regions.energies[own] / 255
    return image.reshape(ROWS, COLUMNS)


def test_april_images_are_sums_of_gaussians_of_chord_length():
    points = blob(200, 80)
    pixels = unit_vectors(azimuth_deg(np.arange(COLUMNS)), elevation_deg(np.arange(ROWS))[:, None])
    expected = np.zeros((ROWS, COLUMNS))
    for x, y, energy in points[0]:
        squared = ((pixels - unit_vectors(azimuth_deg(x), elevation_deg(y))) ** 2).sum(axis=-1)
        expected += energy * np.exp(-squared / (2 * np.radians(6) ** 2))
    # The evaluator cuts each Gaussian at four sigma.
    np.testing.assert_allclose(draw_label(points, "april"), expected, atol=4e-4 * expected.max())


@pytest.mark.parametrize(("x", "y"), [(200, 80), (2, 100), (359, 60)])
def test_june_images_are_linear_interpolation_at_every_pixel(x, y):
    rng = np.random.default_rng(4)
    points = np.column_stack([rng.uniform(-12, 12, (30, 2)) + np.array([x, y]), rng.uniform(0.1, 1, 30)])
    plane = np.arange(-30, 390)
    interpolated = LinearNDInterpolator(points[:, :2], points[:, 2], fill_value=0)(
        *np.meshgrid(plane, np.arange(ROWS))
    )
    expected = np.zeros((ROWS, COLUMNS))
    for column, values in zip(plane % COLUMNS, interpolated.T, strict=True):
        expected[:, column] = np.maximum(expected[:, column], values)
    points[:, 0] %= COLUMNS
    np.testing.assert_allclose(draw_label([points.tolist()], "june"), expected, atol=1e-6)


@pytest.mark.parametrize("x", [90, 355, 0])
def test_june_images_are_the_evaluators_map_where_both_have_a_position(x):
    """Every fifth position of the canvas is a whole pixel."""
    points = blob(x, 90, radius=40, points=60)
    sampled = draw_label(points, "june")[::18, ::18]
    evaluator = render(points).energy[::5, ::5]
    assert (evaluator > 0).sum() >= 9
    scale = sampled[evaluator > 0].sum() / evaluator[evaluator > 0].sum()
    np.testing.assert_allclose(sampled, scale * evaluator, atol=1e-5)


def test_june_sets_two_points_on_the_pixels_nearest_to_the_evaluators_positions():
    points = [[(0.0, 90.0, 0.5), (179.0, 90.0, 1.0)]]
    image, evaluator = draw_label(points, "june"), render(points).energy
    rows = np.minimum(np.rint(np.arange(ROWS) / 3.6), 49).astype(int)
    columns = np.rint(np.arange(COLUMNS) / 3.6).astype(int) % 100
    np.testing.assert_array_equal(image, evaluator[np.ix_(rows, columns)])


def test_points_on_a_line_are_set_like_single_points():
    points = [[(40.0, 50.0, 1.0), (44.0, 54.0, 0.5), (48.0, 58.0, 0.25)]]
    assert sorted(np.unique(draw_label(points, "june"))) == [0, 0.25, 0.5, 1]


@pytest.mark.parametrize("rule", ["april", "june"])
def test_masks_have_peak_one_and_lose_only_what_is_below_the_floor(rule):
    points = blob(120, 70)
    regions = draw_regions([label(points)], rule)
    image, kept = draw_label(points, rule), image_of(regions, 0)
    image = image / image.max()
    assert kept.max() == 1
    assert (kept[image >= FLOOR] > 0).all()
    assert (kept[image < FLOOR] == 0).all()
    assert np.abs(kept - image).max() <= max(FLOOR, 0.5 / 255) + 1e-6


def test_equal_points_are_drawn_once(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "sai_bench.training.label_regions.draw_label", lambda s, rule: drawn.append(s) or draw_label(s, rule)
    )
    still, other = blob(100, 90), blob(100, 90, seed=1)
    regions = draw_regions([label(still if n % 10 else other, n) for n in range(300)], "june")
    assert len(drawn) == 2
    assert len(regions) == 300
    assert (image_of(regions, regions.masks[10]) == image_of(regions, regions.masks[0])).all()
    assert (image_of(regions, regions.masks[11]) != image_of(regions, regions.masks[0])).any()


def test_events_are_known_by_class_and_instance():
    places = [(1, 2, 7), (0, 2, 7), (0, 5, 7), (1, 5, None), (1, 5, None), (2, 5, None)]
    annotations = [label(blob(30 * n + 20, 90), *place) for n, place in enumerate(places)]
    regions = draw_regions(annotations, "june")
    assert regions.frames.tolist() == [0, 0, 1, 1, 1, 2]
    same = regions.instances[:, None] == regions.instances
    expected = np.eye(6, dtype=bool)
    expected[[0, 2], [2, 0]] = expected[[3, 5], [5, 3]] = True
    np.testing.assert_array_equal(same, expected)


@pytest.mark.parametrize("grid", [(180, 360), (36, 72), (45, 90), (18, 36), (1, 1)])
@pytest.mark.parametrize("rule", ["april", "june"])
def test_grids_hold_block_means_of_the_image_that_the_view_sees(grid, rule):
    regions = draw_regions([label(blob(355, 30)), label(blob(100, 150), 1)], rule)
    for view in views_of(mic_array(), mic_array()):
        means = block_means(regions, grid, view)
        for mask in range(2):
            image = image_of(regions, mask)
            image = image[::-1] if view.flipped else image
            if view.mirrored:  # column x goes to -x: the others change places, column 0 stays
                image = np.roll(image[:, ::-1], 1, axis=1)
            image = np.roll(image, view.azimuth_shift, axis=1)
            blocks = image.reshape(grid[0], ROWS // grid[0], grid[1], COLUMNS // grid[1])
            np.testing.assert_allclose(means[mask], blocks.mean(axis=(1, 3)), atol=1e-6)


def test_a_grid_that_does_not_divide_the_image_is_refused():
    with pytest.raises(ValueError, match="grid_height = 7"):
        block_means(draw_regions([label(blob(9, 9))], "june"), (7, 360), IDENTITY)
