"""The diagnostics of a metric (`sai_bench.metrics.diagnosing.diagnostics`) as tables in the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from sai_bench.results.summary import format_value

if TYPE_CHECKING:
    from rich.console import Console

_COUNTS = ("recordings", "labels", "predictions")
_GROUPS = {
    "by_site": "site",
    "by_room": "room",
    "by_source_count": "sources",
    "by_elevation": "elevation",
    "oracles": "oracle",
}
_SORTED = ("by_site", "by_room")
_SHORT = {
    "recordings": "rec",
    "labels": "lab",
    "predictions": "pred",
    "map": "mAP",
    "ap50": "AP50",
    "pearson": "r",
    "macro_pearson_r": "r",
    "localisation_error_deg": "error deg",
}
_LOCATION = (("location_only",), ("class_aware", "micro"), ("class_aware", "macro"))
_F_SCORE = ("precision", "recall", "f", "localisation_error_deg")


def print_diagnostics(metric: str, diagnostics: Mapping[str, object], console: Console) -> None:
    """Print a line for each group of frames, labels or detections; single recordings are left to the JSON.

    Groups with neither labels nor predictions are left out. The table fits into 80 columns with the headlines
    of the built-in metrics.
    """
    headline = list(diagnostics["all"]["numbers"])
    table = Table(title=Text(f"{metric}: diagnostics"), title_justify="left")
    for column in ("group", ""):
        table.add_column(column, no_wrap=True)
    for column in (*_COUNTS, *headline):
        table.add_column(Text(_short(column)), justify="right", no_wrap=True)
    for group, name, row in _rows(diagnostics):
        if row is not None and not row["labels"] and not row["predictions"]:
            continue
        cells = [format_value(key, row[key]) for key in _COUNTS] if row else ["n/a"] * len(_COUNTS)
        cells += [format_value(key, row["numbers"].get(key) if row else None) for key in headline]
        table.add_row(*map(Text, (group, name, *cells)))
    console.print(table)
    console.print(_location_table(diagnostics["location"]))


def _short(column: str) -> str:
    """Return a number's name as it fits above a narrow column."""
    return _SHORT.get(column, column.removeprefix("macro_"))


def _rows(diagnostics: Mapping[str, object]) -> Iterator[tuple[str, str, Mapping | None]]:
    yield "all", "", diagnostics["all"]
    for group, title in _GROUPS.items():
        for name in sorted(diagnostics[group], key=_natural) if group in _SORTED else diagnostics[group]:
            yield title, name, diagnostics[group][name]
    yield "one class", "", diagnostics["class_agnostic"]
    for row in diagnostics["score_thresholds"]:
        yield "score >=", format_value("threshold", row["threshold"]), row


def _natural(name: str) -> list[tuple[int, str]]:
    """Return what sorts `room2` before `room10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def _location_table(location: Mapping[str, object]) -> Table:
    table = Table(title="F-score at 20 degrees, at the best score threshold", title_justify="left")
    for column in ("", "threshold", *_F_SCORE):
        table.add_column(_short(column), justify="right" if column else "left", no_wrap=True)
    for path in _LOCATION:
        report = location
        for key in path:
            report = report[key]
        best = report["best"] or {}
        cells = [format_value(key, best.get(key)) for key in ("threshold", *_F_SCORE)]
        table.add_row(*map(Text, (" ".join(path), *cells)))
    return table
