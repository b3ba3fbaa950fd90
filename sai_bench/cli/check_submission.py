"""`sai-bench check-submission`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sai_bench.cli.options import JsonOption, WorkersOption

_WRONG_INPUT = 2


def check_submission(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of prediction files.")],
    strict: Annotated[bool, typer.Option("--strict", help="Take warnings for errors.")] = False,
    json_: JsonOption = None,
    workers: WorkersOption = None,
) -> None:
    """Check prediction files before you submit them: exit code 2 if something is wrong."""
    from sai_bench.cli.results_out import check_json_target, deliver
    from sai_bench.metrics.submission import check_submission as check
    from sai_bench.progress import ConsoleReporter

    check_json_target(json_, {"predictions": folder})
    report = check(folder, ConsoleReporter(), workers)
    if strict:
        report = report.strictly()
    for finding in report.findings:
        print(f"{finding.level}: {finding}", file=sys.stderr)
    errors, warnings = len(report.of_level("error")), len(report.of_level("warning"))
    summary = (
        f"{folder}: {report.files} files, {report.detections} detections, the largest file has "
        f"{report.largest_bytes / 1e6:.1f} MB: {errors} errors, {warnings} warnings\n"
    )
    deliver(lambda: summary, report.to_json, json_)
    if not report.accepted:
        raise typer.Exit(_WRONG_INPUT)
