"""Average precision of weighted recordings, against the plain one on recordings repeated in a list."""

import numpy as np
import pytest

from sai_bench.metrics.average_precision import precision_at_recall
from sai_bench.metrics.diagnosing.weighted_precision import WeightedPrecision, mean_where_defined
from sai_bench_builtin.metrics.april_resampling import resampled_headline


def random_detections(rng, recordings=6):
    recording = rng.integers(0, recordings, 60)
    scores = rng.random(60)  # no two are equal
    matched = rng.random((60, 3)) < scores[:, None] * [0.9, 0.5, 0.02]
    return scores, matched, recording


def repeated(values, recording, weight):
    return np.concatenate([values[recording == r] for r, times in enumerate(weight) for _ in range(times)])


@pytest.mark.parametrize("seed", range(20))
def test_weights_are_repetitions(seed):
    rng = np.random.default_rng(seed)
    scores, matched, recording = random_detections(rng)
    labels_of = matched[:, 0][:, None] * (recording[:, None] == np.arange(6))
    labels_of = labels_of.sum(axis=0) + rng.integers(0, 3, 6)
    weights = np.concatenate([np.ones((1, 6), int), rng.multinomial(6, np.full(6, 1 / 6), 8)])
    labels = weights @ labels_of
    got = WeightedPrecision(scores, matched, recording)(weights, labels)
    for weight, own, number in zip(weights, got, labels, strict=True):
        curves = precision_at_recall(
            repeated(scores, recording, weight), repeated(matched, recording, weight), number
        )
        np.testing.assert_allclose(own, curves.mean(axis=1), rtol=1e-12)


def test_a_class_without_labels_has_no_precision_and_one_without_detections_none_to_speak_of():
    empty = WeightedPrecision(np.zeros(0), np.zeros((0, 2), bool), np.zeros(0, int))
    got = empty(np.array([[1, 1], [0, 2]]), np.array([3, 0]))
    np.testing.assert_array_equal(got, [[0, 0], [np.nan, np.nan]])


def test_copies_of_equal_detections_rank_by_detection():
    hit_and_miss = WeightedPrecision(np.array([0.5, 0.5]), np.array([[True], [False]]), np.array([0, 0]))
    assert hit_and_miss(np.array([[2]]), np.array([2])) == pytest.approx(1)


def test_mean_skips_what_is_not_defined():
    nan = np.nan
    np.testing.assert_array_equal(mean_where_defined([[1, nan, nan], [3, 4, nan]]), [2, 4, nan])


@pytest.fixture(scope="module")
def april_parts(april, region):
    rng = np.random.default_rng(3)
    parts = []
    for number in range(7):
        predictions, labels = [], []
        for frame in range(3):
            for category in {number % 3, int(rng.integers(0, 4))}:
                x, y = rng.uniform([0, 30], [360, 150])
                dx, dy = rng.normal(0, 3, 2)
                labels.append(region([(x, y, 1), ((x + 2) % 360, y, 0.5)], category, frame))
                if rng.random() < 0.9:
                    moved = [((x + dx) % 360, y + dy, 1.0)]
                    predictions.append(region(moved, category, frame, float(rng.random())))
        parts.append(april.score_recording(predictions, labels))
    return parts


def test_april_headline_is_that_of_the_recordings_repeated(april, april_parts):
    weights = np.random.default_rng(0).multinomial(7, np.full(7, 1 / 7), 40)
    fast = april.combine_weighted(april_parts, weights)
    assert set(fast) == set(april.headline)
    for index, weight in enumerate(weights.tolist()):
        parts = [part for part, times in zip(april_parts, weight, strict=True) for _ in range(times)]
        plain = april.combine(parts)
        for name, values in fast.items():
            assert values[index] == pytest.approx(plain[name], rel=1e-9)
    assert np.ptp(fast["map"]) > 0.05


def test_april_resamples_without_predictions_count_as_0_and_those_without_labels_have_no_value(april, region):
    label = region([(50, 60, 1.0)], 4)
    prediction = region([(50, 60, 1.0)], 4, score=0.5)
    parts = [
        april.score_recording(*sides)
        for sides in (([prediction], [label]), ([prediction], []), ([], [label]))
    ]
    drawn = resampled_headline(parts, np.array([[3, 0, 0], [0, 3, 0], [0, 0, 3], [0, 1, 2]]))
    np.testing.assert_allclose(drawn["map"], [1, np.nan, 0, 0])
    np.testing.assert_array_equal(np.isnan(drawn["pearson"]), [False, True, True, True])
    nothing = resampled_headline([april.score_recording([], [])], np.array([[1]]))
    assert all(np.isnan(values).all() for values in nothing.values())
