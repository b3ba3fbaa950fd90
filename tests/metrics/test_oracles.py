"""Repaired predictions, by cases whose right answer is known by reasoning."""

import numpy as np
import pytest

from sai_bench.metrics.diagnosing.oracles import (
    Overlaps,
    as_one_class,
    with_true_classes,
    with_true_masks,
    with_true_scores,
    without_copies,
)


def around(x, y, energy=1.0):
    """A small cross of points about (x, y)."""
    return [(x, y, energy), (x + 1, y, energy / 2), (x - 1, y, energy / 2), (x, y + 1, 0.7 * energy)]


def precision(april, predictions, labels):
    return april.combine([april.score_recording(predictions, labels)])["map"]


def test_true_scores_put_hits_above_false_alarms(april, region):
    labels = [region(around(50, 60), 4, frame) for frame in range(4)]
    hits = [region(around(50, 60), 4, frame, 0.1) for frame in range(4)]
    false_alarms = [region(around(200, 60), 4, frame, 0.9) for frame in range(4)]
    predictions = false_alarms + hits
    assert precision(april, predictions, labels) == pytest.approx(0.5, abs=0.01)
    repaired = with_true_scores(predictions, Overlaps.measured(april, predictions, labels))
    assert [p.score for p in repaired] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert precision(april, repaired, labels) == pytest.approx(1)


def test_true_score_is_the_iou_with_a_label_of_the_own_class(april, region):
    labels = [region(around(50, 60), 4), region(around(56, 60), 5)]
    prediction = region(around(56, 60), 4, score=0.3)
    iou = april.overlap([prediction], labels)[0]
    assert iou[1] == 1
    assert 0.3 < iou[0] < 0.9
    repaired = with_true_scores([prediction], Overlaps.measured(april, [prediction], labels))
    assert repaired[0].score == iou[0]


def test_true_scores_put_duplicates_to_the_bottom(april, region):
    labels = [region(around(50, 60), 4, frame) for frame in range(4)]
    predictions = [region(around(50 + i, 60), 4, frame, 0.5) for frame in range(4) for i in range(2)]
    repaired = with_true_scores(predictions, Overlaps.measured(april, predictions, labels))
    assert [p.score for p in repaired] == [1, 0] * 4
    assert precision(april, repaired, labels) == pytest.approx(1)


def test_two_detections_of_two_labels_are_both_scored(april, region):
    labels = [region(around(50, 60), 4), region(around(53, 60), 4)]
    predictions = [region(around(51, 60), 4, score=0.1), region(around(50, 60), 4, score=0.2)]
    iou = april.overlap(predictions, labels)
    assert iou[0, 0] > iou[0, 1] > 0  # the first, too, is nearer to the label that the second hits exactly
    repaired = with_true_scores(predictions, Overlaps.measured(april, predictions, labels))
    assert [p.score for p in repaired] == [iou[0, 1], 1]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", ["april", "june"])
def test_true_scores_are_no_worse_than_any_others(request, region, name, seed):
    """Many detections of few sources, so that most are duplicates."""
    metric, rng = request.getfixturevalue(name), np.random.default_rng(seed)
    labels = [region(around(50 + 40 * k, 60), k % 2, frame) for frame in range(5) for k in range(3)]
    predictions = []
    for frame in range(5):
        for k in rng.integers(0, 3, 8).tolist():
            x = 50 + 40 * k + round(3 * rng.normal())
            predictions.append(region(around(x, 60), k % 2, frame, float(rng.random())))
    overlaps = Overlaps.measured(metric, predictions, labels)
    plain, repaired = (
        metric.combine([metric.score_recording(side, labels)])
        for side in (predictions, with_true_scores(predictions, overlaps))
    )
    for number in metric.headline[:2]:
        assert repaired[number] >= plain[number] - 1e-9


def test_true_classes_make_confused_regions_right(april, region):
    labels = [region(around(50, 60), 4), region(around(150, 60), 7)]
    predictions = [region(around(50, 60), 7, score=0.9), region(around(150, 60), 4, score=0.8)]
    assert precision(april, predictions, labels) == 0
    repaired = with_true_classes(predictions, Overlaps.measured(april, predictions, labels))
    assert [p.category_id for p in repaired] == [4, 7]
    assert [p.score for p in repaired] == [0.9, 0.8]
    assert precision(april, repaired, labels) == pytest.approx(1)


