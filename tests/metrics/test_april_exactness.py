"""Exact energies are the evaluator's to the last bit, and masks the evaluator's where last bits pile up."""

import math
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sai_bench.metrics.april import rendering
from sai_bench.metrics.april.errors import blob_errors
from sai_bench.metrics.april.exact import exact_map
from sai_bench.metrics.april.rendering import AprilRenderer, PointSets, april_renderer

CENTRES = [(180, 90), (3, 60), (359.5, 120), (179.5, 2), (90, 0), (270.3, 177), (10, 179), (0, 8)]


def spread(rng, centre, count, whole=False, width=5.0):
    """Points about a place, energies between 0 and 1."""
    positions = centre + rng.normal(0, width, (count, 2))
    return np.column_stack([np.rint(positions) if whole else positions, rng.uniform(0, 1, count)])


def mask_of(points, threshold=0.1, renderer=None):
    """The mask [180, 360] that a renderer compares, all False if the annotation is not valid."""
    renderer = renderer or AprilRenderer(6.0)
    points = np.ascontiguousarray(points, dtype=float)
    compared = renderer.compare(PointSets.of([points]), threshold, np.array([[0, 0]]), np.array([False]))
    return renderer._slots.mask[0] & compared.valid[0]


def true_mask(energy_map, threshold=0.1):
    return (energy_map >= np.float32(threshold) * energy_map.max()) & (energy_map.max() >= 1e-9)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("centre", CENTRES)
def test_exact_maps_equal_the_plain_implementation_bit_by_bit(plain_april, centre, whole):
    rng = np.random.default_rng(int(sum(centre)))
    for count in (1, 2, 12):
        points = spread(rng, centre, count, whole) * [1, 1, rng.choice([1, -1, 1e-6])]
        np.testing.assert_array_equal(exact_map(points, 6.0), plain_april.render([points.tolist()]))


@pytest.mark.parametrize("sigma_deg", [1.0, 11.0, 60.0])
def test_exact_maps_of_other_widths_equal_the_plain_implementation_bit_by_bit(plain_april, sigma_deg):
    rng = np.random.default_rng(0)
    for centre in CENTRES:
        points = spread(rng, centre, 5)
        plain = plain_april.render([points.tolist()], sigma_deg)
        np.testing.assert_array_equal(exact_map(points, sigma_deg), plain)


def test_energies_lost_one_by_one_beside_a_loud_one_are_lost_in_the_mask_too():
    # Each of 10,000 energies is less than half the last digit of the sum, and leaves no trace in it.
    points = np.array([[234, 125, 1.0], *[[234, 126, 4.4e-8]] * 10_000])
    np.testing.assert_array_equal(mask_of(points), true_mask(exact_map(points, 6.0)))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["repeated", "loud first", "ascending", "one place", "tiny"])
def test_masks_of_sums_that_lose_digits_are_the_evaluators(kind, seed):
    rng = np.random.default_rng(seed)
    centre = CENTRES[seed % len(CENTRES)]
    points = spread(rng, centre, 400, whole=bool(seed % 2), width=2.0)
    points[:, :2] = np.clip(points[:, :2], 0, [359, 179])
    if kind == "repeated":
        points = points[rng.integers(0, 3, len(points))]
    elif kind == "loud first":
        points[1:, 2] = 4e-8 * rng.choice([1, 1.4, 2], len(points) - 1)
    elif kind == "ascending":
        points[:, 2] = np.sort(10.0 ** rng.uniform(-9, 0, len(points)))
    elif kind == "one place":
        points[:] = points[0]
    else:
        points[:, 2] = 1e-9 / len(points)
    np.testing.assert_array_equal(mask_of(points), true_mask(exact_map(points, 6.0)))


@pytest.mark.parametrize("sigma_deg", [0.5, 6.0, 30.0])
@pytest.mark.parametrize("threshold", [0.01, 0.1, 0.9])
def test_drawn_energies_are_no_farther_from_the_evaluators_than_stated(sigma_deg, threshold):
    rng = np.random.default_rng(1)
    renderer = AprilRenderer(sigma_deg)
    for index, centre in enumerate(CENTRES * 3):
        points = spread(rng, centre, int(10 ** rng.uniform(0, 2.5)), whole=bool(index % 2))
        points[:, 0] %= 360
        renderer._draw(PointSets.of([points]), np.array([0]), threshold)
        exact = exact_map(points, sigma_deg)
        in_mask = exact >= 0.9 * threshold * exact.max()
        difference = np.abs(renderer._slots.energy[0][in_mask].astype(float) - exact[in_mask])
        assert (difference <= renderer._slots.error[0] * exact[in_mask]).all()


