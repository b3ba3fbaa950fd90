"""JSON files as they stand there, before anybody asks what their values mean."""

from __future__ import annotations

import json
import re
from pathlib import Path

from sai_bench.errors import AnnotationError

_DEPTH = 6
"""Object, list, annotation, segmentation, sub-list, point."""

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
