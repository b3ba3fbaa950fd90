"""A run record as a table: plain rows, in the terminal, or as GitHub Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sai_bench.results.record import RunRecord, StageTiming, VariantResult

if TYPE_CHECKING:
    from rich.console import Console

SYSTEM = "system"
DETECTIONS = "detections"
MEAN_SIZE = "MB per recording"
LARGEST_SIZE = "largest MB"
REAL_TIME_FACTOR = "real-time factor"
_COSTS = (MEAN_SIZE, LARGEST_SIZE, REAL_TIME_FACTOR)

NOT_PART_OF_SYSTEM = frozenset({"score"})
"""Stages whose time says nothing about how fast the system is; `score` stands for all of `score.METRIC`."""


def summary_rows(record: RunRecord) -> list[dict[str, str | int | float | None]]:
    """Return one row per system, the spec's own first: column name -> value, None where not known.

    Columns: `system`, the headline numbers of each metric (with the metric's name in front if there are
    several metrics), `detections` if counted, the mean and largest size of a JSON file in MB (10^6 bytes) and
    the real-time factor, which is the computing time of all stages but scoring per second of audio.
    """
    counted = any(DETECTIONS in variant.files for variant in record.variants.values())
    rows = []
    for name, variant in record.variants.items():
        row: dict[str, str | int | float | None] = {SYSTEM: name, **_headline_numbers(record, variant)}
        if counted:
            row[DETECTIONS] = variant.files.get(DETECTIONS)
        row[MEAN_SIZE] = _megabytes(variant.files, "prediction_bytes_mean")
        row[LARGEST_SIZE] = _megabytes(variant.files, "prediction_bytes_max")
        row[REAL_TIME_FACTOR] = system_real_time_factor(variant)
        rows.append(row)
    return rows


def system_real_time_factor(variant: VariantResult) -> float | None:
    """Return the computing time of a system per second of audio; scoring does not count."""
    factors = [
        timing.real_time_factor
        for stage, timing in variant.stages.items()
        if stage.partition(".")[0] not in NOT_PART_OF_SYSTEM and timing.real_time_factor is not None
    ]
    return sum(factors) if factors else None


def print_summary(record: RunRecord, console: Console) -> None:
    """Print the systems' results and the stages' times as tables, then the notes."""
    from rich.table import Table
    from rich.text import Text

    rows = summary_rows(record)
    table = Table(title=Text(record.name), title_justify="left", caption=Text(_caption(record)))
    table.caption_justify = "left"
    for column in rows[0] if rows else (SYSTEM,):
        table.add_column(Text(column), justify="left" if column == SYSTEM else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(format_value(column, value)) for column, value in row.items()))
    console.print(table)
    stages = Table(title="computing time by stage", title_justify="left")
    for column in ("stage", "computed", "reused", "seconds", REAL_TIME_FACTOR):
        stages.add_column(column, justify="left" if column == "stage" else "right")
    for name, timing in _stages_of_first(record).items():
        cells = (name, str(timing.computed), str(timing.reused), f"{timing.seconds:.2f}")
        stages.add_row(*map(Text, cells), Text(format_value(REAL_TIME_FACTOR, timing.real_time_factor)))
    if stages.row_count:
        console.print(stages)
    for note in record.notes:
        console.print(Text(f"note: {note}"))


def markdown_table(record: RunRecord) -> str:
    """Return the summary as a GitHub Markdown table, one line per system, with a final line break."""
    rows = summary_rows(record)
    columns = list(rows[0]) if rows else [SYSTEM]
    lines = [
        [_escaped(column) for column in columns],
        [":---" if column == SYSTEM else "---:" for column in columns],
        *([_escaped(format_value(column, row[column])) for column in columns] for row in rows),
    ]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def markdown_summary(record: RunRecord) -> str:
    """Return the table of `markdown_table` and below it the notes as a list."""
    notes = "".join(f"- Note: {_escaped(note)}\n" for note in record.notes)
    return markdown_table(record) + (f"\n{notes}" if notes else "")


def format_value(column: str, value: str | int | float | None) -> str:
    """Return a cell's text: metrics with 4 decimals (2 from 10 on), costs with 3 digits, None as `n/a`."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "n/a"
    if not isinstance(value, float):
        return str(value)
    if column in _COSTS:
        return _three_digits(value)
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"


def _headline_numbers(record: RunRecord, variant: VariantResult) -> dict[str, object]:
    several = len(record.headlines) > 1
    return {
        f"{metric} {number}" if several else number: variant.metrics.get(metric, {}).get(number)
        for metric, numbers in record.headlines.items()
        for number in numbers
    }


def _stages_of_first(record: RunRecord) -> dict[str, StageTiming]:
    return next((variant.stages for variant in record.variants.values()), {})


def _caption(record: RunRecord) -> str:
    cpu = record.environment.get("cpu") or "unknown processor"
    return (
        f"{record.data.split}: {record.data.recordings} recordings, {record.data.audio_s:.0f} s of audio; "
        f"seed {record.seed}; {cpu}"
    )


def _megabytes(files: Mapping[str, int | float | None], name: str) -> float | None:
    size = files.get(name)
    return None if size is None else size / 1e6


def _three_digits(value: float) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"


def _escaped(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
