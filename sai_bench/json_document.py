"""JSON files as they stand there, before anybody asks what their values mean, and taking them apart."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sai_bench.errors import AnnotationError

_DEPTH = 6
"""Object, list, annotation, segmentation, sub-list, point."""

_Converted = TypeVar("_Converted")

_TEXT_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)


def parse_document(path: Path, content: bytes) -> dict[str, object]:
    """Return the JSON object of a file as it stands there; `annotations`, if it is there, is a list.

    Entries are not checked. An object in them that has a key twice is a RepeatingObject.

    Raises:
        AnnotationError: it is no JSON, or of another shape; the message names file and position.
    """
    try:
        document = json.loads(content.decode("utf-8"), object_pairs_hook=_object)
    except RecursionError as error:
        raise AnnotationError(
            f"{path}: lists or objects are nested too deeply{_place_of_depth(content)}. Expected DCASE JSON, "
            f"which is nested {_DEPTH} deep; write the file again."
        ) from error
    except ValueError as error:
        raise AnnotationError(
            f"{path}: not valid JSON ({error}). Expected a complete DCASE JSON file; write the file again."
        ) from error
    if isinstance(document, RepeatingObject):
        raise AnnotationError(f"{path}: {document.complaint()}")
    if not isinstance(document, dict) or not isinstance(document.get("annotations", []), list):
        raise AnnotationError(
            f"{path}: not DCASE JSON. Expected an object with a list 'annotations' of frame index, class and "
            "segmentation points; write the file again."
        )
    return document


class MalformedAnnotation(Exception):
    """What is wrong with one annotation, and what was expected; whoever knows file and position adds them."""


def converted_annotations(
    path: Path, content: bytes, convert: Callable[[dict[str, object]], _Converted]
) -> list[_Converted]:
    """Return what `convert` makes of each object in the list `annotations` of a file.

    Raises:
        AnnotationError: as `parse_document`; an entry is no object or has a key twice, or `convert` raised
            MalformedAnnotation.
    """
    converted = []
    for index, entry in enumerate(parse_document(path, content).get("annotations", [])):
        try:
            if not isinstance(entry, dict):
                raise MalformedAnnotation(f"is {shown(entry)}. Expected an object.")
            if isinstance(entry, RepeatingObject):
                raise MalformedAnnotation(entry.complaint())
            converted.append(convert(entry))
        except MalformedAnnotation as error:
            raise AnnotationError(
                f"{path}: annotation {index} (counted from 0): {error} Repair it or write the file again."
            ) from error
    return converted


def as_integer(value: object, name: str) -> int:
    """Return a value cut to an integer, as Python's `int` does; `name` is for the message.

    Raises:
        MalformedAnnotation: it is no number.
    """
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise MalformedAnnotation(f"{name} is {shown(value)}. Expected an integer.") from None


def as_number(value: object, name: str) -> float:
    """Return a value as Python's `float` reads it; `name` is for the message.

    Raises:
        MalformedAnnotation: it is no number.
    """
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise MalformedAnnotation(f"{name} is {shown(value)}. Expected a number.") from None


def _place_of_depth(content: bytes) -> str:
    """Return where brackets first stand much deeper in each other than DCASE JSON needs."""
    depth = 0
    for found in _TEXT_OR_BRACKET.finditer(content):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(found.group(), 0)
        if depth > 10 * _DEPTH:
            before = content[: found.start()]
            line, column = before.count(b"\n") + 1, found.start() - before.rfind(b"\n")
            return f" (more than {10 * _DEPTH} deep at line {line} column {column})"
    return ""


class RepeatingObject(dict):
    """A JSON object that has a key twice: readers disagree about what it says."""

    repeated: str

    def complaint(self) -> str:
        """Return what is wrong and what was expected."""
        return f"has the key {shown(self.repeated)} twice in one object. Expected it once."


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeating = RepeatingObject(found)
    names = [name for name, _ in pairs]
    repeating.repeated = next(name for i, name in enumerate(names) if name in names[:i])
    return repeating


def shown(value: object) -> str:
    """Return a value as its file spells it, shortened."""
    try:
        text = json.dumps(value)
    except RecursionError:
        return "nested too deeply"
    return text if len(text) <= 60 else f"{text[:57]}..."
