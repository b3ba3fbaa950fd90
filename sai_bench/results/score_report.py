"""The numbers of `sai-bench score` as tables in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from sai_bench.results.diagnostics_report import print_diagnostics
from sai_bench.results.summary import format_value
from sai_bench.sphere import CLASS_NAMES

if TYPE_CHECKING:
    from rich.console import Console

    from sai_bench.metrics.scoring import Scores


def print_scores(scores: Scores, console: Console) -> None:
    """Print what was scored, and for each metric its numbers and those of each class."""
    console.print(Text(_recordings_line(scores)))
    for name, numbers in scores.metrics.items():
        console.print(_numbers_table(name, numbers, scores.headlines[name]))
        for line in _grouped_lines(numbers):
            console.print(Text(line))
        columns = per_class_columns(numbers)
        if columns:
            console.print(_class_table(columns))
        if "diagnostics" in numbers:
            print_diagnostics(name, numbers["diagnostics"], console)


def per_class_columns(numbers: Mapping[str, object]) -> dict[str, list[object]]:
    """Return what a metric says about each class: column -> the values of classes 0 ... 12.

    Classes are recognised where a dict has the keys `"0"` ... `"12"` or the class names; its values are
    numbers, or dicts of numbers with one column each.
    """
    columns: dict[str, list[object]] = {}
    for name, value in numbers.items():
        of_class = _by_class(value)
        if of_class is None:
            continue
        if all(isinstance(entry, Mapping) for entry in of_class):
            for key, example in of_class[0].items():
                if _is_number(example):
                    columns[key] = [entry.get(key) for entry in of_class]
        elif all(_is_number(entry) for entry in of_class):
            columns[name.removeprefix("per_class_")] = of_class
    return columns


def _by_class(value: object) -> list[object] | None:
    if not isinstance(value, Mapping):
        return None
    for keys in ([str(k) for k in range(len(CLASS_NAMES))], [_plain_name(name) for name in CLASS_NAMES]):
        entries = {_plain_name(key): entry for key, entry in value.items()}
        if entries.keys() == set(keys):
            return [entries[key] for key in keys]
    return None


def _plain_name(name: str) -> str:
    """Return a class name without what evaluators spell differently: spaces and capitals."""
    return name.replace(" ", "").lower()


def _numbers_table(name: str, numbers: Mapping[str, object], headline: tuple[str, ...]) -> Table:
    table = Table(title=Text(name), title_justify="left")
    table.add_column("number")
    table.add_column("value", justify="right")
    intervals = numbers.get("bootstrap", {})
    if intervals:
        table.add_column("95% interval", justify="right")
    single = [key for key, value in numbers.items() if _is_number(value)]
    for key in sorted(single, key=lambda key: key not in headline):
        style = "bold" if key in headline else ""
        cells = [Text(key, style), Text(format_value(key, numbers[key]), style)]
        table.add_row(*cells, *([_interval(intervals.get(key))] if intervals else []))
    return table


def _interval(interval: Mapping[str, float | None] | None) -> str:
    if interval is None:
        return ""
    return " ... ".join(format_value(end, interval[end]) for end in ("low", "high"))


def _grouped_lines(numbers: Mapping[str, object]) -> list[str]:
    """Return a line for each group of numbers, such as counts."""
    lines = []
    for name, value in numbers.items():
        if isinstance(value, Mapping) and _by_class(value) is None:
            entries = [
                f"{key} {format_value(key, entry)}" for key, entry in value.items() if _is_number(entry)
            ]
            lines += [f"{name}: {', '.join(entries)}"] if entries else []
    return lines


def _class_table(columns: Mapping[str, list[object]]) -> Table:
    table = Table()
    table.add_column("class")
    for column in columns:
        table.add_column(Text(column), justify="right")
    for k, name in enumerate(CLASS_NAMES):
        table.add_row(f"{k} {name}", *(format_value(c, values[k]) for c, values in columns.items()))
    return table


def _recordings_line(scores: Scores) -> str:
    line = f"{len(scores.pairing.pairs)} recordings scored (pairing {scores.pairing.rule})"
    empty = len(scores.pairing.counted_as_empty)
    return f"{line}, {empty} of them without prediction file" if empty else line


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
