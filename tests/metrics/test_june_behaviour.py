"""What the June metric makes of recordings: matching, ranking, ties, warnings."""

import math
import subprocess
import sys

import numpy as np
import pytest

from sai_bench.metrics.average_precision import average_precision
from sai_bench.metrics.june.matching import assign, label_correlation, soft_iou
from sai_bench.metrics.june.ranking import ranking, tied
from sai_bench.metrics.june.rendering import render


def around(x, y, size=12.0, energy=1.0):
    """A cone over a square."""
    corners = [(x + dx, y + dy, energy / 2) for dx in (-size, size) for dy in (-size, size + 0.5)]
    return [(x, y, energy), *corners]


def score(june, predictions, labels):
    return june.combine([june.score_recording(predictions, labels)])


def test_perfect_predictions_score_one(june, region):
    places = [(40, 60), (150, 90), (250, 120)]
    labels = [region(around(*p), k, f) for f in range(5) for k, p in enumerate(places)]
    scores = np.random.default_rng(0).permutation(len(labels)) / len(labels)
    predictions = [
        region(a.segmentation[0], a.category_id, a.metadata_frame_index, float(s))
        for a, s in zip(labels, scores, strict=True)
    ]
    result = score(june, predictions, labels)
    for name in ("macro_mAP", "micro_mAP", "macro_AP75", "macro_pearson_r", "micro_pearson_r"):
        assert result[name] == pytest.approx(1)
    assert result["micro_pearson_n"] == 15
    assert result["counts"]["pearson_pairs_per_label"] == 1


def test_nothing_at_all_is_not_defined(june):
    result = june.combine([])
    for name in ("macro_mAP", "micro_mAP", "macro_AP50", "macro_pearson_r", "micro_pearson_r"):
        assert result[name] is None
    assert result == score(june, [], [])
    assert june.warnings([]) == []


def test_labels_without_predictions_score_zero_and_predictions_without_labels_nothing(june, region):
    assert score(june, [], [region(around(50, 60))])["macro_mAP"] == 0
    result = score(june, [region(around(50, 60), score=0.5)], [])
    assert result["macro_mAP"] is None
    assert result["per_class"]["Female speech"]["n_det"] == 1


def test_false_alarms_of_classes_without_labels_lower_micro_only(june, region):
    labels = [region(around(50, 60), 4)]
    hit, alarm = region(around(50, 60), 4, 0, 0.5), region(around(50, 60), 7, 0, 0.9)
    result = score(june, [hit, alarm], labels)
    assert result["macro_mAP"] == pytest.approx(1)
    assert result["micro_mAP"] == pytest.approx(0.5)


def test_classes_and_frames_do_not_meet(june, region):
    labels = [region(around(50, 60), 4, 0)]
    others = [region(around(50, 60), 5, 0, 0.5), region(around(50, 60), 4, 1, 0.5)]
    assert score(june, others, labels)["macro_mAP"] == 0


def test_assignment_maximises_the_sum_of_iou_and_ignores_scores(june, region):
    labels = [region(around(50, 60)), region(around(62, 60))]
    # The stronger prediction fits the first label better, but the other one does not fit the second at all.
    predictions = [region(around(55, 60), score=0.9), region(around(38, 60), score=0.1)]
    part = june.score_recording(predictions, labels)
    maps = [[render(a.segmentation) for a in side] for side in (predictions, labels)]
    iou = [[soft_iou(p, g) for g in maps[1]] for p in maps[0]]
    assert iou[0][0] > iou[0][1]
    assert iou[0][0] + iou[1][1] < iou[0][1] + iou[1][0]
    assert assign(*maps) == {0: (1, np.float32(iou[0][1])), 1: (0, np.float32(iou[1][0]))}
    np.testing.assert_array_equal(part["detection_iou"], np.float32([iou[0][1], iou[1][0]]))


def test_soft_iou_and_correlation_of_a_worked_example():
    # Single points on positions: maps with one pixel, or two of 1 and 0.5.
    one, two, other = (
        render([[(36.0 + 3.6 * k, 36.0, e) for k, e in enumerate(energies)]])
        for energies in ([1.0], [1.0, 0.5], [0.0, 1.0])
    )
    assert soft_iou(one, two) == pytest.approx(1 / 1.5)
    assert soft_iou(two, other) == pytest.approx(0.5 / 2)
    assert soft_iou(one, other) == 0
    assert math.isnan(label_correlation(one, two))  # a single pixel
    assert label_correlation(two, one) == pytest.approx(1)
    assert label_correlation(two, other) == pytest.approx(-1)
    assert math.isnan(label_correlation(two, render([[(200.0, 36.0, 1.0)]])))  # flat inside the label


