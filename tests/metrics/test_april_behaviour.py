"""What the April metric does at its edges, and what must leave its numbers alone."""

import math
import subprocess
import sys

import msgspec
import numpy as np
import pytest

from sai_bench.predictions import read_annotations


def around(x, y, energy=1.0):
    """A small cross of points about (x, y)."""
    return [(x, y, energy), (x + 1, y, energy / 2), (x - 1, y, energy / 2), (x, y + 1, 0.7 * energy)]


def score(april, predictions, labels):
    return april.combine([april.score_recording(predictions, labels)])


@pytest.fixture(scope="module")
def sparse(case_files):
    labels, predictions = case_files("sparse")[0]
    return read_annotations(labels), read_annotations(predictions)


def test_perfect_predictions_score_one(april, region):
    labels = [region(around(40 * k, 60 + k), k, frame, distance=100) for k in range(5) for frame in range(3)]
    predictions = [region(around(40 * k, 60 + k), k, f, 0.9, 100) for k in range(5) for f in range(3)]
    result = score(april, predictions, labels)
    assert result["map"] == pytest.approx(1)
    assert result["ap50"] == pytest.approx(1)
    assert result["pearson"] == pytest.approx(1)
    assert result["distance_mape"] == 0
    assert result["macro_present"] == pytest.approx(1)
    assert result["macro13"] == pytest.approx(5 / 13)


def test_without_predictions_nothing_is_defined_but_the_true_macro_is_zero(april, region):
    result = score(april, [], [region(around(50, 60), 4)])
    assert result["map"] is None
    assert result["ap50"] is None
    assert result["pearson"] is None
    assert result["distance_mape"] is None
    assert set(result["per_class_ap"].values()) == {None}
    assert result["macro_present"] == result["macro13"] == result["macro_union"] == 0
    assert result["counts"]["frames"] == 1


def test_predictions_without_valid_labels_score_minus_one(april, region):
    silent = region([(50, 60, 0.0)], 4)
    for labels in ([], [silent]):
        result = score(april, [region(around(50, 60), 4, score=0.5)], labels)
        assert result["map"] == result["ap50"] == -1
        assert result["macro_present"] is result["macro13"] is result["macro_union"] is None
        assert result["counts"]["labels"] == 0


@pytest.mark.parametrize("recordings", [0, 1])
def test_nothing_at_all_is_defined_for_empty_recordings(april, recordings):
    result = april.combine([april.score_recording([], [])] * recordings)
    assert result["map"] is result["ap50"] is result["pearson"] is None
    assert result["counts"]["frames"] == 0


def test_silent_label_is_no_miss(april, region):
    labels = [region(around(50, 60), 4), region([(200, 60, 1e-10)], 4), region([], 4)]
    result = score(april, [region(around(50, 60), 4, score=0.5)], labels)
    assert result["map"] == pytest.approx(1)


def test_class_with_labels_but_no_predictions_scores_zero(april, region):
    labels = [region(around(50, 60), 4), region(around(90, 60), 7)]
    result = score(april, [region(around(50, 60), 4, score=0.5)], labels)
    assert result["per_class_ap"]["7"] == 0
    assert result["map"] == pytest.approx(0.5)


def test_false_positives_of_a_class_without_labels_cost_only_the_union_macro(april, region):
    labels = [region(around(50, 60), 4)]
    predictions = [region(around(50, 60), 4, score=0.5), region(around(90, 60), 7, score=0.9)]
    result = score(april, predictions, labels)
    assert result["map"] == pytest.approx(1)
    assert result["macro_union"] == pytest.approx(0.5)
    assert result["classes_behind"]["macro_union"] == 2


def test_missing_score_is_zero_and_missing_distance_a_full_error(april, region):
    labels = [region(around(50, 60), 4, distance=200)]
    predictions = [region(around(50, 60), 4), region(around(200, 60), 4, score=-0.5)]
    result = score(april, predictions, labels)
    assert result["map"] == pytest.approx(1)  # the hit ranks first: 0 > -0.5
    assert result["distance_mape"] == 100


@pytest.mark.parametrize("distance", [None, 0.0, -1.0, math.nan])
def test_label_without_distance_has_no_distance_error_but_a_correlation(april, region, distance):
    labels = [region(around(50, 60), 4, distance=distance)]
    result = score(april, [region(around(51, 60), 4, score=0.5, distance=100)], labels)
    assert result["distance_mape"] is None
    assert result["counts"]["distance_pairs"] == 0
    assert result["counts"]["pearson_pairs"] == 1