def test_regions_that_overlap_nothing_keep_their_class(april, region):
    labels = [region(around(50, 60), 4, frame=3)]
    predictions = [region(around(250, 60), 7, 3, 0.9), region(around(50, 60), 7, 4, 0.9)]
    repaired = with_true_classes(predictions, Overlaps.measured(april, predictions, labels))
    assert repaired == predictions


def test_a_region_offered_under_every_class_is_one_right_detection(april, region):
    labels = [region(around(50, 60), 4, frame) for frame in range(3)]
    predictions = [region(around(50, 60), k, frame, 0.1 + k / 20) for frame in range(3) for k in range(13)]
    repaired = with_true_classes(predictions, Overlaps.measured(april, predictions, labels))
    assert [(p.category_id, p.score) for p in repaired] == [(4, 0.7)] * 3
    assert precision(april, repaired, labels) == pytest.approx(1)


def test_true_masks_repair_what_is_within_20_degrees_and_of_the_class(april, region):
    labels = [region(around(50, 90), 4), region(around(150, 90), 5), region(around(250, 90), 6)]
    predictions = [
        region(around(60, 90), 4, score=0.9),  # 10 degrees off
        region(around(171, 90), 5, score=0.9),  # 21 degrees off
        region(around(250, 90), 7, score=0.9),  # wrong class
    ]
    repaired = with_true_masks(predictions, labels)
    assert repaired[0].segmentation == labels[0].segmentation
    assert repaired[1:] == predictions[1:]
    assert precision(april, predictions, labels) == 0
    assert precision(april, repaired, labels) == pytest.approx(1 / 3)


def test_true_masks_go_to_the_strongest_detection_first_and_to_one_only(region):
    labels = [region(around(50, 90), 4)]
    predictions = [region(around(52, 90), 4, score=0.2), region(around(60, 90), 4, score=0.8)]
    repaired = with_true_masks(predictions, labels)
    assert repaired[0] == predictions[0]
    assert repaired[1].segmentation == labels[0].segmentation


def test_true_masks_give_the_second_detection_the_label_that_is_still_free(region):
    labels = [region(around(50, 90), 4), region(around(60, 90), 4)]
    predictions = [region(around(54, 90), 4, score=0.2), region(around(52, 90), 4, score=0.8)]
    repaired = with_true_masks(predictions, labels)
    assert [p.segmentation for p in repaired] == [labels[1].segmentation, labels[0].segmentation]


def test_silent_regions_have_no_overlap_and_no_direction(april, region):
    silent = region([(50, 60, 0.0)], 4, score=0.5)
    label = region(around(50, 60), 4)
    assert april.overlap([silent, label], [silent, label]).tolist() == [[0, 0], [0, 1]]
    assert with_true_masks([silent], [label]) == [silent]


def test_no_oracle_finds_a_missed_source(april, region):
    labels = [region(around(50, 60), 4), region(around(150, 60), 4, frame=1)]
    predictions = [region(around(53, 60), 4, score=0.9)]
    overlaps = Overlaps.measured(april, predictions, labels)
    assert precision(april, with_true_masks(predictions, labels), labels) == pytest.approx(51 / 101)
    for repaired in (with_true_scores(predictions, overlaps), with_true_classes(predictions, overlaps)):
        assert precision(april, repaired, labels) == precision(april, predictions, labels)


def test_one_class_judges_where_and_not_what(april, region):
    labels = [region(around(50, 60), 4), region(around(150, 60), 7)]
    predictions = [region(around(50, 60), k, score=0.5 + k / 100) for k in range(13)]
    predictions += [region(around(150, 60), 2, score=0.5)]
    merged = without_copies(as_one_class(predictions))
    assert [(p.category_id, p.score) for p in merged] == [(0, 0.62), (0, 0.5)]
    assert precision(april, merged, as_one_class(labels)) == pytest.approx(1)


def test_only_the_same_points_in_the_same_frame_and_class_are_copies(region):
    first = region(around(50, 60), 4, 0, 0.2)
    others = [
        region(around(50, 60), 4, 1, 0.5),
        region(around(50, 60), 5, 0, 0.5),
        region(around(51, 60), 4, 0, 0.5),
    ]
    assert without_copies([first, *others, region(around(50, 60), 4, 0, 0.2)]) == [first, *others]
    stronger = region(around(50, 60), 4, 0, np.nextafter(0.2, 1))
    assert without_copies([first, stronger]) == [stronger]
