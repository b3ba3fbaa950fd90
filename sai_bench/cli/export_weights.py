"""`sai-bench export-weights`."""

from __future__ import annotations

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


def export_weights(
    spec: SpecArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; ends in .safetensors.")],
    set_: SetOption = None,
    plugin: PluginOption = None,
    cache: CacheOption = None,
    workers: WorkersOption = None,
) -> None:
    """Write the weights of a spec's networks and fitted prior to one file, for `system.weights`."""
    from sai_bench.progress import ConsoleReporter
    from sai_bench.running import open_context
    from sai_bench.weights_of_systems import export_weights

    loaded = load_spec_or_exit(spec, set_, plugin)
    summary = export_weights(loaded, file, open_context(cache, ConsoleReporter(), workers))
    print(file)
    print("\n".join(summary.lines()))
