"""Scoring two folders: the official numbers, whatever the number of workers, and loud about what is odd."""

import json
import shutil
from pathlib import Path

import pytest

from sai_bench.errors import AnnotationError, ContractError, UnknownComponentError
from sai_bench.metrics import score, scoring
from sai_bench.metrics.scoring import default_metrics
from sai_bench.plugin_loading import load_plugins
from sai_bench.progress import Reporter

CASES = Path(__file__).parents[1] / "cases" / "april"
APRIL = "dcase2026_april"
JUNE = "dcase2026_june"
FIRST, SECOND = "fold4_room1_mix001", "fold4_room2_mix002"

COUNTING_METRIC = """
import numpy as np
import sai_bench

class Counting(sai_bench.Metric):
    headline = ("predictions",)

    def __init__(self, config):
        pass

    def score_recording(self, predictions, labels):
        return {"predictions": np.array(len(predictions)), "labels": np.array(len(labels))}

    def combine(self, recordings):
        return {"predictions": sum(int(r["predictions"]) for r in recordings)}

    def warnings(self, recordings):
        return WARNINGS

@sai_bench.hookimpl
def sai_bench_register(register):
    register.component("metric", "counting", Counting, config=sai_bench.ComponentConfig, summary="counts")
"""


class Lines(Reporter):
    """Remembers what was said."""

    def __init__(self):
        self.said = []

    def line(self, text):
        self.said.append(text)


@pytest.fixture
def files(tmp_path):
    """A copy of a case: files("sparse") -> (predictions, labels), free to be changed."""

    def copy(case):
        shutil.copytree(CASES / case, tmp_path / "files")
        return tmp_path / "files" / "predictions", tmp_path / "files" / "labels"

    return copy


@pytest.fixture
def score_april(tmp_path):
    """Score with one metric in this process, with a cache of the test's own."""

    def call(predictions, labels, metrics=(APRIL,), **options):
        return score(predictions, labels, metrics, **{"cache": tmp_path / "cache", "workers": 1, **options})

    return call


@pytest.fixture
def counting(tmp_path):
    """Plugins with the metric `counting`, whose warnings can be chosen."""

    def load(warnings):
        path = tmp_path / "counting.py"
        path.write_text(COUNTING_METRIC.replace("WARNINGS", repr(warnings)))
        return load_plugins([path])

    return load


def prediction_file(folder, recording=FIRST):
    return folder / f"{recording}_inference.json"


def change(path, **values):
    document = json.loads(path.read_text())
    for annotation in document["annotations"]:
        annotation.update(values)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("case", ["sparse", "fractional", "dense", "polar_and_odd"])
def test_folders_get_the_official_numbers(score_april, case):
    numbers = score_april(CASES / case / "predictions", CASES / case / "labels").metrics[APRIL]
    for name, value in json.loads((CASES / "expected.json").read_text())[case].items():
        assert numbers[name] == pytest.approx(value, abs=1e-6, nan_ok=True), name


@pytest.mark.parametrize("case", ["sparse", "fractional", "dense"])
def test_june_folders_get_the_official_numbers(score_april, case):
    folder = CASES.parent / "june"
    numbers = score_april(folder / case / "predictions", folder / case / "labels", [JUNE]).metrics[JUNE]
    for name, value in json.loads((folder / "expected.json").read_text())[case].items():
        if isinstance(value, float):
            assert numbers[name] == pytest.approx(value, abs=1e-9), name


def test_intervals_and_diagnostics_come_with_the_numbers_they_are_about(score_april):
    folder = CASES / "sparse"
    plain = score_april(folder / "predictions", folder / "labels").metrics[APRIL]
    more = score_april(folder / "predictions", folder / "labels", diagnostics=True, bootstrap=50).metrics[
        APRIL
    ]
    assert set(more) - set(plain) == {"diagnostics", "bootstrap"}
    assert {name: more[name] for name in plain} == plain
    assert more["bootstrap"]["map"]["value"] == plain["map"]
    # Two recordings: a resample is one of them twice, or the two; the ends are those of one alone.
    by_recording = more["diagnostics"]["by_recording"]
    alone = sorted(by_recording[name]["numbers"]["map"] for name in (FIRST, SECOND))
    assert [more["bootstrap"]["map"][end] for end in ("low", "high")] == pytest.approx(alone)
    assert more["diagnostics"]["all"]["numbers"]["map"] == plain["map"]
    json.dumps(more, allow_nan=False)


def test_results_do_not_depend_on_the_number_of_workers(score_april, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "WORTH_PROCESSES_BYTES", 0)
    one, two = (
        score_april(
            CASES / "sparse" / "predictions", CASES / "sparse" / "labels", workers=n, cache=tmp_path / str(n)
        )
        for n in (1, 2)
    )
    assert one.to_json() == two.to_json()


def test_only_recordings_whose_files_changed_are_scored_again(score_april, files):
    predictions, labels = files("sparse")
    said = []
    for changed in (None, None, prediction_file(predictions), labels / f"{SECOND}_std.json"):
        if changed:
            change(changed, distance=100.0)
        reporter = Lines()
        score_april(predictions, labels, reporter=reporter)
        said += reporter.said
    assert [line.split(maxsplit=1)[1] for line in said] == [
        "2 recordings computed",
        "2 recordings reused",
        "1 recordings computed, 1 reused",
        "1 recordings computed, 1 reused",
    ]


