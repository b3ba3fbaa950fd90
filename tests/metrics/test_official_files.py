"""Files as the official scripts go through them: in which order, from where, and which not at all."""

import json
import re

import pytest

from sai_bench.metrics import score
from sai_bench.metrics.pairing import pair_files

APRIL, JUNE = "dcase2026_april", "dcase2026_june"


def triangle(x=10, score=None, category=0):
    points = [[x, 20, 1], [x + 20, 20, 1], [x + 10, 40, 1]]
    entry = {"metadata_frame_index": 0, "category_id": category, "segmentation": [points]}
    return entry if score is None else {**entry, "score": score}


LABEL, HIT, MISS = triangle(), triangle(score=0.5), triangle(200, 0.5)


@pytest.fixture
def score_files(tmp_path):
    """Score {path below the folders p and l: annotations} with one worker and a cache of the test's own."""

    def call(files, metric, **options):
        for name, annotations in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            content = (
                annotations if isinstance(annotations, str) else json.dumps({"annotations": annotations})
            )
            path.write_text(content)
        metrics = [metric] if isinstance(metric, str) else metric
        return score(tmp_path / "p", tmp_path / "l", metrics, cache=tmp_path / "cache", workers=1, **options)

    return call


def two_recordings(suffix, first, second):
    """A hit and a miss of equal score in recordings of one label each."""
    return {
        f"p/{first}{suffix}.json": [HIT],
        f"p/{second}{suffix}.json": [MISS],
        f"l/{first}_std.json": [LABEL],
        f"l/{second}_std.json": [LABEL],
    }


