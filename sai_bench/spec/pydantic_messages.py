"""pydantic's validation errors in plain words: what was expected, what was given, at which key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import get_args

from pydantic import BaseModel, ValidationError

from sai_bench.errors import did_you_mean
from sai_bench.spec.problems import Mark, Problem
from sai_bench.spec.yaml_source import Node, describe

_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dataclass_type": "a mapping of keys",
    "dict_type": "a mapping of keys",
    "enum": "{expected}",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "frozen_set_type": "a list",
    "greater_than": "a number greater than {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "int_type": "a whole number",
    "less_than": "a number less than {lt}",
    "less_than_equal": "a number of at most {le}",
    "list_type": "a list",
    "literal_error": "{expected}",
    "mapping_type": "a mapping of keys",
    "missing_items": "{number} items",
    "model_attributes_type": "a mapping of keys",
    "model_type": "a mapping of keys",
    "multiple_of": "a multiple of {multiple_of}",
    "none_required": "nothing (null)",
    "path_type": "a path",
    "set_type": "a list",
    "string_pattern_mismatch": "text that matches {pattern}",
    "string_sub_type": "text",
    "string_too_long": "text of at most {max_length} characters",
    "string_too_short": "text of at least {min_length} characters",
    "string_type": "text",
    "too_long": "at most {max_length} items",
    "too_short": "at least {min_length} items",
    "tuple_type": "a list",
}


_ABOUT_LENGTH = {"missing_items", "too_long", "too_short"}


def explain(
    error: ValidationError,
    model: type[BaseModel],
    node: Node,
    path: tuple[str, ...],
    also_known: Iterable[str],
) -> list[Problem]:
    """Return one problem per key that is wrong.

    Args:
        error: what pydantic raised.
        model: the model that refused.
        node: the mapping that the model was given.
        path: the key of that mapping.
        also_known: keys of the mapping that the model does not see (such as `use`).
    """
    grouped: dict[tuple[Mark, tuple[str, ...]], tuple[Node, list]] = {}
    for detail in _missing_items_together(error.errors(include_url=False)):
        place, below = _locate(node, detail)
        # The members of a union each complain about the same key: one problem lists what all of them expect.
        grouped.setdefault((place.mark, (*path, *below)), (place, []))[1].append(detail)
    problems = []
    for (mark, keys), (place, details) in grouped.items():
        if details[0]["type"] == "extra_forbidden":
            known = _fields_at(model, details[0]["loc"][:-1]) | set(
                also_known if len(keys) == len(path) + 1 else ()
            )
            message = unknown_key(keys[-1], known)
        else:
            message = _message(details, place)
        problems.append(Problem(mark, ".".join(keys), message))
    return problems


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Return the message for a key that nobody asked for."""
    known = sorted(known)
    hint = did_you_mean(key, known) or (
        f" Known keys: {', '.join(known)}." if known else " There are no keys."
    )
    return f"unknown key.{hint}"


def booleans_as_numbers(node: Node, validated: object, path: tuple[str, ...]) -> list[Problem]:
    """Return a problem for each true/false (`yes`, `on`) that pydantic quietly took for the number 1 or 0."""
    if isinstance(node.value, dict) and isinstance(validated, Mapping):
        pairs = [(key, child, validated[key]) for key, child in node.value.items() if key in validated]
    elif isinstance(node.value, list) and isinstance(validated, list | tuple):
        pairs = [(str(index), *pair) for index, pair in enumerate(zip(node.value, validated, strict=False))]
    elif isinstance(node.value, bool) and type(validated) in (int, float):
        return [Problem(node.mark, ".".join(path), f"expected a number, got {describe(node)}.")]
    else:
        return []
    return [
        problem for key, child, value in pairs for problem in booleans_as_numbers(child, value, (*path, key))
    ]


def _missing_items_together(details: Iterable[Mapping]) -> list[Mapping]:
    """Return the errors with one for each list that is too short, where pydantic has one for each item."""
    together: dict[object, Mapping] = {}
    for number, detail in enumerate(details):
        if detail["type"] == "missing" and isinstance(detail["loc"][-1], int):
            place, length = detail["loc"][:-1], detail["loc"][-1] + 1
            together[place] = {"type": "missing_items", "loc": place, "ctx": {"number": length}}
        else:
            together[number] = detail
    return [*together.values()]


def _message(details: list, place: Node) -> str:
    kinds = {detail["type"] for detail in details}
    if kinds == {"missing"}:
        return "missing. This key is required."
    if not kinds <= _EXPECTED.keys():
        return "; ".join(dict.fromkeys(_other_message(detail, place) for detail in details))
    context = [{key: _bound(bound) for key, bound in detail.get("ctx", {}).items()} for detail in details]
    wanted = [_EXPECTED[d["type"]].format(**c) for d, c in zip(details, context, strict=True)]
    hint = ""
    if isinstance(place.value, str):
        choices = [word.strip("'") for c in context for word in _words(c.get("expected", ""))]
        hint = did_you_mean(place.value, choices)
    elif "string_type" in kinds and type(place.value) in (int, float):
        hint = f" For text write '{place.raw}' in quotes."
    of_list = isinstance(place.value, list) and kinds <= _ABOUT_LENGTH
    got = str(len(place.value)) if of_list else describe(place)
    return f"expected {' or '.join(dict.fromkeys(wanted))}, got {got}.{hint}"


def _bound(bound: object) -> object:
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


def _words(expected: str) -> list[str]:
    return expected.replace(" or ", ", ").split(", ") if expected else []


def _other_message(detail: Mapping, place: Node) -> str:
    if detail["type"] in ("value_error", "assertion_error"):
        return str(detail["ctx"]["error"])
    return f"{detail['msg'][:1].lower()}{detail['msg'][1:]}, got {describe(place)}."


def _locate(node: Node, detail: Mapping) -> tuple[Node, tuple[str, ...]]:
    """Return the value an error is about (or the mapping that lacks it) and its path below `node`.

    Steps of pydantic's `loc` that are no keys (the name of a union member, `[key]`) are left out.
    """
    path = []
    for step in detail["loc"]:
        child = node.child(step)
        if child is not None:
            node = child
            path.append(str(step))
    if detail["type"] == "missing":
        path.append(str(detail["loc"][-1]))
    return node, tuple(path)


def _fields_at(model: type[BaseModel], loc: tuple) -> set[str]:
    """Return the keys that the model(s) at `loc` below `model` know."""
    models = {model}
    for step in loc:
        fields = [m.model_fields[step] for m in models if step in m.model_fields]
        if fields:
            models = {found for f in fields for found in _models_in(f.annotation)}
    return {f.alias or name for m in models for name, f in m.model_fields.items()}


def _models_in(annotation: object) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {found for argument in get_args(annotation) for found in _models_in(argument)}