def test_a_missing_file_counts_like_an_empty_one_and_the_report_says_so(score_april, files):
    predictions, labels = files("sparse")
    prediction_file(predictions).write_text('{"annotations": []}')
    empty = score_april(predictions, labels)
    prediction_file(predictions).unlink()
    missing = score_april(predictions, labels)
    assert missing.metrics == empty.metrics
    assert missing.to_json()["_report"]["counted_as_empty"] == [FIRST]
    assert any("count as empty" in warning for warning in missing.warnings)
    assert not any("count as empty" in warning for warning in empty.warnings)


def test_official_pairing_scores_as_if_the_label_file_were_not_there(score_april, files):
    predictions, labels = files("sparse")
    prediction_file(predictions).unlink()
    official = score_april(predictions, labels, pairing="official")
    complete = score_april(predictions, labels)
    (labels / f"{FIRST}_std.json").unlink()
    alone = score_april(predictions, labels)
    assert official.metrics == alone.metrics != complete.metrics
    assert any("left out" in warning for warning in official.warnings)


@pytest.mark.parametrize(
    ("side", "old", "new", "says"),
    [
        (0, "_inference", "", "2 prediction files have names that the official evaluator does not find"),
        (1, "_std", "_inference", "2 label files have names that the official evaluator does not find"),
        (1, "_std", "", None),
    ],
)
def test_names_that_the_official_evaluator_does_not_find_are_warned_about(
    score_april, files, side, old, new, says
):
    folders = files("sparse")
    for path in list(folders[side].iterdir()):
        path.rename(path.with_name(path.name.replace(old, new)))
    warnings = [w for w in score_april(*folders).warnings if w.startswith(f"{APRIL}: 2 ")]
    assert [w for w in warnings if says and says in w] == warnings
    assert bool(warnings) == bool(says)


def test_some_missing_scores_are_counted(score_april, files):
    predictions, labels = files("sparse")
    document = json.loads(prediction_file(predictions).read_text())
    for annotation in document["annotations"][:3]:
        del annotation["score"]
    prediction_file(predictions).write_text(json.dumps(document))
    assert any("3 of 189 predictions have no score" in w for w in score_april(predictions, labels).warnings)


def test_several_metrics_give_one_object_each_and_their_warnings_name_them(score_april, counting):
    folder = CASES / "sparse"
    scores = score_april(
        folder / "predictions", folder / "labels", [APRIL, "counting", APRIL], plugins=counting(["odd"])
    )
    assert list(scores.to_json()) == [APRIL, "counting", "_report"]
    assert scores.metrics["counting"] == {"predictions": 189}
    assert "counting: odd" in scores.warnings
    assert scores.headlines["counting"] == ("predictions",)
    assert [int(part["labels"]) for part in scores.parts["counting"]] == [84, 88]
    json.dumps(scores.to_json(), allow_nan=False)


def test_april_warns_about_what_it_leaves_out(score_april):
    """The case's expected counts and the file itself say how many there are."""
    folder = CASES / "polar_and_odd"
    warnings = score_april(folder / "predictions", folder / "labels").warnings
    counts = json.loads((CASES / "expected.json").read_text())["polar_and_odd"]["counts"]
    for side, path in (("labels", "labels"), ("predictions", "predictions")):
        (file,) = (folder / path).iterdir()
        classes = [int(a.get("category_id", -1)) for a in json.loads(file.read_text())["annotations"]]
        known = sum(0 <= k <= 12 for k in classes)
        expected = {"draw nothing": known - counts[side], "class outside": len(classes) - known}
        for reason, count in expected.items():
            found = [w for w in warnings if w.startswith(f"{APRIL}: {side}") and reason in w]
            assert [w.split("left out: ")[1] for w in found] == ([f"{count}."] if count else [])


def test_warnings_that_are_no_list_of_text_break_the_contract(score_april, counting):
    folder = CASES / "sparse"
    with pytest.raises(ContractError, match="'counting' returned warnings"):
        score_april(folder / "predictions", folder / "labels", ["counting"], plugins=counting("odd"))


def test_the_official_metrics_are_the_default():
    assert {APRIL, JUNE} <= set(default_metrics(load_plugins()))


def test_an_unknown_metric_is_refused_with_a_suggestion(score_april):
    with pytest.raises(UnknownComponentError, match="Did you mean 'dcase2026_april'"):
        score_april(CASES, CASES, ["dcase2026_aprl"])


def test_the_metric_that_refuses_a_file_is_named(score_april, files):
    predictions, labels = files("sparse")
    change(prediction_file(predictions), segmentation=[[[400, 90, 1]]])
    assert score_april(predictions, labels).metrics[APRIL]["map"] is not None
    with pytest.raises(AnnotationError, match=rf"\[400, 90, 1\].*\(metric {JUNE}\)"):
        score_april(predictions, labels, [APRIL, JUNE])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_file_is_named_with_the_annotation(score_april, files, workers, monkeypatch):
    monkeypatch.setattr(scoring, "WORTH_PROCESSES_BYTES", 0)
    predictions, labels = files("sparse")
    change(prediction_file(predictions), metadata_frame_index="first")
    with pytest.raises(AnnotationError, match=rf'{FIRST}_inference\.json: annotation 0 .* is "first"'):
        score_april(predictions, labels, workers=workers)


def test_a_huge_file_is_refused_before_anything_is_computed(score_april, files, tmp_path):
    predictions, labels = files("sparse")
    with open(prediction_file(predictions), "r+b") as stream:
        stream.truncate(2 * 10**9)
    with pytest.raises(AnnotationError, match="2000000000 bytes"):
        score_april(predictions, labels)
    assert not list((tmp_path / "cache").rglob("*.npz"))
