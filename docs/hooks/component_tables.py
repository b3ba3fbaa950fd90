"""Tables of keys, made from the registry and the config models: what a spec may say.

Nothing is imported but config models; mkdocstrings reads the component classes from their sources.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping

from pydantic import BaseModel

from sai_bench.plugin_loading import load_plugins
from sai_bench.registry import KINDS, Registration
from sai_bench.spec.models import EvaluationKeys, ExportSettings, Header, InferenceSettings, SystemKeys

BUILT_IN = "sai_bench_builtin."
_ANY_NAME = "NAME"


def built_in_components(kind: str) -> list[Registration]:
    """Return the built-in components of a kind; other installed plugins are not ours to document."""
    registry = load_plugins().registry
    return [c for c in registry if c.kind == kind and str(c.target).startswith(BUILT_IN)]


def component_sections(kind: str) -> str:
    """Return a section for each component of a kind: what it does, its class, its keys."""
    return "\n".join(_section(component) for component in built_in_components(kind))


def keys_table(model: type[BaseModel]) -> str:
    """Return a table of the keys of a model; keys of nested models have dotted names."""
    schema = model.model_json_schema()
    rows = list(_rows(schema, schema.get("$defs", {}), ""))
    if not rows:
        return "No keys.\n"
    lines = ["| key | type | default | meaning |", "| :--- | :--- | :--- | :--- |"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows]) + "\n"


COMPONENTS: dict[str, Callable[[], str]] = {
    kind: functools.partial(component_sections, kind) for kind in KINDS
}
"""What may stand after `components:` in a marker."""

SECTIONS: dict[str, Callable[[], str]] = {
    "header": functools.partial(keys_table, Header),
    "system": functools.partial(keys_table, SystemKeys),
    "inference": functools.partial(keys_table, InferenceSettings),
    "export": functools.partial(keys_table, ExportSettings),
    "evaluation": functools.partial(keys_table, EvaluationKeys),
}
"""What may stand after `keys:` in a marker."""


def _section(component: Registration) -> str:
    target = component.target.replace(":", ".")
    return (
        f"### {component.kind}/{component.name}\n\n{component.summary}\n\n"
        f"::: {target}\n"
        "    options:\n"
        "      show_root_heading: false\n"
        "      show_root_toc_entry: false\n"
        "      show_bases: false\n"
        "      members: false\n\n"
        f"{keys_table(component.load_config())}"
    )


def _rows(schema: Mapping, definitions: Mapping, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield (key, type, default, meaning) of an object schema, nested objects behind their key."""
    for key, field in schema.get("properties", {}).items():
        nested, path = _nested_model(field, definitions)
        default = "required" if key in schema.get("required", ()) else _default(field, nested)
        meaning = " ".join(field.get("description", "").split())
        yield f"`{prefix}{key}`", _escaped(_type(field, definitions)), _escaped(default), _escaped(meaning)
        if nested is not None:
            yield from _rows(nested, definitions, f"{prefix}{key}.{path}")


def _nested_model(field: Mapping, definitions: Mapping) -> tuple[Mapping | None, str]:
    """Return the model that a key holds (or each entry of its mapping), and what stands between the two."""
    reference = field.get("$ref")
    if reference is not None:
        return definitions[_name(reference)], ""
    entries = field.get("additionalProperties") or next(iter(field.get("patternProperties", {}).values()), {})
    if isinstance(entries, Mapping) and "$ref" in entries:
        return definitions[_name(entries["$ref"])], f"{_ANY_NAME}."
    return None, ""


def _default(field: Mapping, nested: Mapping | None) -> str:
    if "$ref" in field and nested is not None:
        return ""
    value = field.get("default", "")
    return f"`{value if isinstance(value, str) and value else json.dumps(value)}`"


def _type(field: Mapping, definitions: Mapping) -> str:
    """Return a JSON Schema type in words."""
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return " or ".join(f"`{choice}`" for choice in field["enum"])
    if "anyOf" in field:
        return " or ".join(_type(choice, definitions) for choice in field["anyOf"])
    if "$ref" in field:
        return "mapping"
    if "prefixItems" in field:
        return f"[{', '.join(_type(item, definitions) for item in field['prefixItems'])}]"
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}), definitions)}"
    if field.get("type") == "object":
        return "mapping"
    words = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false"}
    if field.get("format") == "path":
        return "path"
    return words.get(field.get("type"), "anything") + _bounds(field)


def _bounds(field: Mapping) -> str:
    """Return the bounds of a number, such as ` (>= 0, < 1)`."""
    signs = {
        "minimum": ">=",
        "exclusiveMinimum": ">",
        "maximum": "<=",
        "exclusiveMaximum": "<",
        "multipleOf": "a multiple of",
    }
    bounds = [f"{sign} {field[name]}" for name, sign in signs.items() if name in field]
    return f" ({', '.join(bounds)})" if bounds else ""


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
