"""`sai-bench schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sai_bench.cli.options import PluginOption, load_plugins_or_warn


def schema(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write to a file instead of printing.")
    ] = None,
    plugin: PluginOption = None,
) -> None:
    """Write the JSON Schema of specs, for editors that complete and check YAML."""
    from sai_bench.files import write_atomically
    from sai_bench.spec import spec_json_schema

    text = json.dumps(spec_json_schema(load_plugins_or_warn(plugin).registry), indent=1) + "\n"
    if out is None:
        print(text, end="")
    else:
        write_atomically(out, text.encode())
        print(f"{out}: {len(text)} bytes")
