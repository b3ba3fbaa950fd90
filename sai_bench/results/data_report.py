"""What `sai-bench check-data` found, as tables in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from sai_bench.sphere import CLASS_NAMES

if TYPE_CHECKING:
    from rich.console import Console

    from sai_bench.dataset_check import DatasetReport, SplitReport


def print_data_report(report: DatasetReport, console: Console) -> None:
    """Print what is in each split: one table of the splits, one of their classes, one of overlaps."""
    console.print(Text("recordings"))
    console.print(_splits_table(report.splits))
    labelled = [split for split in report.splits if split.labelled]
    if labelled:
        console.print(Text("label frames (events) of each class"))
        console.print(_classes_table(labelled))
        console.print(Text("share of time with so many sources at once"))
        console.print(_overlaps_table(labelled))
    errors, warnings = len(report.of_level("error")), len(report.of_level("warning"))
    console.print(Text(f"{report.root}: {errors} errors, {warnings} warnings"))


def _splits_table(splits: tuple[SplitReport, ...]) -> Table:
    table = Table()
    for column in ("split", "recordings", "labelled", "hours", "rates (Hz)", "channels", "clipped"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split in splits:
        table.add_row(
            split.name,
            str(split.recordings),
            str(split.labelled),
            f"{split.hours:.4g}",
            _listed(split.rates_hz),
            _listed(split.channels),
            str(split.clipped),
        )
    return table


def _classes_table(splits: list[SplitReport]) -> Table:
    table = Table()
    table.add_column("class")
    for split in splits:
        table.add_column(split.name, justify="right")
    for k, name in enumerate(CLASS_NAMES):
        counts = [f"{split.labels.class_frames[k]} ({split.labels.class_events[k]})" for split in splits]
        table.add_row(f"{k} {name}", *counts)
    return table


def _overlaps_table(splits: list[SplitReport]) -> Table:
    table = Table()
    table.add_column("sources")
    for split in splits:
        table.add_column(split.name, justify="right")
    most = len(splits[0].overlap_shares) - 1
    for n in range(most + 1):
        shares = [f"{split.overlap_shares[n]:.1%}" for split in splits]
        table.add_row(str(n) if n < most else f"{most} or more", *shares)
    return table


def _listed(counts: dict[int, int]) -> str:
    """Return the values that occur; how often, where they differ."""
    if len(counts) == 1:
        return str(*counts)
    return ", ".join(f"{value} ({count}x)" for value, count in counts.items())