def test_error_bounds_grow_with_what_makes_errors():
    usual = blob_errors(6.0, 0.1)
    assert usual.inside < usual.across_the_seam < usual.elsewhere < 3e-4
    assert blob_errors(1.0, 0.1).inside > usual.inside
    assert blob_errors(6.0, 1e-4).inside > usual.inside


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 1.0])
def test_masks_with_negative_energies_are_the_evaluators(seed, share):
    rng = np.random.default_rng(seed)
    points = spread(rng, CENTRES[seed % len(CENTRES)], 60, whole=bool(seed % 2))
    points[rng.random(60) < share, 2] *= -1
    np.testing.assert_array_equal(mask_of(points), true_mask(exact_map(points, 6.0)))


def test_energies_that_cancel_leave_the_evaluators_own_energies():
    rng = np.random.default_rng(0)
    renderer, loud = AprilRenderer(6.0), spread(rng, (100, 90), 30)
    points = np.concatenate([loud, loud * [1, 1, -0.999]])
    mask_of(points, renderer=renderer)
    np.testing.assert_array_equal(renderer._slots.energy[0], exact_map(points, 6.0))


def test_one_negative_energy_makes_drawing_little_slower():
    rng = np.random.default_rng(0)
    ordinary = [spread(rng, (180, 90), 1200, whole=True) for _ in range(8)]
    negative = [np.concatenate([points, [[180, 90, -0.001]]]) for points in ordinary]
    renderer, seconds = AprilRenderer(6.0), []
    for sets in map(PointSets.of, (ordinary, negative)):
        times = []
        for _ in range(5):
            started = time.thread_time()
            renderer._draw(sets, np.arange(8), 0.1)
            times.append(time.thread_time() - started)
        seconds.append(min(times))
    assert seconds[1] < 15 * seconds[0]  # 3 in practice; 100 if points were drawn one by one


def test_where_all_pixels_are_in_doubt_the_whole_map_is_computed_once(monkeypatch):
    columns, rows = np.meshgrid(np.arange(0, 360, 6), np.arange(10, 170, 6))
    points = np.column_stack([columns.ravel(), rows.ravel(), np.ones(columns.size)])
    exact = exact_map(points, 6.0)
    level = float(np.median(exact) / exact.max())
    monkeypatch.setattr(rendering, "exact_energies", None)  # pixel by pixel it takes longer
    monkeypatch.setattr(rendering, "_MANY_PIXELS", 0)
    np.testing.assert_array_equal(mask_of(points, level), true_mask(exact, level))


def test_each_thread_draws_for_itself():
    rng = np.random.default_rng(0)
    sets = [PointSets.of([spread(rng, centre, 30) for centre in CENTRES]) for _ in range(12)]
    pairs = np.array([(i, j) for i in range(4) for j in range(4, 8)])

    def compare(points):
        return april_renderer(6.0).compare(points, 0.1, pairs, np.ones(len(pairs), dtype=bool))

    alone = [compare(points) for points in sets]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(compare, sets * 4))
        renderers = set(threads.map(lambda _: april_renderer(6.0), range(64)))
    assert april_renderer(6.0) not in renderers
    for ours, theirs in zip(together, alone * 4, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


def test_maps_are_the_same_without_compilation():
    points = [[100.0, 90.0, 1.0], [101.0, 90.0, 0.4], [102.0, 90.0, 0.3], [103.25, 91.5, 0.5]]
    code = (
        "import numpy as np; from sai_bench.metrics.april.rendering import AprilRenderer, PointSets;"
        f"renderer = AprilRenderer(1.0); points = np.array({points});"
        "renderer.compare(PointSets.of([points]), 0.1, np.array([[0, 0]]), np.array([True]));"
        "print(repr(renderer._slots.area[0].item()), *renderer._slots.energy[0].max(axis=0)[98:106])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    area, *highest = map(float, done.stdout.split())
    exact = exact_map(np.array(points), 1.0)
    assert area == true_mask(exact).sum()
    np.testing.assert_allclose(highest, exact.max(axis=0)[98:106], rtol=1e-5, atol=1e-6)
    assert math.isclose(max(highest), exact.max(), rel_tol=1e-5)