def test_an_iou_of_exactly_one_half_is_a_hit(june, region):
    label = region([(36.0, 36.0, 1.0), (39.6, 36.0, 1.0)])
    prediction = region([(36.0, 36.0, 1.0)], score=0.5)
    result = score(june, [prediction], [label])
    assert result["macro_AP_per_thr"] == pytest.approx([1, 1, 0])


def test_duplicates_are_false_alarms(june, region):
    labels = [region(around(50, 60), 4, f) for f in range(2)]
    predictions = [region(around(50, 60), 4, 0, s) for s in (0.9, 0.8)] + [region(around(50, 60), 4, 1, 0.7)]
    part = june.score_recording(predictions, labels)
    assert (part["detection_iou"] == -1).sum() == 1
    result = june.combine([part])
    # Recall 1/2 at precision 1, recall 1 at precision 2/3: 51 and 50 of 101 levels.
    assert result["macro_mAP"] == pytest.approx((51 + 50 * 2 / 3) / 101, abs=1e-6)


def test_empty_annotations_count_as_misses_and_false_alarms(june, region):
    labels = [region([], 4), region(around(50, 60), 4)]
    predictions = [region([], 4, 0, 0.9), region(around(50, 60), 4, 0, 0.5)]
    result = score(june, predictions, labels)
    assert (result["per_class"]["Laughter"]["n_gt"], result["per_class"]["Laughter"]["n_det"]) == (2, 2)
    assert result["counts"]["empty_label_maps"] == result["counts"]["empty_prediction_maps"] == 1
    assert result["macro_mAP"] == pytest.approx(51 * 0.5 / 101, abs=1e-6)


def test_unknown_classes_are_left_out_and_counted(june, region):
    labels = [region(around(50, 60), 4), region(around(50, 60), 13)]
    predictions = [region(around(50, 60), 4, 0, 0.5), region(around(50, 60), -1, 0, 0.9)]
    part = june.score_recording(predictions, labels)
    result = june.combine([part])
    assert result["macro_mAP"] == result["micro_mAP"] == pytest.approx(1)
    assert result["counts"]["unscored_labels"] == result["counts"]["unscored_predictions"] == 1
    assert sum("class outside 0 ... 12" in text for text in june.warnings([part])) == 2


def test_missing_scores_are_zero_and_nan_scores_rank_last(june, region):
    labels = [region(around(50, 60), 4)]
    hit_without_score = region(around(50, 60), 4)
    for alarm, expected in (
        (region(around(50, 60), 4, 1, 0.1), 0.5),
        (region(around(50, 60), 4, 1, -0.1), 1),
    ):
        assert score(june, [hit_without_score, alarm], labels)["macro_mAP"] == pytest.approx(expected)
    hit, alarm = region(around(50, 60), 4, 0, math.nan), region(around(50, 60), 4, 1, -1e300)
    part = june.score_recording([hit, alarm], labels)
    assert june.combine([part])["macro_mAP"] == pytest.approx(0.5)
    assert any("NaN as score" in text for text in june.warnings([part]))


def test_macro_pearson_leaves_out_classes_without_pairs(june, region):
    labels = [region(around(50, 60), 4), region(around(50, 60), 7)]
    result = score(june, [region(around(50, 60), 4, 0, 0.5)], labels)
    assert result["macro_pearson_r"] == pytest.approx(1)
    assert result["counts"]["pearson_pairs_per_label"] == 0.5


def test_ties_are_counted_and_bounded(june, region):
    labels = [region(around(50, 60), 4, f) for f in range(3)]
    predictions = [region(around(50, 60), 4, f, 0.5) for f in range(6)] + [region(around(50, 60), 5, 9, 0.5)]
    part = june.score_recording(predictions, labels)
    result = june.combine([part])
    ties = result["ties"]
    assert (ties["within_classes"], ties["over_all_classes"]) == (6, 7)
    assert ties["best"]["macro_mAP"] == pytest.approx(1)
    # Three false alarms first: precision 1/4, 2/5, 3/6, of which the last is the best everywhere.
    assert ties["worst"]["macro_mAP"] == pytest.approx(0.5)
    for order in ("official", "stable"):
        assert ties["worst"]["macro_mAP"] <= ties[order]["macro_mAP"] <= ties["best"]["macro_mAP"]
    assert result["macro_mAP"] == ties["official"]["macro_mAP"]
    assert any("0.5000 to 1.0000" in text for text in june.warnings([part]))


def test_ties_that_matter_to_micro_numbers_only_are_said_to(june, region):
    labels = [region(around(50, 60), k) for k in (4, 5)]
    hits = [region(around(50, 60), k, 0, 0.5) for k in (4, 5)]
    alarm = region(around(200, 60), 6, 0, 0.5)
    assert june.warnings([june.score_recording(hits, labels)]) == []
    (text,) = june.warnings([june.score_recording([*hits, alarm], labels)])
    assert "micro_mAP is 0.6667 to 1.0000, micro_AP50 is 0.6667 to 1.0000" in text
    assert "macro" not in text


