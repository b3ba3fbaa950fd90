"""Diagnostics and intervals of the June metric."""

import json
from pathlib import Path

import numpy as np
import pytest

from sai_bench.metrics.diagnosing.bootstrap import bootstrap_difference, draw_weights, resampled_headline
from sai_bench.metrics.diagnosing.diagnostics import diagnose
from sai_bench_builtin.configs.metric import JuneConfig
from sai_bench_builtin.metrics.dcase2026_june import June

CASES = Path(__file__).parents[1] / "cases" / "june"


@pytest.fixture(scope="module")
def metric():
    return June(JuneConfig())


@pytest.fixture(scope="module")
def sparse(metric):
    return [
        (
            path.stem,
            metric.read(path, "prediction"),
            metric.read(CASES / "sparse" / "labels" / f"{path.stem}_std.json", "label"),
        )
        for path in sorted((CASES / "sparse" / "predictions").iterdir())
    ]


def random_part(rng):
    """The metric's arrays for a recording of 40 detections in six classes, untied."""
    labels = rng.integers(0, 5, 13) * (np.arange(13) < 5)
    category, iou = rng.integers(0, 6, 40), rng.random(40).astype(np.float32)
    for k in range(13):
        iou[np.flatnonzero(category == k)[labels[k] :]] = -1  # no more hits than labels
    return {
        "labels_per_class": labels,
        "detection_class": category,
        "detection_score": rng.random(40),
        "detection_iou": iou,
        "detection_correlation": np.where((iou > 0) & (rng.random(40) < 0.7), rng.random(40), np.nan),
        "empty_maps": np.zeros(2, dtype=np.int64),
        "undefined_intensities": np.zeros(2, int),
        "labels_with_zeros": np.array(0),
        "unscored_classes": np.zeros(2, dtype=np.int64),
    }


def test_diagnostics_hold_the_plain_numbers_and_oracles_help(metric, sparse):
    few = [
        (name, *([a for a in side if a.metadata_frame_index < 10] for side in sides))
        for name, *sides in sparse
    ]
    result = diagnose(metric, few)
    plain = metric.combine([metric.score_recording(*sides) for _, *sides in few])
    assert result["all"]["numbers"] == {name: plain[name] for name in metric.headline}
    for row in result["oracles"].values():
        assert row["numbers"]["macro_mAP"] > plain["macro_mAP"] + 0.01
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_overlap_is_the_soft_iou_whatever_the_class(metric, region):
    square = [(40, 40, 1), (80, 40, 1), (80, 80, 1), (40, 80, 1)]
    half = [(40, 40, 1), (61.2, 40, 1), (61.2, 80, 1), (40, 80, 1)]
    elsewhere = [(200, 40, 1), (240, 40, 1), (240, 80, 1), (200, 80, 1)]
    got = metric.overlap(
        [region(square, 3, score=0.5), region(half, 4)], [region(square, 1), region(elsewhere, 3)]
    )
    np.testing.assert_allclose(got[:, 1], 0)
    assert got[0, 0] == pytest.approx(1)
    assert got[1, 0] == pytest.approx(6 / 11, abs=0.01)  # columns 12 ... 17 of 12 ... 22
    assert metric.overlap([], [region(square)]).shape == (0, 1)


def test_headline_of_resamples_is_that_of_the_recordings_repeated(metric):
    rng = np.random.default_rng(6)
    parts = [random_part(rng) for _ in range(10)]
    weights = draw_weights(10, 60, seed=1)
    drawn = resampled_headline(metric, parts, weights)
    assert set(drawn) == set(metric.headline)
    for index, weight in enumerate(weights.tolist()):
        plain = metric.combine(
            [part for part, times in zip(parts, weight, strict=True) for _ in range(times)]
        )
        for name, values in drawn.items():
            assert values[index] == pytest.approx(plain[name], abs=1e-6)
    assert np.ptp(drawn["macro_mAP"]) > 0.02


def test_resamples_without_labels_have_no_value(metric):
    nothing = metric.combine_weighted([metric.score_recording([], [])], np.array([[1]]))
    assert all(np.isnan(values).all() for values in nothing.values())


def test_a_system_that_is_always_better_is_found_better(metric):
    rng = np.random.default_rng(7)
    worse = [random_part(rng) for _ in range(12)]
    better = [
        {**part, "detection_score": np.maximum(part["detection_iou"], 0).astype(float)} for part in worse
    ]
    result = bootstrap_difference(metric, better, worse, resamples=200)["macro_mAP"]
    assert 0 < result["low"] < result["value"] < result["high"]
    assert result["share_above_zero"] == 1
