"""Masks are the evaluator's to the last pixel, although maps are drawn in another order of operations."""

import math

import numpy as np
import pytest

from sai_bench.metrics.april import rendering
from sai_bench.metrics.april.exact import exact_energies, exact_map
from sai_bench.metrics.april.kernels import kernels_of
from sai_bench.metrics.april.rendering import AprilRenderer, PointSets
from sai_bench.metrics.april.windows import painted_ranges, window


def random_points(rng, count, whole):
    """Points about a place that may be a pole or the seam; some of them outside the image."""
    centre = rng.choice([rng.uniform(0, 360), 0, 359, 179.5]), rng.choice([rng.uniform(0, 179), 2, 176])
    points = np.empty((count, 3))
    points[:, :2] = centre + rng.normal(0, rng.choice([1, 5, 20]), (count, 2))
    points[:, 2] = rng.uniform(0, 1, count)
    if whole:
        points[:, :2] = np.rint(points[:, :2])
    return points


def masks_of(renderer, sets, threshold):
    """The masks [n, 180, 360] that a renderer compares; None for what is not valid."""
    seen = []
    for points in sets:
        compared = renderer.compare(PointSets.of([points]), threshold, np.array([[0, 0]]), np.array([False]))
        seen.append(renderer._slots.mask[0].copy() if compared.valid[0] else None)
    return seen


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("sigma_deg", [2.0, 6.0, 11.0])
def test_masks_equal_those_of_maps_in_the_evaluators_own_order(sigma_deg, whole):
    rng = np.random.default_rng(int(sigma_deg))
    renderer = AprilRenderer(sigma_deg)
    sets = [random_points(rng, count, whole) for count in (1, 2, 3, 30, 200) for _ in range(12)]
    for points, mask in zip(sets, masks_of(renderer, sets, 0.1), strict=True):
        energy_map = exact_map(points, sigma_deg)
        if energy_map.max() < 1e-9:
            assert mask is None
        else:
            np.testing.assert_array_equal(mask, energy_map >= np.float32(0.1) * energy_map.max())


@pytest.mark.parametrize("seed", range(30))
def test_pixel_on_the_level_is_decided_by_the_last_bit(seed):
    # The threshold is set to a pixel's own fraction of the peak: the fast map alone cannot tell.
    rng = np.random.default_rng(seed)
    points = random_points(rng, 40, whole=bool(seed % 2))
    points[:, :2] = np.clip(points[:, :2], [0, 20], [359, 160])
    energy_map = exact_map(points, 6.0)
    fractions = energy_map / energy_map.max()
    pixel = tuple(rng.choice(np.argwhere((fractions > 0.05) & (fractions < 0.9))))
    for nudge in (-math.inf, 0, math.inf):
        threshold = fractions[pixel] if nudge == 0 else np.nextafter(fractions[pixel], np.float32(nudge))
        (mask,) = masks_of(AprilRenderer(6.0), [points], float(threshold))
        np.testing.assert_array_equal(mask, energy_map >= np.float32(threshold) * energy_map.max())


@pytest.mark.parametrize("seed", range(5))
def test_exact_energies_of_pixels_are_those_of_the_whole_map(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    points = random_points(rng, 30, whole=bool(seed % 2))
    rows, columns = rng.integers(0, 180, 500), rng.integers(0, 360, 500)
    energy_map = exact_map(points, 6.0)
    np.testing.assert_array_equal(exact_energies(points, rows, columns, 6.0), energy_map[rows, columns])
    monkeypatch.setattr("sai_bench.metrics.april.exact._MOST_TERMS", 7 * 500)
    np.testing.assert_array_equal(exact_energies(points, rows, columns, 6.0), energy_map[rows, columns])


@pytest.mark.parametrize("sigma_deg", [2.0, 6.0, 30.0])
def test_windows_of_a_row_with_a_kernel_are_alike_at_every_column(sigma_deg):
    cut_deg = 4 * sigma_deg
    first_row, rows, left, *_ = kernels_of(sigma_deg, cut_deg).layout.T
    for y in np.flatnonzero(rows):
        for x in (0, 1, 90, 179, 180, 181, 359):
            expected = first_row[y], first_row[y] + rows[y], x + left[y], x - left[y] + 1
            assert window(float(x), float(y), cut_deg) == expected
    assert len(np.flatnonzero(rows)) == {2.0: 180, 6.0: 164, 30.0: 96}[sigma_deg]


@pytest.mark.parametrize(
    ("low", "high"), [(-60, 420), (500, 719), (720, 3600), (-1e6, -3600), (1e6, 1e9), (1e12, 8e18)]
)
def test_masks_of_points_far_outside_the_image_are_the_evaluators(plain_april, low, high):
    rng = np.random.default_rng(3)
    renderer = AprilRenderer(6.0)
    for count in (1, 2, 5) * 8:
        points = np.column_stack(
            [rng.uniform(low, high, count), rng.uniform(0, 179, count), rng.uniform(0.1, 1, count)]
        )
        energy_map = plain_april.render([points.tolist()])
        (mask,) = masks_of(renderer, [points], 0.1)
        if energy_map.max() < 1e-9:
            assert mask is None
        else:
            np.testing.assert_array_equal(mask, energy_map >= np.float32(0.1) * energy_map.max())


def test_far_away_points_have_no_window_or_a_full_ring():
    far = np.array([[1e300, 90.0, 1.0], [-1e300, 90.0, 1.0], [10.0, 1e300, 1.0], [10.0, -1e300, 1.0]])
    first, last, *columns = painted_ranges(far, 24.0).T
    assert (last[:2] > first[:2]).all()
    assert (last[2:] <= first[2:]).all()
    assert np.min(columns) >= 0
    assert np.max(columns) <= 360
    assert not AprilRenderer(6.0).render(far[2:]).any()


def test_comparisons_do_not_depend_on_how_many_are_drawn_at_a_time(monkeypatch):
    rng = np.random.default_rng(0)
    sets = PointSets.of([random_points(rng, 10, whole=bool(i % 2)) for i in range(30)])
    pairs = np.array([(i, j) for i in range(10) for j in range(10, 30)])
    results = []
    for slots in (2, 7, 64):
        monkeypatch.setattr(rendering, "_SLOTS", slots)
        results.append(AprilRenderer(6.0).compare(sets, 0.1, pairs, np.ones(len(pairs), dtype=bool)))
    for other in results[1:]:
        for ours, theirs in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_odd_energies_beside_ordinary_ones_leave_no_trace():
    rng = np.random.default_rng(1)
    ordinary = [random_points(rng, 10, whole=True) for _ in range(3)]
    odd = [points * [1, 1, -1] for points in ordinary[:2]] + [np.array([[5.0, 90.0, math.inf]])]
    renderer = AprilRenderer(6.0)
    pairs = np.array([[0, 1], [1, 2]])
    correlate = np.array([True, True])
    before = renderer.compare(PointSets.of(ordinary), 0.1, pairs, correlate)
    mixed = renderer.compare(
        PointSets.of([*odd, *ordinary]), 0.1, np.array([[0, 3], [1, 4], [2, 5]]), np.ones(3, bool)
    )
    assert mixed.valid.tolist() == [False, False, True, True, True, True]
    assert mixed.iou[:2].tolist() == [0, 0]
    after = renderer.compare(PointSets.of(ordinary), 0.1, pairs, correlate)
    for ours, theirs in zip(before, after, strict=True):
        np.testing.assert_array_equal(ours, theirs)
