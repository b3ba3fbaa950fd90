"""`sai-bench score`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sai_bench.cli.options import CacheOption, JsonOption, PluginOption, WorkersOption, load_plugins_or_warn

if TYPE_CHECKING:
    from sai_bench.metrics.scoring import Scores


class PairingChoice(StrEnum):
    """What becomes of a labelled recording without prediction file."""

    complete = "complete"
    official = "official"


def score(
    predictions: Annotated[Path, typer.Argument(metavar="PRED_DIR", help="Folder of prediction files.")],
    labels: Annotated[Path, typer.Argument(metavar="LABEL_DIR", help="Folder of label files.")],
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME", help="A metric [default: every dcase2026_*]."),
    ] = None,
    pairing: Annotated[
        PairingChoice,
        typer.Option(
            "--pairing",
            help="A labelled recording without prediction file counts as empty (complete) or is left out, as "
            "the official evaluators do (official).",
        ),
    ] = PairingChoice.complete,
    diagnostics: Annotated[
        bool,
        typer.Option("--diagnostics", help="Say what holds the system back; takes about ten times as long."),
    ] = False,
    bootstrap: Annotated[
        int,
        typer.Option("--bootstrap", metavar="N", min=0, help="Confidence intervals from N resamples."),
    ] = 0,
    json_: JsonOption = None,
    plugin: PluginOption = None,
    cache: CacheOption = None,
    workers: WorkersOption = None,
) -> None:
    """Score any DCASE prediction files against labels; no spec needed."""
    from sai_bench.cli.results_out import check_json_target, deliver
    from sai_bench.metrics.scoring import score as score_folders
    from sai_bench.progress import ConsoleReporter

    check_json_target(json_, {"predictions": predictions, "labels": labels})
    scores = score_folders(
        predictions,
        labels,
        metric or (),
        pairing=pairing.value,
        diagnostics=diagnostics,
        bootstrap=bootstrap,
        workers=workers,
        cache=cache,
        reporter=ConsoleReporter(),
        plugins=load_plugins_or_warn(plugin),
    )
    _warn(scores)
    deliver(lambda: _report(scores), scores.to_json, json_)


def _warn(scores: Scores) -> None:
    from rich.console import Console
    from rich.text import Text

    from sai_bench.results.score_report import ALARM, missing_line

    console, loudest = Console(stderr=True, soft_wrap=True), missing_line(scores.pairing)
    for warning in scores.warnings:
        console.print(Text(f"warning: {warning}", ALARM if warning == loudest else ""))


def _report(scores: Scores) -> str:
    from rich.console import Console

    from sai_bench.results.score_report import print_scores

    # A file or pipe has no width of its own: let tables be as wide as they are.
    console = Console(width=None if sys.stdout is not None and sys.stdout.isatty() else 160)
    # Not printed at once, since rich leaves the process where nobody reads on.
    with console.capture() as captured:
        print_scores(scores, console)
    return captured.get()