def test_intensities_that_are_nan_or_zero_have_warnings_of_their_own(june, region):
    whole, other = around(50, 60), around(150, 60)
    undefined = [(x, y, math.nan) for x, y, _ in whole]
    zero = [*other[:-1], (*other[-1][:2], 0.0)]
    labels = [region(undefined, 4), region(zero, 5)]
    part = june.score_recording([region(whole, 4, 0, 0.5), region(other, 5, 0, 0.6)], labels)
    counts = june.combine([part])["counts"]
    assert (counts["undefined_labels"], counts["undefined_predictions"]) == (1, 0)
    assert counts["labels_with_zeros"] == 1
    warnings = june.warnings([part])
    assert sum("labels with an intensity that is NaN" in text for text in warnings) == 1
    assert sum("labels with points of intensity 0: 1" in text for text in warnings) == 1
    fine = june.score_recording([region(whole, 4, 0, 0.5)], [region(whole, 4)])
    assert june.warnings([fine]) == []


def test_every_order_of_tied_detections_lies_within_the_bounds():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, 40) / 4
    iou = rng.uniform(-1, 1, 40).astype(np.float32)

    def precision(order):
        return average_precision(iou[order] >= 0.5, 15)

    best, worst = (precision(ranking(scores, iou, bound)) for bound in ("best", "worst"))
    for _ in range(300):
        shuffled = rng.permutation(40)
        order = shuffled[np.argsort(-scores[shuffled], kind="stable")]
        assert worst - 1e-6 <= precision(order) <= best + 1e-6
    assert best - worst > 0.05
    assert tied(np.array([0.5, 0.5, 0.1, math.nan, math.nan])) == 4


@pytest.mark.parametrize("labels", [3, 7, 100])
@pytest.mark.parametrize("numpy_1", [False, True])
def test_average_precision_is_the_mean_of_best_precisions_at_101_recalls(labels, numpy_1):
    rng = np.random.default_rng(labels)
    levels = np.linspace(0, 1, 101).astype(np.float32 if numpy_1 else np.float64)
    for _ in range(20):
        hits = rng.random(150) < 0.6
        hits[np.cumsum(hits) > labels] = False
        true, total = np.cumsum(hits), np.arange(1, 151)
        recall = (true / labels).astype(np.float32)
        best = [max((true / total)[recall >= level], default=0.0) for level in levels]
        assert average_precision(hits, labels, numpy_1) == pytest.approx(np.mean(best), abs=1e-5)


def test_recall_of_a_whole_percentage_is_where_the_numpy_versions_differ():
    hits = np.arange(100) % 2 == 0
    assert abs(average_precision(hits, 50) - average_precision(hits, 50, numpy_1=True)) > 1e-5


def test_recordings_rank_in_the_order_given_if_ties_are_kept_stable(june, region):
    hit = june.score_recording([region(around(50, 60), 4, 0, 0.5)], [region(around(50, 60), 4)])
    miss = june.score_recording([region(around(50, 60), 4, 0, 0.5)], [])
    assert june.combine([hit, miss])["ties"]["stable"]["macro_mAP"] == pytest.approx(1)
    assert june.combine([miss, hit])["ties"]["stable"]["macro_mAP"] == pytest.approx(0.5)


def test_overlap_is_the_soft_iou_whatever_the_class(june, region):
    labels = [region(around(50, 60), 4), region(around(200, 60), 5), region([], 5)]
    predictions = [region(around(50, 60), 7), region(around(52, 60), 7)]
    overlap = june.overlap(predictions, labels)
    assert overlap.shape == (2, 3)
    assert overlap[0] == pytest.approx([1, 0, 0])
    assert 0.3 < overlap[1, 0] < 1
    assert june.overlap([], labels).shape == (0, 3)


def test_parts_are_plain_arrays_of_fixed_types(june, region):
    labels = [region(around(50, 60), 4)]
    empty, full = june.score_recording([], []), june.score_recording(labels, labels)
    assert empty.keys() == full.keys()
    for name, array in full.items():
        assert array.dtype == empty[name].dtype != object
        assert array.shape[1:] == empty[name].shape[1:]


def test_the_numpy_version_is_recorded(june):
    assert june.combine([])["numpy"]["version"] == np.__version__


def test_metric_needs_no_torch():
    code = (
        "import sys; from sai_bench_builtin.metrics.dcase2026_june import June;"
        "from sai_bench_builtin.configs.metric import JuneConfig; June(JuneConfig()).combine([]);"
        "import sai_bench.metrics.june.reading; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
