"""The keys of a config model as rows in words: for `sai-bench show` and for the documentation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

ANY_NAME = "NAME"
"""Stands in dotted names for a name that the spec's author chooses, as in `splits.NAME.recordings`."""

_BOUNDS = {
    "minimum": ">=",
    "exclusiveMinimum": ">",
    "maximum": "<=",
    "exclusiveMaximum": "<",
    "multipleOf": "a multiple of",
}
_TYPES = {
    "integer": "integer",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
    "object": "mapping",
}


@dataclass(frozen=True)
class KeyRow:
    """One key that a spec may hold, told in words."""

    key: str
    """Dotted name, such as `rooms.side_range_m` or `splits.NAME.recordings`."""
    type: str
    """What it may hold, with bounds; literal values stand in backquotes: `` `disc` or `region` ``."""
    default: str | None
    """The value as a spec would write it; None: the key is required; empty: the keys below it tell, or no
    text can express it."""
    meaning: str
    """The key's description in one line."""


def key_rows(model: type[BaseModel]) -> list[KeyRow]:
    """Return the keys of a model in their order, the keys of nested models behind the key that holds them."""
    schema = model.model_json_schema(schema_generator=_TolerantSchema)
    return list(_Rows(schema.get("$defs", {})).below(schema, "", ()))


class _TolerantSchema(GenerateJsonSchema):
    """Makes the JSON Schema that rows are read from, whatever types a plugin's model holds."""

    ignored_warning_kinds = frozenset({"skipped-choice", "non-serializable-default"})

    def get_default_value(self, schema):
        """Return the default; unlike the base class also one that a factory makes."""
        factory = schema.get("default_factory")
        if factory is None or schema.get("default_factory_takes_data"):
            return super().get_default_value(schema)
        return factory()

    def handle_invalid_for_json_schema(self, schema, error_info):
        """Describe a type that JSON Schema has no word for as anything."""
        return {}


class _Rows:
    """Reads rows from schemas that refer to shared definitions."""

    def __init__(self, definitions: Mapping[str, Mapping]):
        self.definitions = definitions

    def below(self, schema: Mapping, prefix: str, above: tuple[Mapping, ...]) -> Iterator[KeyRow]:
        """Yield the rows of a model's keys; a model that holds itself (is one of `above`) is opened once."""
        model = self._resolved(schema)
        required = model.get("required", ())
        for key, field in model.get("properties", {}).items():
            nested = list(self._nested(field))
            yield KeyRow(
                key=prefix + key,
                type=self._type(field),
                default=None if key in required else self._default(field),
                meaning=" ".join(field.get("description", "").split()),
            )
            for inner, path in nested:
                if not any(inner is outer for outer in (*above, model)):
                    yield from self.below(inner, f"{prefix}{key}{path}", (*above, model))

    def _nested(self, field: Mapping) -> Iterator[tuple[Mapping, str]]:
        """Yield the models that a key may hold, itself or in each entry, and what leads to their keys."""
        for choice in _choices(field) or [field]:
            entries = choice.get("additionalProperties") or next(
                iter(choice.get("patternProperties", {}).values()), None
            )
            for inner, path in ((choice, "."), (entries, f".{ANY_NAME}."), (choice.get("items"), "[].")):
                if isinstance(inner, Mapping) and "properties" in self._resolved(inner):
                    yield self._resolved(inner), path

    def _default(self, field: Mapping) -> str:
        if "default" not in field or "properties" in self._resolved(field):
            return ""
        return _written(field["default"])

    def _type(self, field: Mapping) -> str:
        """Return a JSON Schema type in words."""
        field = self._resolved(field)
        if "const" in field:
            return f"`{_written(field['const'])}`"
        if "enum" in field:
            return " or ".join(f"`{_written(choice)}`" for choice in field["enum"])
        if choices := _choices(field):
            return " or ".join(dict.fromkeys(map(self._type, choices)))
        if "prefixItems" in field:
            return f"[{', '.join(map(self._type, field['prefixItems']))}]"
        if field.get("type") == "array":
            return f"list of {self._type(field.get('items', {}))}"
        if field.get("format") == "path":
            return "path"
        return _TYPES.get(field.get("type"), "anything") + _bounds(field)

    def _resolved(self, schema: Mapping) -> Mapping:
        reference = schema.get("$ref")
        return schema if reference is None else self.definitions[reference.rpartition("/")[2]]


def _choices(field: Mapping) -> list[Mapping]:
    return field.get("anyOf") or field.get("oneOf") or []


def _bounds(field: Mapping) -> str:
    """Return the bounds of a number, such as ` (>= 0, < 1)`."""
    bounds = [f"{sign} {field[name]}" for name, sign in _BOUNDS.items() if name in field]
    return f" ({', '.join(bounds)})" if bounds else ""


def _written(value: object) -> str:
    """Return a value as a spec would write it."""
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
