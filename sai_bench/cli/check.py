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
    from sai_bench.before_work import check_files, check_weights_headers, notes_before_work
    from sai_bench.errors import SpecError, WeightsError

    problems = []
    for path in specs:
        try:
            spec = load_spec_or_exit(path, set_, plugin)
            check_files(spec)
            check_weights_headers(spec)
        except SpecError as error:
            problems += error.problems
        except WeightsError as error:
            problems.append(str(error))
        else:
            print(f"{path}: ok")
            for note in notes_before_work(spec):
                print(f"{path}: note: {note}")
    if problems:
        raise SpecError(problems)
