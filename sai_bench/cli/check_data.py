"""`sai-bench check-data`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from sai_bench.cli.options import (
    JsonOption,
    PluginOption,
    SetOption,
    SpecArgument,
    WorkersOption,
    load_spec_or_exit,
)

if TYPE_CHECKING:
    from sai_bench.dataset_check import DatasetReport

_BAD_DATA = 1


def check_data(
    spec: SpecArgument,
    set_: SetOption = None,
    json_: JsonOption = None,
    plugin: PluginOption = None,
    workers: WorkersOption = None,
) -> None:
    """Read all recordings and labels of a spec's data set: what is in them, and what is wrong with them."""
    from sai_bench.cli.results_out import check_json_target, deliver
    from sai_bench.dataset_check import check_dataset
    from sai_bench.errors import component_errors
    from sai_bench.progress import ConsoleReporter

    component = load_spec_or_exit(spec, set_, plugin).require_data()
    with component_errors(f"Checking data set '{component.name}' failed"):
        dataset = component.build()
        check_json_target(json_, {"data": dataset.root})
        report = check_dataset(dataset, workers, ConsoleReporter())
    for finding in report.findings:
        print(f"{finding.level}: {finding}", file=sys.stderr)
    deliver(lambda: _text(report), report.to_json, json_)
    if not report.good:
        raise typer.Exit(_BAD_DATA)


def _text(report: DatasetReport) -> str:
    from rich.console import Console

    from sai_bench.results.data_report import print_data_report

    # A file or pipe has no width of its own: let tables be as wide as they are.
    console = Console(width=None if sys.stdout is not None and sys.stdout.isatty() else 160)
    with console.capture() as captured:
        print_data_report(report, console)
    return captured.get()
