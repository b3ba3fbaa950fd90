"""The diagnostics of a metric (`sai_bench.metrics.diagnostics`) as tables in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from sai_bench.results.summary import format_value

if TYPE_CHECKING:
    from rich.console import Console

_COUNTS = ("recordings", "labels", "predictions")
_GROUPS = ("by_site", "by_room", "by_source_count", "by_elevation", "oracles")
_LOCATION = (("location_only",), ("class_aware", "micro"), ("class_aware", "macro"))
_F_SCORE = ("precision", "recall", "f", "localisation_error_deg")


def print_diagnostics(metric: str, diagnostics: Mapping[str, object], console: Console) -> None:
    """Print a line for each group of frames, labels or detections; single recordings are left to the JSON."""
    headline = list(diagnostics["all"]["numbers"])
    table = Table(title=Text(f"{metric}: diagnostics"), title_justify="left")
    for column in ("group", "", *_COUNTS, *headline):
        table.add_column(Text(column), justify="left" if column in ("group", "") else "right")
    for group, name, row in _rows(diagnostics):
        cells = [format_value(key, row[key]) for key in _COUNTS] if row else ["n/a"] * len(_COUNTS)
        cells += [format_value(key, row["numbers"].get(key) if row else None) for key in headline]
        table.add_row(*map(Text, (group, name, *cells)))
    console.print(table)
    console.print(_location_table(diagnostics["location"]))


def _rows(diagnostics: Mapping[str, object]) -> Iterator[tuple[str, str, Mapping | None]]:
    yield "all", "", diagnostics["all"]
    for group in _GROUPS:
        for name, row in diagnostics[group].items():
            yield group.removeprefix("by_"), name, row
    yield "class_agnostic", "", diagnostics["class_agnostic"]
    for row in diagnostics["score_thresholds"]:
        yield "score at least", format_value("threshold", row["threshold"]), row


def _location_table(location: Mapping[str, object]) -> Table:
    table = Table(title="F-score at 20 degrees, at the best score threshold", title_justify="left")
    for column in ("", "threshold", *_F_SCORE):
        table.add_column(column, justify="right" if column else "left")
    for path in _LOCATION:
        report = location
        for key in path:
            report = report[key]
        best = report["best"] or {}
        cells = [format_value(key, best.get(key)) for key in ("threshold", *_F_SCORE)]
        table.add_row(*map(Text, (" ".join(path), *cells)))
    return table