@pytest.mark.parametrize(
    ("suffix", "first", "second", "metric"),
    [
        ("_inference", "a1", "a", APRIL),  # "1" comes before "_"
        ("", "a-b", "a", JUNE),  # "-" comes before "."
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_recordings_are_pooled_in_the_order_of_prediction_paths(
    score_files, suffix, first, second, metric, swapped, plain_april, plain_june
):
    files = two_recordings(suffix, *((second, first) if swapped else (first, second)))
    scores = score_files(files, metric, diagnostics=True, bootstrap=20)
    paths = sorted(path for path in files if path.startswith("p/"))
    assert [pair.predictions.name for pair in scores.pairing.pairs] == [path[2:] for path in paths]
    assert scores.to_json()["_report"]["recordings"] == [first, second]
    numbers = scores.metrics[metric]
    ordered = [([LABEL], files[path]) for path in paths]
    if metric == APRIL:
        headline, official = "map", plain_april.evaluate(ordered)["map"]
        assert numbers["map"] == pytest.approx(official, abs=1e-6)
    else:
        headline, official = "macro_mAP", plain_june.evaluate(ordered)["macro_mAP"]
        assert numbers["ties"]["stable"]["macro_mAP"] == pytest.approx(official, abs=1e-9)
    # The hit ranks first if it comes first: 51 of 101 recall points at precision 1, else at 1/2.
    assert official == pytest.approx(51 / 101 / (2 if swapped else 1), abs=1e-6)
    assert numbers["diagnostics"]["all"]["numbers"][headline] == pytest.approx(official, abs=1e-6)
    assert numbers["bootstrap"][headline]["value"] == pytest.approx(official, abs=1e-6)
    by_recording = numbers["diagnostics"]["by_recording"]
    assert by_recording[second if swapped else first]["numbers"][headline] == pytest.approx(1, abs=1e-6)


def test_a_recording_without_prediction_file_stands_where_its_file_would(tmp_path):
    names = [f"p/x/{name}_inference.json" for name in ("a", "b")]
    names += [f"l/{name}_std.json" for name in ("a", "a1", "a2", "b")]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    complete = pair_files(tmp_path / "p", tmp_path / "l")
    assert [pair.name for pair in complete.pairs] == ["a1", "a2", "a", "b"]
    assert complete.counted_as_empty == ("a1", "a2")
    assert complete.left_out == ()
    official = pair_files(tmp_path / "p", tmp_path / "l", "official")
    assert [pair.name for pair in official.pairs] == ["a", "b"]
    assert [pair.name for pair in official.left_out] == ["a1", "a2"]
    assert official.every == complete.every


@pytest.mark.parametrize(
    ("metric", "prediction", "label", "says"),
    [
        (JUNE, "a.json", "a_std.json", None),
        (JUNE, "a.json", "fold/a_std.json", None),
        (
            JUNE,
            "a.json",
            "x/y/a_std.json",
            r"label files lie where .*x/y/a_std.*at l/\*\.json or l/\*/\*\.json",
        ),
        (JUNE, "sub/a.json", "a_std.json", r"prediction files lie where .*sub/a\.json.*at p/\*\.json"),
        (JUNE, "a_inference.json", "a_inference_std.json", None),
        (JUNE, "a_inference.json", "a_std.json", "prediction files have names"),
        (JUNE, "a.json", "a_inference_std.json", "label files have names"),
        (APRIL, "a_inference.json", "x/y/z/a_std.json", None),
        (APRIL, "inference_outputs/a_inference.json", "a.json", None),
        (
            APRIL,
            "sub/a_inference.json",
            "a.json",
            r"prediction files lie where .*p/inference_outputs/\*\.json",
        ),
        (APRIL, "inference_outputs/x/a_inference.json", "a.json", "prediction files lie where"),
        (APRIL, "a_inference_inference.json", "a_inference_std.json", None),
        (APRIL, "a_inference.json", "a_inference_std.json", "label files have names"),
    ],
)
def test_files_that_the_official_evaluator_does_not_find_are_warned_about(
    score_files, metric, prediction, label, says
):
    scores = score_files({f"p/{prediction}": [HIT], f"l/{label}": [LABEL]}, metric)
    warnings = [text for text in scores.warnings if "official evaluator" in text]
    assert len(warnings) == (says is not None)
    if says:
        assert re.search(says, warnings[0])


def test_a_file_named_like_labels_that_june_pairs_is_not_called_odd(score_files):
    scores = score_files({"p/a_std.json": [HIT], "l/a_std_std.json": [LABEL]}, JUNE)
    assert not any("named as labels" in text or "names that" in text for text in scores.warnings)


MISSING = {"p/a.json": [HIT], "l/a_std.json": [LABEL], "l/b_std.json": [LABEL]}


@pytest.mark.parametrize("metric", [APRIL, JUNE])
def test_official_pairing_also_reports_what_missing_recordings_would_cost(score_files, metric):
    official = score_files(MISSING, metric, pairing="official")
    complete = score_files(MISSING, metric)
    report = official.to_json()["_report"]
    headline = official.headlines[metric]
    assert report["left_out"] == ["b"]
    assert report["headline_with_left_out_as_empty"] == {
        metric: {name: complete.metrics[metric][name] for name in headline}
    }
    assert complete.metrics[metric][headline[0]] < official.metrics[metric][headline[0]]
    for key, value in (("left_out", []), ("headline_with_left_out_as_empty", {})):
        assert complete.to_json()["_report"][key] == value


def test_a_fault_in_labels_that_are_left_out_is_no_reason_to_stop(score_files):
    scores = score_files({**MISSING, "l/b_std.json": "[]"}, JUNE, pairing="official")
    assert scores.metrics[JUNE]["macro_mAP"] == pytest.approx(1)
    assert scores.if_complete == {}
    assert "b_std.json: not DCASE JSON" in scores.warnings[-1]


def test_june_lists_what_it_matched_and_skipped(score_files):
    files = {**MISSING, "p/z.json": [HIT], "p/a-b.json": [HIT], "l/a-b_std.json": [LABEL]}
    numbers = score_files(files, JUNE).metrics[JUNE]
    assert numbers["_matched"] == ["a-b", "a"]
    assert numbers["_skipped"] == ["z"]
    assert "_matched" not in score_files(files, APRIL).metrics[APRIL]


@pytest.mark.parametrize("metric", [APRIL, JUNE])
def test_empty_segmentations_in_files_are_scored(score_files, metric):
    """As misses and false alarms in June; April removes them."""
    empty = {**LABEL, "segmentation": []}
    files = {"p/a.json": [HIT, {**empty, "score": 0.9}], "l/a_std.json": [LABEL, empty]}
    for predictions, labels in (
        (files["p/a.json"], files["l/a_std.json"]),
        ([{**empty, "score": 0.9}], [LABEL]),
        ([HIT], [empty]),
    ):
        scores = score_files({"p/a.json": predictions, "l/a_std.json": labels}, metric, diagnostics=True)
        expected = len(predictions) + len(labels)
        if metric == APRIL:
            expected -= sum(not a["segmentation"] for a in (*predictions, *labels))
        counts = scores.metrics[metric]["counts"]
        assert counts["labels"] + counts["predictions"] == expected


@pytest.mark.parametrize(("prediction", "other"), [("a.json", APRIL), ("a_inference.json", JUNE)])
def test_a_name_that_suits_one_of_the_evaluators_is_no_fault(score_files, prediction, other):
    scores = score_files({f"p/{prediction}": [HIT], "l/a_std.json": [LABEL]}, [APRIL, JUNE])
    (warning,) = [text for text in scores.warnings if "evaluator" in text]
    assert warning.startswith(
        f"{other}: note: 1 files are named for another official evaluator ({prediction})"
    )


def test_a_name_that_suits_no_evaluator_is_a_fault_for_each(score_files):
    scores = score_files({"p/a_std.json": [HIT], "l/a_std.json": [LABEL]}, [APRIL, JUNE])
    warnings = [text for text in scores.warnings if "evaluator does not find" in text]
    assert [text.split(":")[0] for text in warnings] == [APRIL, JUNE]
