"""Options that several commands share, and loading a spec the way all of them do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sai_bench.plugin_loading import LoadedPlugins
    from sai_bench.spec import Spec

SpecArgument = Annotated[Path, typer.Argument(metavar="SPEC", help="A spec (YAML).")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="K=V", help="Override a key, such as system.fusion.alpha=0.3."),
]
PluginOption = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE", help="Load a single-file plugin."),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Where results go [default: runs/NAME].")
]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache", metavar="DIR", help="Where stage results are kept [default: .sai_bench_cache]."),
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Processes that may work at once [default: one per core]."),
]
JsonOption = Annotated[
    Path | None,
    typer.Option(
        "--json", metavar="FILE", help="Write the result to a JSON file, too; -: to stdout instead."
    ),
]

_warned: set[str] = set()


def load_plugins_or_warn(files: list[Path] | None) -> LoadedPlugins:
    """Load all plugins; a broken installed one costs a warning line (once), not the command."""
    from sai_bench.plugin_loading import load_plugins

    loaded = load_plugins(files or ())
    for warning in loaded.warnings:
        if warning not in _warned:
            print(f"warning: {warning}", file=sys.stderr)
            _warned.add(warning)
    return loaded


def load_spec_or_exit(
    path: Path, overrides: list[str] | None = None, plugin_files: list[Path] | None = None
) -> Spec:
    """Load and check a spec with the command line's overrides and plugins."""
    from sai_bench.spec import load_spec

    loaded = load_plugins_or_warn(plugin_files)
    return load_spec(path, overrides=overrides or (), plugins=loaded)
