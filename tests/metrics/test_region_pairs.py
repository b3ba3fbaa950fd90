"""Pairing by direction and the correlation around a pair, against SciPy, NumPy and exhaustive search."""

import itertools
import math

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from sai_bench.metrics.direction_pairing import loudest_point, pair_by_direction
from sai_bench.metrics.energy_correlation import dilate, region_correlation
from sai_bench.sphere import angle_between_deg, azimuth_deg, elevation_deg


def angle(a, b):
    return angle_between_deg(azimuth_deg(a[0]), elevation_deg(a[1]), azimuth_deg(b[0]), elevation_deg(b[1]))


@pytest.mark.parametrize("seed", range(20))
def test_pairs_are_the_most_possible_with_the_smallest_sum_of_angles(seed):
    rng = np.random.default_rng(seed)
    labels, predictions = (rng.uniform([340, 80], [390, 110], (n, 2)) % 360 for n in (3, 4))
    label_classes, prediction_classes = rng.integers(0, 2, 3), rng.integers(0, 2, 4)
    best = (0, 0.0)
    for chosen in itertools.permutations(range(4), 3):
        angles = [
            angle(labels[g], predictions[d])
            for g, d in enumerate(chosen)
            if label_classes[g] == prediction_classes[d] and angle(labels[g], predictions[d]) <= 20
        ]
        best = min(best, (-len(angles), sum(angles)))
    pairs = pair_by_direction(labels, label_classes, predictions, prediction_classes)
    assert len(pairs) == -best[0]
    assert sum(angle(labels[g], predictions[d]) for g, d in pairs) == pytest.approx(best[1], abs=1e-3)
    assert all(label_classes[g] == prediction_classes[d] for g, d in pairs)


def test_pairs_reach_across_the_seam_but_not_beyond_twenty_degrees():
    zero = np.array([0])
    for x, expected in ((350.0, [(0, 0)]), (342.0, [(0, 0)]), (338.0, [])):
        pairs = pair_by_direction(np.array([[1.0, 89.5]]), zero, np.array([[x, 89.5]]), zero)
        assert pairs == expected


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([[5, 6, 0.2], [7, 8, 0.9], [9, 1, 0.9]], (7, 8)),
        ([[5, 6, 0.0], [7, 8, -1.0]], (0, 0)),
        ([[5, 6, math.nan], [7, 8, 0.1]], (7, 8)),
        ([], (0, 0)),
    ],
)
def test_location_is_the_first_point_with_the_most_positive_energy(points, expected):
    assert loudest_point(np.array(points, dtype=float).reshape(-1, 3)) == expected


@pytest.mark.parametrize("seed", range(6))
def test_dilation_is_the_diamond_of_radius_two(seed):
    mask = np.random.default_rng(seed).random((30, 40)) > 0.97
    mask[0, 0] = mask[29, 20] = True  # at the border it neither wraps nor fails
    np.testing.assert_array_equal(dilate(mask), binary_dilation(mask, iterations=2))


@pytest.mark.parametrize("seed", range(6))
def test_correlation_is_pearsons_over_the_dilated_union(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, 30, 40)).astype(np.float32)
    b += a
    masks = np.zeros((2, 30, 40), bool)
    masks[0, 3:9, 30:40] = masks[1, 0:5, 20:33] = True
    near = binary_dilation(masks[0] | masks[1], iterations=2)
    oracle = np.corrcoef(a[near].astype(float), b[near].astype(float))[0, 1]
    assert region_correlation(a, masks[0], b, masks[1]) == pytest.approx(oracle, abs=1e-12)


def test_flat_and_infinite_maps_have_no_correlation():
    rng = np.random.default_rng(0)
    a = rng.random((10, 10)).astype(np.float32)
    mask = np.zeros((10, 10), bool)
    mask[4, 4] = True
    infinite = a.copy()
    infinite[4, 4] = np.inf
    assert math.isnan(region_correlation(a, mask, np.ones_like(a), mask))
    assert math.isnan(region_correlation(a * np.float32(1e-7), mask, a, mask))
    assert math.isnan(region_correlation(a, mask, infinite, mask))
    assert region_correlation(a, mask, a, mask) == pytest.approx(1)
