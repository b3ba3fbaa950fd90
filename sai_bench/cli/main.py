"""The `sai-bench` command: exit 0 done, 1 the work failed, 2 the input is wrong."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer

from sai_bench import __version__
from sai_bench.cli import (
    bench,
    check,
    check_data,
    check_submission,
    describe,
    detect,
    evaluate,
    export_weights,
    list_components,
    load,
    predict,
    render,
    run,
    schema,
    score,
    show,
    train,
)
from sai_bench.errors import SaiBenchError, StageError

app = typer.Typer(
    name="sai-bench",
    help="Declare, run, score and compare semantic acoustic imaging systems.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("list")(list_components.list_components)
app.command("show")(show.show)
app.command("check")(check.check)
app.command("describe")(describe.describe)
app.command("schema")(schema.schema)
app.command("run")(run.run)
app.command("render")(render.render)
app.command("check-data")(check_data.check_data)
app.command("train")(train.train)
app.command("predict")(predict.predict)
app.command("evaluate")(evaluate.evaluate)
app.command("detect")(detect.detect)
app.command("export-weights")(export_weights.export_weights)
app.command("load")(load.load)
app.command("bench")(bench.bench)
app.command("score")(score.score)
app.command("check-submission")(check_submission.check_submission)


_INTERRUPTED = 130

_KEEP_WHAT_IS_FINISHED = {"detect", "evaluate", "export-weights", "predict", "render", "run", "train"}
"""Commands that go on where they were stopped."""


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"sai-bench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Declare, run, score and compare semantic acoustic imaging systems."""


def main() -> None:
    """Run the command line and leave the process with its exit code."""
    try:
        app()
    except SaiBenchError as error:
        _complain(error)
        sys.exit(error.exit_code)
    except SystemExit as leaving:
        if leaving.code == _INTERRUPTED:  # typer has caught the KeyboardInterrupt
            resumable = _KEEP_WHAT_IS_FINISHED.intersection(sys.argv[1:2])
            next_step = " Run the same command again to go on where it stopped." if resumable else ""
            print(f"Stopped.{next_step}", file=sys.stderr)
        raise


def _complain(error: SaiBenchError) -> None:
    if isinstance(error, StageError) and error.__cause__ is not None:
        # A component's own exception: its author needs to see where it came from.
        traceback.print_exception(error.__cause__, file=sys.stderr)
    for line in str(error).splitlines():
        print(f"error: {line}", file=sys.stderr)