def test_predicted_distance_that_is_no_number_leaves_the_error_undefined(april, region):
    labels = [region(around(50, 60), 4, distance=100)]
    result = score(april, [region(around(51, 60), 4, score=0.5, distance=math.nan)], labels)
    assert result["distance_mape"] is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"distance": math.nan}, "pairs with a distance that is NaN or infinite: 1."),
        ({"distance": math.inf}, "pairs with a distance that is NaN or infinite: 1."),
        ({"score": math.nan}, "predictions with NaN as score: 1."),
        ({}, None),
    ],
)
def test_numbers_that_are_none_are_warned_about(april, region, changes, says):
    labels = [region(around(50, 60), 4, distance=100)]
    prediction = region(around(51, 60), 4, **{"score": 0.5, "distance": 90.0, **changes})
    warnings = april.warnings([april.score_recording([prediction], labels)])
    assert len(warnings) == bool(says)
    assert all(says in text for text in warnings)


def test_an_infinite_distance_leaves_the_error_undefined_without_a_word(april, region, recwarn):
    labels = [region(around(50, 60), 4, distance=math.inf)]
    result = score(april, [region(around(51, 60), 4, score=0.5, distance=3)], labels)
    assert result["distance_mape"] is None
    assert not recwarn.list


@pytest.mark.parametrize("energy", [math.nan, -1.0])
def test_prediction_without_a_positive_peak_is_removed(april, region, energy):
    labels = [region(around(50, 60), 4)]
    result = score(april, [region([(50, 60, energy)], 4, score=0.5)], labels)
    assert result["counts"]["predictions"] == 0
    assert result["map"] is None


def test_infinite_energy_keeps_its_mask_but_has_no_correlation(april, region):
    labels = [region([(50, 60, 1.0)], 4)]
    result = score(april, [region([(50, 60, math.inf)], 4, score=0.5)], labels)
    assert result["counts"]["predictions"] == 1
    assert result["counts"]["pearson_pairs"] == 0


def test_macro_pearson_weighs_classes_not_pairs(april, region):
    labels = [region(around(50, 60), 4, f) for f in range(3)] + [region(around(150, 60), 7)]
    predictions = [region(around(50, 60), 4, f, 0.5) for f in range(3)]
    predictions.append(region([(155, 66, 1.0)], 7, 0, 0.5))
    result = score(april, predictions, labels)
    low = 4 * result["pearson"] - 3
    assert low < 0.9
    assert result["macro_pearson"] == pytest.approx((1 + low) / 2)


@pytest.mark.parametrize("frame", [2**53 + 1, 2**63 - 1, 2**63 + 1, 10**30, -(2**64)])
def test_frame_indices_of_any_size_are_kept_apart(april, region, frame):
    labels = [region(around(50, 60), 4, frame), region(around(50, 60), 4, -1)]
    near, hit = region(around(50, 60), 4, frame + 1, 0.9), region(around(50, 60), 4, frame, 0.5)
    result = score(april, [near, hit, region(around(50, 60), 4, -1, 0.8)], labels)
    assert result["counts"]["frames"] == 3
    # One miss ranks first: precision 2/3 at every recall.
    assert result["map"] == pytest.approx(2 / 3)


def test_scale_of_energies_changes_no_average_precision(april, sparse):
    labels, predictions = sparse
    original = score(april, predictions, labels)
    rng = np.random.default_rng(1)
    scaled = []
    for annotation in predictions:
        factor = 2.0 ** int(rng.integers(-6, 7))  # exact in float32
        points = [[(x, y, e * factor) for x, y, e in part] for part in annotation.segmentation]
        scaled.append(type(annotation)(**{**_fields(annotation), "segmentation": points}))
    result = score(april, scaled, labels)
    assert result["map"] == original["map"]
    assert result["per_class_ap"] == original["per_class_ap"]
    assert result["pearson"] == pytest.approx(original["pearson"], abs=1e-6)


@pytest.mark.parametrize("shift", [17, 180, 360])
def test_turning_everything_about_the_vertical_axis_changes_no_average_precision(april, region, shift):
    rng = np.random.default_rng(2)
    sides = {}
    for turn in (0, shift):
        rng = np.random.default_rng(2)
        labels, predictions = [], []
        for frame in range(10):
            x, y = rng.integers(0, 360), rng.integers(40, 140)
            dx, dy = rng.integers(-4, 5, 2)
            labels.append(region(around((x + turn) % 360, y), frame % 3, frame))
            predictions.append(region(around((x + dx + turn) % 360, y + dy), frame % 3, frame, rng.random()))
        sides[turn] = score(april, predictions, labels)
    assert 0.1 < sides[0]["map"] < 0.99
    assert sides[shift]["map"] == pytest.approx(sides[0]["map"], abs=1e-12)
    assert sides[shift]["ap50"] == pytest.approx(sides[0]["ap50"], abs=1e-12)


