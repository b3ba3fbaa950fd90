"""The official evaluator's own numbers, and the plain implementation's."""

import json

import msgspec
import numpy as np
import pytest

from sai_bench.predictions import read_annotations
from sai_bench_builtin.configs.metric import AprilConfig
from sai_bench_builtin.metrics.dcase2026_april import April

CASE_NAMES = ("sparse", "fractional", "polar_and_odd", "dense")


@pytest.fixture(scope="module")
def scored(april, case_files):
    results = {}
    for case in CASE_NAMES:
        parts = [
            april.score_recording(read_annotations(predictions), read_annotations(labels))
            for labels, predictions in case_files(case)
        ]
        results[case] = parts, april.combine(parts)
    return results


@pytest.mark.parametrize("case", CASE_NAMES)
@pytest.mark.parametrize("name", ["map", "ap50", "pearson", "distance_mape"])
def test_number_is_the_official_evaluators(scored, expected, case, name):
    assert scored[case][1][name] == pytest.approx(expected[case][name], abs=1e-6)


@pytest.mark.parametrize("case", CASE_NAMES)
def test_per_class_ap_is_the_official_evaluators(scored, expected, case):
    ours, theirs = scored[case][1]["per_class_ap"], expected[case]["per_class_ap"]
    assert ours.keys() == theirs.keys()
    for category, value in theirs.items():
        assert ours[category] == (None if value is None else pytest.approx(value, abs=1e-6))


@pytest.mark.parametrize("case", CASE_NAMES)
def test_counts_are_the_official_evaluators(scored, expected, case):
    assert scored[case][1]["counts"] == expected[case]["counts"]


@pytest.mark.parametrize("case", CASE_NAMES)
def test_result_is_json_ready(scored, case):
    result = scored[case][1]
    assert json.loads(json.dumps(result, allow_nan=False)) == result


@pytest.mark.parametrize("case", CASE_NAMES)
def test_parts_survive_the_cache(april, scored, case, tmp_path):
    parts, result = scored[case]
    for index, part in enumerate(parts):
        np.savez_compressed(tmp_path / f"{index}.npz", **part)
    cached = [np.load(tmp_path / f"{index}.npz", allow_pickle=False) for index in range(len(parts))]
    assert april.combine(cached) == result


@pytest.mark.parametrize("case", CASE_NAMES)
def test_macro_averages_follow_from_the_parts(scored, case):
    parts, result = scored[case]
    present = [ap for ap in result["per_class_ap"].values() if ap is not None]
    assert result["macro_present"] == pytest.approx(np.mean(present), abs=1e-12)
    assert result["macro13"] == pytest.approx(sum(present) / 13, abs=1e-12)
    classes = {k for part in parts for k in np.flatnonzero(part["predictions_per_class"]).tolist()}
    union = classes | {int(k) for k, ap in result["per_class_ap"].items() if ap is not None}
    assert result["macro_union"] == pytest.approx(sum(present) / len(union), abs=1e-12)
    assert result["classes_behind"]["macro_present"] == len(present)
    assert result["classes_behind"]["macro_union"] == len(union)


@pytest.mark.parametrize("case", ["sparse", "fractional"])
def test_plain_implementation_reproduces_the_official_evaluator(plain_april, case_files, expected, case):
    recordings = [tuple(map(plain_april.load, files)) for files in case_files(case)]
    result = plain_april.evaluate(recordings)
    for name in ("map", "ap50", "pearson", "distance_mape"):
        assert result[name] == pytest.approx(expected[case][name], abs=1e-6)
    assert result["counts"] == expected[case]["counts"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("sigma_deg", "threshold"), [(6.0, 0.10), (3.0, 0.4), (11.0, 0.05)])
def test_random_recordings_score_as_in_the_plain_implementation(
    plain_april, seed, sigma_deg, threshold, region
):
    rng = np.random.default_rng(seed)
    sides = ([], [])
    for frame in range(4):
        for category in rng.integers(0, 4, 3):
            centre = rng.uniform([0, 0], [360, 179])
            for side, scored in zip(sides, (False, True), strict=True):
                points = np.empty((6, 3))
                points[:, :2] = centre + rng.normal(0, 4, (6, 2))
                points[:, 2] = rng.uniform(-0.05, 1, 6)
                if rng.random() < 0.5:
                    points[:, :2] = np.rint(points[:, :2])
                score = float(rng.integers(1, 5)) if scored else None
                side.append(region(points, int(category), frame, score, float(rng.uniform(0, 300))))
    metric = April(AprilConfig(sigma_deg=sigma_deg, energy_threshold=threshold))
    result = metric.combine([metric.score_recording(sides[1], sides[0])])
    as_dicts = [[msgspec.to_builtins(annotation) for annotation in side] for side in sides]
    plain = plain_april.evaluate([as_dicts], sigma_deg, threshold)
    assert result["counts"] == plain["counts"]
    for name in ("map", "ap50", "pearson", "distance_mape"):
        assert result[name] == pytest.approx(plain[name], abs=1e-6)
