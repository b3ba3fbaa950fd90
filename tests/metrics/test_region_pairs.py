"""Pairing by direction and the comparison of two regions, against SciPy, NumPy and exhaustive search."""

import itertools
import math

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from sai_bench.metrics.april.direction_pairing import choose_pairs, official_angles_deg
from sai_bench.metrics.april.region_pairs import compare_regions
from sai_bench.metrics.april.rendering import PointSets
from sai_bench.sphere import angle_between_deg, azimuth_deg, elevation_deg


def angle(a, b):
    return angle_between_deg(azimuth_deg(a[0]), elevation_deg(a[1]), azimuth_deg(b[0]), elevation_deg(b[1]))


def pair_by_direction(frames):
    """Pair frames of (labels, their classes, predictions, their classes); return (label, prediction)s."""
    points = np.concatenate([side for labels, _, predictions, _ in frames for side in (labels, predictions)])
    kinds = np.concatenate([side for _, classes, _, other in frames for side in (classes, other)])
    sizes = [len(side) for labels, _, predictions, _ in frames for side in (labels, predictions)]
    side_of = np.repeat(np.arange(len(sizes)), sizes)
    frame = side_of // 2
    labels, predictions = np.flatnonzero(side_of % 2 == 0), np.flatnonzero(side_of % 2)
    pairs = [(g, d) for g in labels for d in predictions if frame[g] == frame[d] and kinds[g] == kinds[d]]
    pairs = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return pairs[choose_pairs(pairs, official_angles_deg(points, pairs), frame, labels, predictions)].tolist()


def random_frame(rng):
    labels, predictions = (rng.uniform([340, 80], [390, 110], (n, 2)) % 360 for n in (3, 4))
    return labels, rng.integers(0, 2, 3), predictions, rng.integers(0, 2, 4)


@pytest.mark.parametrize("seed", range(20))
def test_pairs_are_the_most_possible_with_the_smallest_sum_of_angles(seed):
    frame = random_frame(np.random.default_rng(seed))
    labels, label_classes, predictions, prediction_classes = frame
    best = (0, 0.0)
    for chosen in itertools.permutations(range(4), 3):
        angles = [
            angle(labels[g], predictions[d])
            for g, d in enumerate(chosen)
            if label_classes[g] == prediction_classes[d] and angle(labels[g], predictions[d]) <= 20
        ]
        best = min(best, (-len(angles), sum(angles)))
    pairs = [(g, d - 3) for g, d in pair_by_direction([frame])]
    assert len(pairs) == -best[0]
    assert sum(angle(labels[g], predictions[d]) for g, d in pairs) == pytest.approx(best[1], abs=1e-3)
    assert all(label_classes[g] == prediction_classes[d] for g, d in pairs)


def test_frames_are_paired_together_as_each_is_alone():
    frames = [random_frame(np.random.default_rng(seed)) for seed in range(20)]
    alone = [
        [7 * index + i for i in pair]
        for index, frame in enumerate(frames)
        for pair in pair_by_direction([frame])
    ]
    assert sorted(pair_by_direction(frames)) == sorted(alone)
    assert len(alone) > 30


def test_pairs_reach_across_the_seam_but_not_beyond_twenty_degrees():
    zero = np.array([0])
    for x, expected in ((350.0, [[0, 1]]), (342.0, [[0, 1]]), (338.0, [])):
        assert pair_by_direction([(np.array([[1.0, 89.5]]), zero, np.array([[x, 89.5]]), zero)]) == expected


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([[5, 6, 0.2], [7, 8, 0.9], [9, 1, 0.9]], [7, 8]),
        ([[5, 6, 0.0], [7, 8, -1.0]], [0, 0]),
        ([[5, 6, math.nan], [7, 8, 0.1]], [7, 8]),
        ([], [0, 0]),
    ],
)
def test_location_is_the_first_point_with_the_most_positive_energy(points, expected):
    others = np.array([[1.0, 2.0, 5.0]])
    sets = PointSets.of([others, np.array(points, dtype=float).reshape(-1, 3), others])
    assert sets.strongest[1, :2].tolist() == expected


def compare(energies, masks, box=None):
    """Compare two regions in a box, by default the whole image."""
    energies, masks = np.array(energies, np.float32), np.array(masks)
    boxes = np.array([box or [0, masks.shape[1], 0, masks.shape[2]]] * 2)
    areas = masks.sum(axis=(1, 2))
    iou, r = compare_regions(energies, masks, boxes, areas, np.array([[0, 1]]), np.array([True]))
    return iou[0], r[0]


def test_iou_counts_pixels():
    masks = np.zeros((2, 8, 9), bool)
    masks[0, :4, :3] = masks[1, 2:5, :3] = True
    assert compare(np.zeros((2, 8, 9)), masks)[0] == 6 / 15
    assert compare(np.zeros((2, 8, 9)), masks, [0, 5, 0, 3])[0] == 6 / 15
    assert compare(np.zeros((2, 8, 9)), [masks[0], masks[0]])[0] == 1
    assert compare(np.zeros((2, 8, 9)), [masks[0], ~masks[0]])[0] == 0
    assert compare(np.zeros((2, 8, 9)), np.zeros((2, 8, 9), bool))[0] == 0


@pytest.mark.parametrize("seed", range(12))
def test_correlation_is_pearsons_over_the_union_grown_by_two_pixels(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, 30, 40)).astype(np.float32)
    b += a
    masks = np.zeros((2, 30, 40), bool)
    if seed % 2:
        masks[:] = rng.random((2, 30, 40)) > 0.98
        masks[:, 0, 0] = masks[:, 29, 20] = True  # at the border it neither wraps nor fails
    else:
        masks[0, 3:9, 30:40] = masks[1, 0:5, 20:33] = True
    rows, columns = np.nonzero(masks.any(axis=0))
    near = binary_dilation(masks[0] | masks[1], iterations=2)
    oracle = np.corrcoef(a[near].astype(float), b[near].astype(float))[0, 1]
    assert compare([a, b], masks)[1] == pytest.approx(oracle, abs=1e-12)
    tight = [rows.min(), rows.max() + 1, columns.min(), columns.max() + 1]
    assert compare([a, b], masks, tight)[1] == pytest.approx(oracle, abs=1e-12)


def test_flat_and_infinite_maps_have_no_correlation():
    a = np.random.default_rng(0).random((10, 10)).astype(np.float32)
    mask = np.zeros((10, 10), bool)
    mask[4, 4] = True
    infinite = a.copy()
    infinite[4, 4] = np.inf
    for other in (np.ones_like(a), a * np.float32(1e-7), infinite):
        assert math.isnan(compare([a, other], [mask, mask])[1])
        assert math.isnan(compare([other, a], [mask, mask])[1])
    assert compare([a, a * np.float32(1e-6)], [mask, mask])[1] == pytest.approx(1)
    assert compare([a, -a], [mask, mask])[1] == pytest.approx(-1)
