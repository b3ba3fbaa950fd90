"""Tables of keys, made from the registry and the config models: what a spec may say.

Nothing is imported but config models; mkdocstrings reads the component classes from their sources.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from pydantic import BaseModel

from sai_bench.plugin_loading import load_plugins
from sai_bench.registry import KINDS, Registration
from sai_bench.spec.key_tables import KeyRow, key_rows
from sai_bench.spec.models import EvaluationKeys, ExportSettings, Header, InferenceSettings, SystemKeys
from sai_bench.spec.training_settings import DetectorStageSettings, PriorStageSettings

BUILT_IN = "sai_bench_builtin."


def built_in_components(kind: str) -> list[Registration]:
    """Return the built-in components of a kind; other installed plugins are not ours to document."""
    registry = load_plugins().registry
    return [c for c in registry if c.kind == kind and str(c.target).startswith(BUILT_IN)]


def component_sections(kind: str) -> str:
    """Return a section for each component of a kind: what it does, its class, its keys."""
    return "\n".join(_section(component) for component in built_in_components(kind))


def keys_table(model: type[BaseModel]) -> str:
    """Return a table of the keys of a model; keys of nested models have dotted names."""
    rows = key_rows(model)
    if not rows:
        return "No keys.\n"
    lines = ["| key | type | default | meaning |", "| :--- | :--- | :--- | :--- |", *map(_line, rows)]
    return "\n".join(lines) + "\n"


COMPONENTS: dict[str, Callable[[], str]] = {
    kind: functools.partial(component_sections, kind) for kind in KINDS
}
"""What may stand after `components:` in a marker."""

SECTIONS: dict[str, Callable[[], str]] = {
    "header": functools.partial(keys_table, Header),
    "system": functools.partial(keys_table, SystemKeys),
    "training-detector": functools.partial(keys_table, DetectorStageSettings),
    "training-prior": functools.partial(keys_table, PriorStageSettings),
    "inference": functools.partial(keys_table, InferenceSettings),
    "export": functools.partial(keys_table, ExportSettings),
    "evaluation": functools.partial(keys_table, EvaluationKeys),
}
"""What may stand after `keys:` in a marker."""


def _section(component: Registration) -> str:
    target = component.target.replace(":", ".")
    config = component.load_config()
    losses = getattr(config, "losses", None) if component.kind == "decoder" else None
    trained = f"\nKeys of `losses` in a training stage:\n\n{keys_table(losses)}" if losses else ""
    return (
        f"### {component.kind}/{component.name}\n\n{component.summary}\n\n"
        f"::: {target}\n"
        "    options:\n"
        "      show_root_heading: false\n"
        "      show_root_toc_entry: false\n"
        "      show_bases: false\n"
        "      members: false\n\n"
        f"{keys_table(config)}{trained}"
    )


def _line(row: KeyRow) -> str:
    default = "required" if row.default is None else row.default and f"`{row.default}`"
    cells = (f"`{row.key}`", row.type, default, row.meaning)
    return f"| {' | '.join(_escaped(cell) for cell in cells)} |"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
