"""The summary shows each system's headline numbers, sizes and speed, rounded sensibly."""

from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from sai_bench.results.record import DataRecord, RunRecord, StageTiming, VariantResult
from sai_bench.results.summary import (
    format_value,
    markdown_table,
    print_summary,
    summary_rows,
    system_real_time_factor,
)


def variant(score, **files):
    def timing(seconds):
        return StageTiming.measured(recordings=2, reused=1, seconds=seconds, audio_s=20.0)

    return VariantResult(
        metrics={"april": {"map": score, "distance": None, "hidden": 1.0}},
        stages={"detect": timing(3.0), "prior": timing(1.0), "score": timing(100.0)},
        files={"prediction_bytes_mean": 1_234_567.0, "prediction_bytes_max": 2_000_000, **files},
    )


def record(**more):
    fields = {
        "name": "quickstart [red]",
        "spec": {},
        "spec_sha256": "",
        "seed": 7,
        "components": {},
        "plugin_files": {},
        "data": DataRecord(root="rooms", manifest_sha256="", split="test", recordings=2, audio_s=20.0),
        "variants": {"own|system": variant(0.10174), "uniform": variant(0.0321)},
        "headlines": {"april": ("map", "distance")},
        "environment": {"cpu": "Some CPU"},
        "started": datetime(2026, 5, 1, tzinfo=UTC),
        "finished": datetime(2026, 5, 1, tzinfo=UTC),
        "notes": ("the [bold] note",),
    }
    return RunRecord(**{**fields, **more})


def test_rows_hold_plain_numbers_of_each_system_in_order():
    assert summary_rows(record()) == [
        {
            "system": name,
            "map": score,
            "distance": None,
            "MB per recording": 1.234567,
            "largest MB": 2.0,
            "real-time factor": pytest.approx(0.2),
        }
        for name, score in (("own|system", 0.10174), ("uniform", 0.0321))
    ]


def test_scoring_time_is_no_part_of_the_system():
    assert system_real_time_factor(variant(0.1)) == pytest.approx((3.0 + 1.0) / 20)
    assert system_real_time_factor(VariantResult(metrics={}, stages={}, files={})) is None


def test_detections_are_a_column_once_a_system_counts_them():
    rows = summary_rows(record(variants={"a": variant(0.1, detections=600), "b": variant(0.1)}))
    assert [row["detections"] for row in rows] == [600, None]


def test_several_metrics_put_their_names_in_front():
    columns = summary_rows(record(headlines={"april": ("map",), "june": ("map",)}))[0]
    assert list(columns)[1:3] == ["april map", "june map"]
    assert columns["june map"] is None


def test_markdown_is_a_table_with_equal_columns_and_escaped_bars():
    assert markdown_table(record()) == (
        "| system | map | distance | MB per recording | largest MB | real-time factor |\n"
        "| :--- | ---: | ---: | ---: | ---: | ---: |\n"
        "| own\\|system | 0.1017 | n/a | 1.23 | 2.00 | 0.200 |\n"
        "| uniform | 0.0321 | n/a | 1.23 | 2.00 | 0.200 |\n"
    )


def test_terminal_shows_tables_and_notes_and_takes_brackets_as_text():
    stream = StringIO()
    print_summary(record(), Console(file=stream, width=120))
    text = stream.getvalue()
    for expected in (
        "quickstart [red]",
        "own|system",
        "0.1017",
        "n/a",
        "real-time factor",
        "test: 2 recordings, 20 s of audio; seed 7; Some CPU",
        "detect",
        "note: the [bold] note",
    ):
        assert expected in text
    assert "0.102 " not in text


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("map", 0.10174, "0.1017"),
        ("map", 34.567, "34.57"),
        ("map", float("nan"), "n/a"),
        ("map", None, "n/a"),
        ("detections", 12345, "12345"),
        ("largest MB", 148.98, "149"),
        ("MB per recording", 0.012345, "0.0123"),
        ("real-time factor", 0.0, "0"),
        ("real-time factor", 9.999, "10.00"),
    ],
)
def test_numbers_are_rounded_to_sensible_digits(column, value, expected):
    assert format_value(column, value) == expected
