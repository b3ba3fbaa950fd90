"""`sai-bench detect`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sai_bench.cli.options import (
    CacheOption,
    PluginOption,
    SetOption,
    SpecArgument,
    WorkersOption,
    load_spec_or_exit,
)


class BaffleChoice(StrEnum):
    """What the capsules sit on."""

    rigid = "rigid"
    open = "open"


def detect(
    spec: SpecArgument,
    recordings: Annotated[
        list[Path], typer.Argument(metavar="WAV...", help="4-channel MIC or 32-channel em32 recordings.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the results go.")],
    baffle: Annotated[
        BaffleChoice,
        typer.Option("--baffle", help="What the capsules sit on: a rigid sphere (real em32) or nothing."),
    ] = BaffleChoice.rigid,
    set_: SetOption = None,
    plugin: PluginOption = None,
    cache: CacheOption = None,
    workers: WorkersOption = None,
) -> None:
    """Run a spec's system on your own recordings: a DCASE JSON and a picture for each."""
    from sai_bench.detecting import detect_recordings
    from sai_bench.progress import ConsoleReporter
    from sai_bench.running import open_context

    loaded = load_spec_or_exit(spec, set_, plugin)
    context = open_context(cache, ConsoleReporter(), workers)
    for result in detect_recordings(loaded, recordings, out, baffle.value, context):
        print(f"{result.json_path}: {result.detections} detections in {result.frames} frames")
