"""What is wrong with one annotation of a submission, judged more strictly than the evaluators read it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np

from sai_bench.json_document import RepeatingObject, shown
from sai_bench.metrics.april.rendering import LOWEST_PEAK, april_renderer
from sai_bench.metrics.june.rendering import draws_nothing
from sai_bench.sphere import CLASSES, COLUMNS, ROWS

APRIL_SIGMA_DEG = 6.0

_MISSING = object()

_ANNOTATION = "an object with metadata_frame_index, category_id, score and segmentation"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an annotation: how bad, what was checked, what was found and expected."""

    level: Literal["error", "warning"]
    rule: str
    message: str


@dataclass(frozen=True)
class Checked:
    """An annotation after the check; what could not be read is None."""

    category: int | None
    score: float | None
    problems: tuple[Problem, ...]


def check_entry(entry: object) -> Checked:
    """Check one entry of the list `annotations` of a file."""
    if not isinstance(entry, Mapping):
        return Checked(None, None, (_wrong("object", f"is {shown(entry)}. Expected {_ANNOTATION}."),))
    problems = []
    if isinstance(entry, RepeatingObject):
        problems.append(_wrong("keys", entry.complaint()))
    problems += _integer_problems(entry, "category_id", "a class from 0 to 12", CLASSES - 1)
    frame = "a label frame, 0-based at 10 Hz"
    problems += _integer_problems(entry, "metadata_frame_index", frame, math.inf)
    problems += _score_problems(entry)
    problems += _distance_problems(entry)
    problems += _segmentation_problems(entry.get("segmentation", _MISSING))
    category, score = entry.get("category_id"), entry.get("score")
    return Checked(
        int(category) if _is_number(category) and 0 <= category < CLASSES else None,
        float(score) if _is_number(score) else None,
        tuple(problems),
    )


def _integer_problems(entry: Mapping, key: str, expected: str, largest: float) -> Iterator[Problem]:
    value = entry.get(key, _MISSING)
    if not (_is_number(value) and int(value) == value and 0 <= value <= largest):
        yield _wrong(key, f"{key} {_what(value)}. Expected {expected}.")


def _score_problems(entry: Mapping) -> Iterator[Problem]:
    score = entry.get("score", _MISSING)
    if score is _MISSING:
        yield _wrong("score", "has no score, which counts as 0. Expected a number from 0 to 1.")
    elif not _is_number(score):
        yield _wrong("score", f"score {_what(score)}. Expected a number from 0 to 1.")
    elif not 0 <= score <= 1:
        yield Problem("warning", "score", f"score {_what(score)}. Expected a number from 0 to 1.")


def _distance_problems(entry: Mapping) -> Iterator[Problem]:
    distance = entry.get("distance", _MISSING)
    if distance is not _MISSING and not _is_number(distance):
        yield _wrong("distance", f"distance {_what(distance)}. Expected a number in cm, or no distance.")


def _segmentation_problems(segmentation: object) -> Iterator[Problem]:
    nested = isinstance(segmentation, list) and all(isinstance(part, list) for part in segmentation)
    if not nested:
        message = f"segmentation {_what(segmentation)}. Expected [[[x, y, energy], ...], ...]."
        yield _wrong("segmentation", message)
        return
    points = list(chain.from_iterable(segmentation))
    array = _as_array(points)
    if array is None:
        wrong = next(point for point in points if not _is_point(point))
        message = f"segmentation has the point {shown(wrong)}. Expected [x, y, energy], three finite "
        message += "numbers."
        yield _wrong("segmentation", message)
        return
    yield from _point_problems(array, segmentation)


def _point_problems(points: np.ndarray, segmentation: list[list]) -> Iterator[Problem]:
    x, y, energy = points.T
    outside = (x < 0) | (x > COLUMNS) | (y < 0) | (y > ROWS)
    if outside.any():
        at = _shown_point(points[outside][0])
        yield _wrong(
            "coordinates", f"the point {at} is outside the image. Expected x 0 ... 360, y 0 ... 180."
        )
        return
    beyond = (x == COLUMNS) | (y > ROWS - 1)
    if beyond.any():
        at = _shown_point(points[beyond][0])
        message = (
            f"the point {at} is beyond the last column or row of the evaluator of April. Expected x < 360"
        )
        yield Problem("warning", "coordinates", f"{message} (360 is 0 again) and y <= 179.")
    if (energy < 0).any():
        at = _shown_point(points[energy < 0][0])
        yield Problem("warning", "energy", f"the point {at} has a negative energy. Expected one above 0.")
    if _is_empty_in_april(points):
        message = (
            "renders to nothing in the evaluator of April, which drops it. Expected a point with energy."
        )
        yield Problem("warning", "empty_april", message)
    if draws_nothing(segmentation):
        message = (
            "renders to nothing in the evaluator of June, where it is a false alarm. Expected points with "
        )
        message += "energy: one, two, or some around a position of its grid of 3.6 degrees."
        yield Problem("warning", "empty_june", message)


def _is_empty_in_april(points: np.ndarray) -> bool:
    renderer = april_renderer(APRIL_SIGMA_DEG)
    return not renderer.surely_has_region(points) and renderer.render(points).max() < LOWEST_PEAK


def _as_array(points: list) -> np.ndarray | None:
    """Return points as an array [n, 3], None if one of them is no list of three finite numbers."""
    if any(type(point) is not list or len(point) != 3 for point in points):
        return None
    if not set(map(type, chain.from_iterable(points))) <= {int, float}:
        return None
    try:
        array = np.fromiter(chain.from_iterable(points), float, 3 * len(points)).reshape(-1, 3)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return array if np.isfinite(array).all() else None


def _is_point(point: object) -> bool:
    return isinstance(point, list) and len(point) == 3 and all(map(_is_number, point))


def _is_number(value: object) -> bool:
    """Return whether a value is a finite number; integers of hundreds of digits are none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _wrong(rule: str, message: str) -> Problem:
    return Problem("error", rule, message)


def _what(value: object) -> str:
    return "is missing" if value is _MISSING else f"is {shown(value)}"


def _shown_point(point: np.ndarray) -> str:
    return "[" + ", ".join(f"{value:g}" for value in point) + "]"
