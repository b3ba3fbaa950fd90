"""`sai-bench load`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sai_bench.cli.options import PluginOption, SetOption, SpecArgument, load_spec_or_exit


def load(
    spec: SpecArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A weights file.")],
    set_: SetOption = None,
    plugin: PluginOption = None,
) -> None:
    """Load a weights file into a spec's system to see that it fits, key by key."""
    from sai_bench.weights_of_systems import check_weights

    summary = check_weights(load_spec_or_exit(spec, set_, plugin), file)
    print(f"{file} fits. To use it: --set system.weights={file}")
    print("\n".join(summary.lines()))
