"""Sorting things into groups: annotations by frame, files by recording."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from sai_bench.predictions import Annotation

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Return the items of each key, in their order; keys in the order of their first items."""
    groups = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)


def grouped_indices(items: Sequence[Item], key: Callable[[Item], Key]) -> dict[Key, list[int]]:
    """Return as `grouped`, but where in the sequence the items stand."""
    return grouped(range(len(items)), lambda index: key(items[index]))


def frame_of(annotation: Annotation) -> int:
    """Return the label frame of an annotation: a key."""
    return annotation.metadata_frame_index


def frame_and_class_of(annotation: Annotation) -> tuple[int, int]:
    """Return the label frame and class of an annotation: a key."""
    return annotation.metadata_frame_index, annotation.category_id
