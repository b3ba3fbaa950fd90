"""The blurred map equals the evaluator's formula in true great-circle geometry."""

import numpy as np
import pytest

from sai_bench.predictions import Annotation, Detection
from sai_bench.results.rendering import Region, deposit, peak_energy, regions_of, render

SIGMA = np.radians(6)


def haversine_map(points):
    """Sum e * exp(-4 hav / (2 sigma^2)) point by point, as the evaluator writes it."""
    azimuth = np.radians(180.0 - np.arange(360))[None, :]
    elevation = np.radians(90.0 - np.arange(180) * 180 / 179)[:, None]
    total = np.zeros((180, 360))
    for x, y, e in points:
        a, el = np.radians(180.0 - x), np.radians(90.0 - y * 180 / 179)
        hav = (
            np.sin((elevation - el) / 2) ** 2
            + np.cos(el) * np.cos(elevation) * np.sin((azimuth - a) / 2) ** 2
        )
        total += e * np.exp(-4 * hav / (2 * SIGMA**2))
    return total


def test_map_equals_the_formula_everywhere_including_seam_and_poles():
    rng = np.random.default_rng(0)
    points = np.column_stack(
        [rng.integers(0, 360, 30), rng.integers(0, 180, 30), rng.uniform(0.1, 1, 30)]
    ).astype(float)
    points[:4, :2] = [(0, 90), (359, 90), (120, 0), (10, 179)]
    np.testing.assert_allclose(render(deposit(points)), haversine_map(points), atol=1e-9)


def test_points_beyond_the_seam_wrap_and_beyond_the_poles_are_clipped():
    moved = deposit(np.array([[-1.0, 50, 1], [360.0, 60, 1], [359.7, 70, 1], [5, -3, 1], [5, 200, 1]]))
    assert set(zip(*map(list, np.nonzero(moved)), strict=True)) == {
        (50, 359),
        (60, 0),
        (70, 0),
        (0, 5),
        (179, 5),
    }


@pytest.mark.parametrize(
    "points",
    [
        [(90, 60, 1.0)],
        [(x, 90, 1.0) for x in range(40, 60)],
        [(x % 360, y, 1.0) for x in range(350, 371) for y in range(20, 40)],
        [
            (x, y, np.exp(-((x - 90) ** 2 + (y - 60) ** 2) / 50))
            for x in range(80, 101)
            for y in range(50, 71)
        ],
    ],
    ids=["point", "flat line", "flat patch on the seam", "hump"],
)
def test_quick_peak_energy_is_the_peak_of_the_map(points):
    points = np.array(points, dtype=float)
    assert peak_energy(points) == pytest.approx(haversine_map(points).max(), rel=0.02)


def test_annotation_and_detection_give_the_same_region():
    points = [[(10.0, 20.0, 0.5)], [(11.0, 20.0, 1.0), (12.0, 21.0, 0.25)]]
    flat = np.array([point for part in points for point in part])
    (from_file,) = regions_of([Annotation(0, 3, points, score=0.4)])
    (from_memory,) = regions_of([Detection(0, 3, 0.4, flat)])
    np.testing.assert_array_equal(from_file.points, from_memory.points)
    assert (from_file.category, from_file.score) == (from_memory.category, from_memory.score) == (3, 0.4)
    assert from_file.peak == (169.0, pytest.approx(90 - 20 * 180 / 179))


def test_regions_come_weakest_first_and_those_without_energy_are_left_out():
    def item(score, energy):
        return Detection(0, 0, score, np.array([[1.0, 1.0, energy]]))

    items = [item(0.9, 1.0), item(0.1, 1.0), item(0.5, 0.0), item(0.4, float("nan"))]
    items += [Detection(0, 0, 0.3, np.zeros((0, 3))), Annotation(0, 1, [])]
    assert [region.score for region in regions_of(items)] == [0.1, 0.9]


def test_region_energy_has_peak_one_whatever_the_scale():
    points = np.array([[100.0, 90.0, 0.003], [103.0, 90.0, 0.003]])
    assert Region(0, None, points).energy.max() == pytest.approx(1.0)
