"""`sai-bench show`."""

from __future__ import annotations

import inspect
from typing import Annotated

import typer

from sai_bench.cli.options import PluginOption, load_plugins_or_warn


def show(
    component: Annotated[str, typer.Argument(metavar="KIND/NAME", help="Such as fusion/power.")],
    plugin: PluginOption = None,
) -> None:
    """Show what a component does and which keys it understands."""
    from sai_bench.errors import UnknownComponentError

    kind, slash, name = component.partition("/")
    if not slash:
        raise UnknownComponentError(
            f"'{component}': expected KIND/NAME, such as fusion/power. `sai-bench list` shows all."
        )
    registration = load_plugins_or_warn(plugin).registry.get(kind, name)
    print(f"{kind}/{name}: {registration.summary}")
    print(f"from {registration.origin.label}")
    description = inspect.getdoc(registration.load_class())
    if description:
        print(f"\n{description}")
    config = registration.load_config()
    print("\nKeys:" if config.model_fields else "\nNo keys.")
    for key, field in config.model_fields.items():
        default = f"default {field.get_default(call_default_factory=True)}"
        if field.is_required():
            default = "required"
        print(f"  {key}  ({_type_name(field.annotation)}, {default})")
        for line in (field.description or "").splitlines():
            print(f"      {line.strip()}")


def _type_name(annotation) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")
