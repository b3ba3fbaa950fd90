"""The numbers of `sai-bench score` as tables in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from sai_bench.metrics.pairing import NO_PREDICTION_FILE
from sai_bench.results.diagnostics_report import print_diagnostics
from sai_bench.results.summary import format_value
from sai_bench.sphere import CLASS_NAMES

if TYPE_CHECKING:
    from rich.console import Console

    from sai_bench.metrics.pairing import Pairing
    from sai_bench.metrics.scoring import Scores

ALARM = "bold red"
"""The style of what must not be overlooked."""

_SHORT = {"pearson_r": "r", "pearson_n": "r of", "n_gt": "lab", "n_det": "pred"}

_NOT_GROUPS = ("bootstrap", "diagnostics")


def print_scores(scores: Scores, console: Console) -> None:
    """Print what was scored, and for each metric its numbers and those of each class."""
    console.print(Text(_recordings_line(scores)))
    loudest = missing_line(scores.pairing)
    if loudest is not None:
        console.print(Text(loudest, ALARM))
    for line in _complete_lines(scores):
        console.print(Text(line))
    for name, numbers in scores.metrics.items():
        console.print(_numbers_table(name, numbers, scores.headlines[name]))
        for line in _grouped_lines(numbers):
            console.print(Text(line))
        for table in _variant_tables(numbers):
            console.print(table)
        columns = per_class_columns(numbers)
        if columns:
            console.print(_class_table(columns))
        if "diagnostics" in numbers:
            print_diagnostics(name, numbers["diagnostics"], console)


def missing_line(pairing: Pairing) -> str | None:
    """Return the warning of recordings without prediction file, if there are any."""
    return next((warning for warning in pairing.warnings if NO_PREDICTION_FILE in warning), None)


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
    ends = " ... ".join(format_value(end, interval[end]) for end in ("low", "high"))
    undefined = interval.get("undefined")
    return f"{ends} ({undefined} undefined)" if undefined else ends


def _grouped_lines(numbers: Mapping[str, object]) -> list[str]:
    """Return a line for each group of numbers, such as counts."""
    lines = []
    for name, value in numbers.items():
        if isinstance(value, Mapping) and name not in _NOT_GROUPS and _by_class(value) is None:
            entries = [
                f"{key} {format_value(key, entry)}" for key, entry in value.items() if _is_number(entry)
            ]
            lines += [f"{name}: {', '.join(entries)}"] if entries else []
    return lines


def _variant_tables(numbers: Mapping[str, object]) -> Iterator[Table]:
    """Yield a table for each group of the same numbers in several variants, such as tie orders.

    It has only the numbers that differ; where none does there is nothing to see.
    """
    for group, value in numbers.items():
        if not isinstance(value, Mapping) or group in _NOT_GROUPS or _by_class(value) is not None:
            continue
        variants = {name: entry for name, entry in value.items() if isinstance(entry, Mapping)}
        rows = [
            (key, own)
            for key in next(iter(variants.values()), {})
            if all(_is_number(entry.get(key)) for entry in variants.values())
            and len(set(own := [entry.get(key) for entry in variants.values()])) > 1
        ]
        if not rows:
            continue
        table = Table(title=Text(group), title_justify="left")
        table.add_column("number", no_wrap=True)
        for name in variants:
            table.add_column(Text(name), justify="right", no_wrap=True)
        for key, own in rows:
            table.add_row(Text(key), *(Text(format_value(key, number)) for number in own))
        yield table


def _class_table(columns: Mapping[str, list[object]]) -> Table:
    table = Table(show_edge=False, pad_edge=False)  # so that it fits into 80 columns
    table.add_column("class", no_wrap=True)
    for column in columns:
        table.add_column(Text(_SHORT.get(column, column)), justify="right", no_wrap=True)
    for k, name in enumerate(CLASS_NAMES):
        table.add_row(f"{k} {name}", *(format_value(c, values[k]) for c, values in columns.items()))
    return table


def _recordings_line(scores: Scores) -> str:
    line = f"{len(scores.pairing.pairs)} recordings scored (pairing {scores.pairing.rule})"
    empty = len(scores.pairing.counted_as_empty)
    return f"{line}, {empty} of them without prediction file" if empty else line


def _complete_lines(scores: Scores) -> list[str]:
    """Return a line for each metric: its headline with the recordings left out counted as empty."""
    return [
        f"{name} with the {len(scores.pairing.left_out)} recordings left out counted as empty: "
        + ", ".join(f"{key} {format_value(key, value)}" for key, value in headline.items())
        for name, headline in scores.if_complete.items()
    ]


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
