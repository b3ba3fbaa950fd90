"""`sai-bench check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sai_bench.cli.options import PluginOption, SetOption, load_spec_or_exit


def check(
    specs: Annotated[list[Path], typer.Argument(metavar="SPEC...", help="Specs (YAML).")],
    set_: SetOption = None,
    plugin: PluginOption = None,
) -> None:
    """Check specs without building anything: keys, values, components, wiring, files that they read."""
    from sai_bench.before_work import check_files
    from sai_bench.errors import SpecError

    problems = []
    for path in specs:
        try:
            check_files(load_spec_or_exit(path, set_, plugin))
        except SpecError as error:
            problems += error.problems
        else:
            print(f"{path}: ok")
    if problems:
        raise SpecError(problems)