def test_cutting_a_recording_in_two_changes_nothing(april, sparse):
    labels, predictions = sparse
    whole = score(april, predictions, labels)
    middle = 20
    halves = [
        april.score_recording(
            [p for p in predictions if (p.metadata_frame_index < middle) == first],
            [a for a in labels if (a.metadata_frame_index < middle) == first],
        )
        for first in (True, False)
    ]
    assert 0 < halves[0]["frames"] < whole["counts"]["frames"]
    assert april.combine(halves) == whole


def test_equal_scores_rank_in_recording_order(april, region):
    hit = april.score_recording([region(around(50, 60), 4, score=0.5)], [region(around(50, 60), 4)])
    miss = april.score_recording([region(around(90, 60), 4, score=0.5)], [])
    assert april.combine([hit, miss])["map"] == pytest.approx(1)
    assert april.combine([miss, hit])["map"] == pytest.approx(0.5)


@pytest.mark.parametrize("block_points", [1, 100, 3000])
def test_a_recording_scored_in_blocks_of_frames_gives_the_same_arrays(
    april, sparse, monkeypatch, block_points
):
    labels, predictions = sparse
    shuffled = [predictions[i] for i in np.random.default_rng(0).permutation(len(predictions))]
    whole = april.score_recording(shuffled, labels)
    monkeypatch.setattr("sai_bench_builtin.metrics.april_recording._BLOCK_POINTS", block_points)
    in_blocks = april.score_recording(shuffled, labels)
    assert whole.keys() == in_blocks.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(array, in_blocks[name])


def test_only_the_hundred_best_valid_predictions_of_a_class_and_frame_count(april, plain_april, region):
    rng = np.random.default_rng(0)
    labels = [region(around(50 + 30 * k, 60), 4) for k in range(3)]
    predictions = [
        region([(x, y, 1.0), (x + 2, y, 0.5)], 4, score=float(rng.random()))
        for x, y in rng.uniform([40, 50], [130, 70], (130, 2))
    ]
    predictions[::6] = [region([(50, 60, 0.0)], 4, score=1.0)] * len(predictions[::6])  # not valid
    part = april.score_recording(predictions, labels)
    assert len(part["detection_score"]) == 100
    assert part["predictions_per_class"][4] == len(predictions) - len(predictions[::6])
    plain = plain_april.evaluate([[[msgspec.to_builtins(a) for a in side] for side in (labels, predictions)]])
    assert plain["map"] > 0.01
    assert april.combine([part])["map"] == pytest.approx(plain["map"], abs=1e-12)


def test_a_score_that_is_no_number_ranks_last(april, region):
    labels = [region(around(50, 60), 4)]
    miss, hit = region(around(200, 60), 4, score=math.nan), region(around(50, 60), 4, score=-5.0)
    assert score(april, [miss, hit], labels)["map"] == pytest.approx(1)


def test_overlap_is_the_iou_of_any_two_regions(april, region):
    predictions = [region(around(50, 60), 4), region([(50, 60, 0.0)], 4), region(around(54, 60), 5)]
    labels = [region(around(50, 60), 7), region(around(300, 60), 4)]
    overlap = april.overlap(predictions, labels)
    assert overlap.shape == (3, 2)
    assert overlap[0, 0] == 1
    assert 0.4 < overlap[2, 0] < 0.8
    assert overlap[1].tolist() == overlap[:, 1].tolist()[:2] == [0, 0]
    assert april.overlap([], labels).shape == (0, 2)


def test_parts_are_plain_arrays_of_fixed_types(april, sparse):
    labels, predictions = sparse
    empty, full = april.score_recording([], []), april.score_recording(predictions, labels)
    assert empty.keys() == full.keys()
    for name, array in full.items():
        assert array.dtype == empty[name].dtype != object
        assert array.shape[1:] == empty[name].shape[1:]


def test_metric_needs_no_torch():
    code = (
        "import sys; from sai_bench_builtin.metrics.dcase2026_april import April;"
        "from sai_bench_builtin.configs.metric import AprilConfig; April(AprilConfig()).combine([]);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def _fields(annotation):
    return {name: getattr(annotation, name) for name in annotation.__struct_fields__}
