"""`sai-bench show`."""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from sai_bench.cli.options import PluginOption, load_plugins_or_warn

if TYPE_CHECKING:
    from pydantic import BaseModel

    from sai_bench.spec.key_tables import KeyRow


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
    description = registration.description()
    if description:
        print(f"\n{description}")
    config = registration.load_config()
    _print_keys("keys", config)
    if kind == "decoder" and config.losses is not None:
        _print_keys("keys of `losses` in a training stage", config.losses)


def _print_keys(title: str, model: type[BaseModel]) -> None:
    from sai_bench.spec.key_tables import key_rows

    rows = key_rows(model)
    print(f"\n{title[0].upper()}{title[1:]}:" if rows else f"\nNo {title}.")
    key_width = max((len(row.key) for row in rows), default=0)
    for row in rows:
        _print_wrapped(f"  {row.key:<{key_width}}  ", row.type + _default(row))
        if row.meaning:
            _print_wrapped(" " * 6, row.meaning)


def _default(row: KeyRow) -> str:
    if row.default is None:
        return ", required"
    return row.default and f", default {row.default}"


def _print_wrapped(margin: str, text: str) -> None:
    """Print a text behind a margin, its further lines below its first."""
    lines = textwrap.wrap(
        text,
        width=shutil.get_terminal_size().columns,
        initial_indent=margin,
        subsequent_indent=" " * len(margin),
        break_long_words=False,
        break_on_hyphens=False,
    )
    print("\n".join(lines))
