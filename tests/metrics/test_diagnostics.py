"""The whole set of diagnostics."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sai_bench.errors import ContractError
from sai_bench.files import encode_arrays, read_arrays
from sai_bench.interfaces import Metric
from sai_bench.metrics.diagnosing.diagnostics import (
    combine_diagnostics,
    diagnose,
    diagnose_recording,
    score_thresholds,
)
from sai_bench.metrics.diagnosing.score_thresholds import at_least, thresholds_that_keep
from sai_bench.predictions import read_annotations


def around(x, y, energy=1.0):
    """A small cross of points about (x, y)."""
    return [(x, y, energy), (x + 1, y, energy / 2), (x - 1, y, energy / 2), (x, y + 1, 0.7 * energy)]


@pytest.fixture(scope="module")
def sparse(case_files):
    return [
        (labels.name.removesuffix("_std.json"), read_annotations(predictions), read_annotations(labels))
        for labels, predictions in case_files("sparse")
    ]


@pytest.fixture(scope="module")
def diagnosed(april, sparse):
    return diagnose(april, sparse)


def headline(april, *recordings):
    result = april.combine([april.score_recording(predictions, labels) for predictions, labels in recordings])
    return {name: result[name] for name in april.headline}


def test_plain_numbers_are_the_official_evaluators(diagnosed, expected):
    for name, value in diagnosed["all"]["numbers"].items():
        assert value == pytest.approx(expected["sparse"][name], abs=1e-6)
    assert diagnosed["all"]["recordings"] == 2
    assert diagnosed["all"]["labels"] == sum(row["labels"] for row in diagnosed["by_source_count"].values())


def test_groups_of_recordings_are_scored_as_if_alone(april, sparse, diagnosed):
    for name, predictions, labels in sparse:
        alone = headline(april, (predictions, labels))
        assert diagnosed["by_recording"][name]["numbers"] == alone
        assert diagnosed["by_room"][name.split("_")[1]]["numbers"] == alone
    assert diagnosed["by_site"] == {"unknown": diagnosed["all"]}


def test_sites_come_from_the_label_files_folders(april, sparse):
    paths = {
        name: Path("labels", f"dev-test-{site}")
        for (name, *_), site in zip(sparse, ("tau", "sony"), strict=True)
    }
    paths = {name: folder / f"{name}_std.json" for name, folder in paths.items()}
    result = diagnose(april, sparse, paths)
    assert list(result["by_site"]) == ["sony", "tau"]
    assert result["by_site"]["tau"] == result["by_recording"][sparse[0][0]]


def test_frames_with_two_sources_are_told_from_frames_with_one(april, region):
    labels = [region(around(50, 60), 4, 0), region(around(50, 60), 4, 1), region(around(90, 60), 4, 1)]
    predictions = [
        region(around(50, 60), 4, 0, 0.9),
        region(around(180, 60), 4, 1, 0.8),
        region(around(50, 60), 4, 7, 0.1),
    ]
    rows = diagnose(april, [("a", predictions, labels)])["by_source_count"]
    assert rows["1"]["numbers"]["map"] == pytest.approx(1)
    assert rows["2"]["numbers"]["map"] == 0
    assert (rows["0"]["labels"], rows["0"]["predictions"]) == (0, 1)
    assert rows["3"]["numbers"]["map"] is None


def test_elevation_bands_are_scored_as_if_nothing_else_existed(april, region):
    labels = [region(around(50, 40), 4), region(around(50, 140), 4)]  # about +50 and -51 degrees
    predictions = [region(around(50, 40), 4, score=0.9), region(around(200, 80), 4, score=0.95)]
    rows = diagnose(april, [("a", predictions, labels)])["by_elevation"]
    assert rows["30 and above"]["numbers"]["map"] == pytest.approx(1)
    assert rows["below -30"]["numbers"]["map"] is None  # nothing was predicted there
    assert (rows["0 to 30"]["labels"], rows["0 to 30"]["predictions"]) == (0, 1)


def test_oracles_and_class_agnostic_score_say_what_holds_a_system_back(april, region):
    """Right places, right shapes, wrong classes: only true classes help."""
    labels = [region(around(50 + 60 * k, 60), k, frame) for k in range(4) for frame in range(3)]
    predictions = [
        region(around(50 + 60 * k, 60), (k + 1) % 4, frame, 0.5 + k / 10)
        for k in range(4)
        for frame in range(3)
    ]
    result = diagnose(april, [("a", predictions, labels)])
    assert result["all"]["numbers"]["map"] == 0
    assert result["oracles"]["classes"]["numbers"]["map"] == pytest.approx(1)
    assert result["oracles"]["scores"]["numbers"]["map"] == 0
    assert result["oracles"]["masks"]["numbers"]["map"] == 0
    assert result["class_agnostic"]["numbers"]["map"] == pytest.approx(1)
    assert result["location"]["location_only"]["best"]["f"] == 1
    assert result["location"]["class_aware"]["micro"]["best"]["f"] == 0


def test_oracles_help_on_the_cases(diagnosed):
    plain = diagnosed["all"]["numbers"]["map"]
    for row in diagnosed["oracles"].values():
        assert row["numbers"]["map"] > plain + 0.01
    assert diagnosed["oracles"]["masks"]["numbers"]["pearson"] == pytest.approx(1)


def test_thresholds_drop_the_weakest(april, sparse, diagnosed):
    rows = diagnosed["score_thresholds"]
    assert rows[0]["numbers"] == diagnosed["all"]["numbers"]
    total = diagnosed["all"]["predictions"]
    for row, share in zip(rows, (1, 0.75, 0.5, 0.25, 0.1), strict=True):
        assert 0 <= row["predictions"] - share * total < 1
        kept = [([p for p in own if p.score >= row["threshold"]], labels) for _, own, labels in sparse]
        assert row["numbers"] == headline(april, *kept)


def test_thresholds_keep_tied_detections_together(region):
    assert thresholds_that_keep([0.5, 0.5, 0.5, 0.2], (1, 0.5, 0.25)) == [0.2, 0.5]
    assert thresholds_that_keep([]) == []
    unscored = [region(around(50, 60), 4), region(around(50, 60), 4, score=float("nan"))]
    assert at_least(unscored, 0.0) == unscored[:1]
    assert at_least(unscored, -np.inf) == unscored


def test_result_is_json_ready_even_for_odd_scores(april, region):
    predictions = [region(around(50, 60), 4, score=score) for score in (float("nan"), None, 0.5)]
    result = diagnose(april, [("a", predictions, [region(around(50, 60), 4)])])
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["score_thresholds"][0]["threshold"] is None


@pytest.mark.parametrize("recordings", [0, 1])
def test_nothing_at_all_gives_rows_without_numbers(april, recordings):
    result = diagnose(april, [("a", [], [])] * recordings)
    assert result["all"]["recordings"] == recordings
    assert set(result["oracles"]["classes"]["numbers"].values()) == {None}
    assert result["score_thresholds"] == []


def test_unknown_classes_are_left_out(april, region):
    strange = [region(around(50, 60), k, score=0.9) for k in (-1, 13)]
    fine = [region(around(50, 60), 4, score=0.5)]
    assert diagnose(april, [("a", strange + fine, strange + fine)]) == diagnose(april, [("a", fine, fine)])


def test_parts_of_recordings_can_be_stored(april, sparse, diagnosed, tmp_path):
    thresholds = score_thresholds(predictions for _, predictions, _ in sparse)
    names, stored = [], []
    for name, predictions, labels in sparse:
        path = tmp_path / f"{name}.npz"
        path.write_bytes(encode_arrays(diagnose_recording(april, predictions, labels, thresholds)))
        names.append(name)
        stored.append(read_arrays(path))
    assert combine_diagnostics(april, names, stored, thresholds) == diagnosed


class Counting(Metric):
    """A metric without headline and without a measure of overlap."""

    def score_recording(self, predictions, labels):
        return {"n": np.array([len(predictions), len(labels)])}

    def combine(self, recordings):
        total = sum((part["n"] for part in recordings), np.zeros(2, int))
        return {"predictions": int(total[0]), "labels": int(total[1]), "name": "counting", "nested": {"a": 1}}


def test_any_metric_can_be_diagnosed(sparse):
    result = diagnose(Counting(), sparse)
    assert result["all"]["numbers"] == {"predictions": 189, "labels": 172}
    assert result["oracles"]["scores"] is result["oracles"]["classes"] is None
    assert result["oracles"]["masks"]["numbers"] == result["all"]["numbers"]


@pytest.mark.parametrize("overlap", [np.zeros((1, 1)), np.full((2, 1), np.nan)])
def test_overlaps_of_the_wrong_kind_are_a_broken_contract(overlap, region):
    class Wrong(Counting):
        def overlap(self, predictions, labels):
            return overlap

    with pytest.raises(ContractError, match=r"Wrong\.overlap"):
        diagnose(Wrong(), [("a", [region([(1, 2, 1)], score=0.5)] * 2, [region([(1, 2, 1)])])])


def test_diagnostics_need_no_torch():
    code = (
        "import sys, sai_bench.metrics.diagnosing.diagnostics, sai_bench.metrics.diagnosing.bootstrap;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
