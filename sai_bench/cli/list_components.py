"""`sai-bench list`."""

from __future__ import annotations

from typing import Annotated

import typer

from sai_bench.cli.options import PluginOption, load_plugins_or_warn


def list_components(
    kind: Annotated[str | None, typer.Argument(help="Only this kind, such as fusion.")] = None,
    plugin: PluginOption = None,
) -> None:
    """List the components that specs can use."""
    from sai_bench.registry import KINDS, unknown_kind

    registry = load_plugins_or_warn(plugin).registry
    if kind is not None and kind not in KINDS:
        raise unknown_kind(kind)
    kinds = [kind] if kind else list(KINDS)
    width = max((len(c.name) for c in registry), default=0)
    origin_width = max((len(_origin(c)) for c in registry), default=0)
    for heading in kinds:
        print(f"{heading}  ({KINDS[heading]})")
        for component in registry:
            if component.kind == heading:
                origin = f"{_origin(component):<{origin_width}}"
                print(f"  {component.name:<{width}}  {origin}  {component.summary}")


def _origin(component) -> str:
    origin = component.origin
    return origin.label if origin.path is None else origin.path.name
