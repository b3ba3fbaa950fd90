"""The tables of `sai-bench score`: what must be seen is seen, in 80 columns."""

import io

import pytest
from rich.console import Console

from sai_bench.metrics.pairing import FilePair, pair_files
from sai_bench.metrics.scoring import Scores
from sai_bench.results.diagnostics_report import print_diagnostics
from sai_bench.results.score_report import print_scores
from sai_bench.sphere import CLASS_NAMES

TIES = {"within_classes": 2, "over_all_classes": 4}


@pytest.fixture
def shown():
    """Print into text, as a terminal of 80 columns shows it."""

    def call(print_to, *arguments, styled=False):
        text = io.StringIO()
        console = Console(
            file=text, width=80, force_terminal=styled, color_system="standard" if styled else None
        )
        print_to(*arguments, console)
        return text.getvalue()

    return call


@pytest.fixture
def scores(tmp_path):
    """Scores of two recordings, one of them without prediction file."""

    def make(numbers, rule="complete"):
        for name in ("predictions/a.json", "labels/a_std.json", "labels/b_std.json"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text('{"annotations": []}')
        pairing = pair_files(tmp_path / "predictions", tmp_path / "labels", rule)
        assert all(isinstance(pair, FilePair) for pair in pairing.pairs)
        return Scores({"m": numbers}, {"m": ()}, pairing, pairing.warnings, {}, {}, {})

    return make


@pytest.mark.parametrize("rule", ["complete", "official"])
def test_missing_recordings_stand_in_bold_red_above_the_tables(shown, scores, rule):
    text = shown(print_scores, scores({"x": 1.0}, rule), styled=True)
    head = text.split("┃")[0].splitlines()
    assert head[1].startswith("\x1b[1;31m1 of 2 labelled recordings have no prediction file")


def test_numbers_that_depend_on_the_order_of_ties_are_shown_side_by_side(shown, scores):
    ties = {
        **TIES,
        "official": {"macro_mAP": 0.5, "micro_mAP": 0.25, "macro_AP_per_thr": [0.1]},
        "stable": {"macro_mAP": 0.4, "micro_mAP": 0.25, "macro_AP_per_thr": [0.2]},
    }
    text = shown(print_scores, scores({"ties": ties}))
    (row,) = [line for line in text.splitlines() if "macro_mAP" in line]
    assert [cell.strip() for cell in row.split("│")[1:-1]] == ["macro_mAP", "0.5000", "0.4000"]
    assert "official" in text
    assert "micro_mAP" not in text
    ties["stable"] = ties["official"]
    assert "stable" not in shown(print_scores, scores({"ties": ties}))


def test_resamples_without_a_value_are_counted_beside_the_interval(shown, scores):
    numbers = {"x": 0.5, "y": 0.5}
    interval = {"value": 0.5, "low": 0.4, "high": 0.6}
    numbers["bootstrap"] = {"x": {**interval, "undefined": 7}, "y": {**interval, "undefined": 0}}
    text = shown(print_scores, scores(numbers))
    assert "0.4000 ... 0.6000 (7 undefined)" in text
    assert text.count("undefined") == 1


def test_the_class_table_of_june_fits_into_80_columns(shown, scores):
    each = {"n_gt": 9999, "n_det": 9999, "AP50": 0.5, "AP75": 0.5, "mAP": 0.5, "pearson_r": 0.5}
    numbers = {"per_class": {name: {**each, "pearson_n": 9999} for name in CLASS_NAMES}}
    text = shown(print_scores, scores(numbers))
    assert "…" not in text
    assert "9 Musical instrument" in text


def test_the_diagnostics_fit_into_80_columns_and_leave_out_what_is_empty(shown):
    def row(labels=12345, predictions=12345):
        headline = {"macro_mAP": 0.5, "macro_AP50": None, "macro_pearson_r": -0.5}
        return {"recordings": 9999, "labels": labels, "predictions": predictions, "numbers": headline}

    best = {"threshold": 0.5, "precision": 0.5, "recall": 0.5, "f": 0.5, "localisation_error_deg": 11.5}
    diagnostics = {
        "all": row(),
        "by_site": {"unknown": row()},
        "by_room": {name: row() for name in ("room1", "room10", "room2")},
        "by_source_count": {"0": row(0, 0), "1": row(0, 1), "2": row(1, 0)},
        "by_elevation": {"30 and above": row()},
        "oracles": {"scores": None},
        "class_agnostic": row(),
        "location": {
            "location_only": {"best": best},
            "class_aware": {"micro": {"best": best}, "macro": {"best": best}},
        },
        "score_thresholds": [{"threshold": 0.5, **row()}],
    }
    text = shown(print_diagnostics, "dcase2026_june", diagnostics)
    assert "…" not in text
    cells = [[cell.strip() for cell in line.split("│")[1:3]] for line in text.splitlines() if "│" in line]
    assert [name for group, name in cells if group == "room"] == ["room1", "room2", "room10"]
    assert [name for group, name in cells if group == "sources"] == ["1", "2"]
    assert ["elevation", "30 and above"] in cells
    for header in ("rec", "lab", "pred", "mAP", "AP50", " r "):
        assert header in text.splitlines()[2]
