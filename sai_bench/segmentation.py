"""The point sets of one annotation, kept as an array."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np


class Segmentation(Sequence):
    """Sub-lists of (x, y, energy) points: behaves like a list of lists of tuples, at a tenth of its size.

    Attributes:
        points: [n, 3] float64 rows of (x, y, energy), all sub-lists one after the other.
    """

    __slots__ = ("_ends", "points")

    def __init__(self, points: np.ndarray, ends: np.ndarray):
        """Hold points [n, 3]; `ends` tells for each sub-list where in them it ends."""
        self.points = points
        self._ends = ends

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> list[tuple[float, float, float]]:
        index = range(len(self))[index]
        start = self._ends[index - 1] if index else 0
        return list(map(tuple, self.points[start : self._ends[index]].tolist()))

    def point_sets(self) -> list[np.ndarray]:
        """Return the points of each sub-list, [n, 3]."""
        if len(self._ends) == 1:  # nearly always
            return [self.points]
        starts = [0, *self._ends][: len(self._ends)]
        return [self.points[start:end] for start, end in zip(starts, self._ends, strict=True)]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None

    def __repr__(self) -> str:
        return repr(list(self))


def point_sets_of(segmentation: Sequence[Sequence[tuple[float, float, float]]]) -> list[np.ndarray]:
    """Return the points of each sub-list as an array [n, 3] float64."""
    if isinstance(segmentation, Segmentation):
        return segmentation.point_sets()
    return [
        np.array(sub_list, dtype=float)
        if isinstance(sub_list, np.ndarray)
        else np.fromiter(chain.from_iterable(sub_list), float, 3 * len(sub_list)).reshape(-1, 3)
        for sub_list in segmentation
    ]


def points_of(segmentation: Sequence[Sequence[tuple[float, float, float]]]) -> np.ndarray:
    """Return all points [n, 3] of an annotation's segmentation, in order."""
    if isinstance(segmentation, Segmentation):
        return segmentation.points
    numbers = np.fromiter(chain.from_iterable(chain.from_iterable(segmentation)), dtype=float)
    return numbers.reshape(-1, 3)


def point_count(segmentation: Sequence[Sequence[tuple[float, float, float]]]) -> int:
    """Return how many points an annotation's segmentation has."""
    return len(segmentation.points) if isinstance(segmentation, Segmentation) else sum(map(len, segmentation))
