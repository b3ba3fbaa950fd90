"""Reading annotations by the rules of the June evaluator (2026-06-30).

Every annotation of a file is checked, also those whose class is not scored. The evaluator gives up on the
first fault, or crashes; here both are the same clear error.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sai_bench.compilation import compiled
from sai_bench.errors import AnnotationError
from sai_bench.interfaces import AnnotationRole
from sai_bench.json_document import MalformedAnnotation, as_integer, as_number, converted_annotations, shown
from sai_bench.metrics.june.rendering import draws_infinity
from sai_bench.predictions import (
    Annotation,
    check_size,
    read_content,
    read_ordinary,
)
from sai_bench.segmentation import points_of

LARGEST_PREDICTION_BYTES = 20 * 1024 * 1024
LARGEST_X, LARGEST_Y = 360, 180

_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


def read_june_annotations(path: Path, role: AnnotationRole) -> list[Annotation]:
    """Read a file as the evaluator does.

    Frame index, class, score and coordinates may be text, frame index and class fractions (3.9 is 3). A null
    intensity is NaN, a missing score None, a missing segmentation empty. Annotations of classes that are not
    scored are checked like the others and returned.

    Raises:
        AnnotationError: unreadable, larger than 20 MiB (predictions), not DCASE JSON, or a value that the
            evaluator refuses or crashes on; the message names file, annotation and reason.
    """
    size_bytes = check_size(path)
    if role == "prediction" and size_bytes > LARGEST_PREDICTION_BYTES:
        raise AnnotationError(
            f"{path}: {size_bytes} bytes are too many. Expected a prediction file of at most "
            f"{LARGEST_PREDICTION_BYTES} bytes; compress the point sets or leave weak detections out."
        )
    content = read_content(path)
    annotations = read_ordinary(content)
    if annotations is not None and all(_is_usable(points_of(a.segmentation)) for a in annotations):
        return annotations
    return converted_annotations(path, content, lambda entry: _annotation(entry, role))


@compiled("boolean(float64[:, ::1])")
def _is_usable(points):
    """Return whether all points [n, 3] are in range, with intensities that are finite in float32."""
    for i in range(len(points)):
        x, y, intensity = points[i]
        if not (0 <= x <= LARGEST_X and 0 <= y <= LARGEST_Y and abs(intensity) <= _LARGEST_FLOAT32):
            return False
    return True


def _annotation(entry: dict[str, object], role: AnnotationRole) -> Annotation:
    for name in ("metadata_frame_index", "category_id"):
        if name not in entry:
            raise MalformedAnnotation(f"has no {name}. Expected an integer.")
    segmentation = entry.get("segmentation", [])
    if not isinstance(segmentation, list):
        raise MalformedAnnotation(
            f"segmentation is {shown(segmentation)}. Expected [[[x, y, intensity], ...], ...]."
        )
    return Annotation(
        metadata_frame_index=as_integer(entry["metadata_frame_index"], "metadata_frame_index"),
        category_id=as_integer(entry["category_id"], "category_id"),
        segmentation=[_point_set(points) for points in segmentation if points],
        score=_score(entry, role),
        instance_id=_if_a(int, entry.get("instance_id")),
        distance=_if_a((int, float), entry.get("distance")),
    )


def _score(entry: dict, role: AnnotationRole) -> float | None:
    if "score" not in entry:
        return None
    if role == "label":  # not looked at
        return _if_a((int, float), entry["score"])
    return as_number(entry["score"], "score")


def _point_set(given: object) -> list[tuple[float, float, float]]:
    try:
        points = np.array(given, dtype=float)
    except (TypeError, ValueError, OverflowError):
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] != 3:
        raise MalformedAnnotation(
            f"segmentation has the point set {shown(given)}. Expected rows of three numbers "
            "[x, y, intensity]."
        )
    outside = ~((points[:, :2] >= 0) & (points[:, :2] <= (LARGEST_X, LARGEST_Y))).all(axis=1)
    if outside.any():
        raise MalformedAnnotation(
            f"segmentation has the point {shown(given[outside.argmax()])}. Expected x in "
            f"0 ... {LARGEST_X} and y in 0 ... {LARGEST_Y} (clip or wrap it)."
        )
    too_large = points[:, 2] > _LARGEST_FLOAT32
    if too_large.any() and draws_infinity(points):
        raise MalformedAnnotation(
            f"segmentation has the point {shown(given[too_large.argmax()])}. Expected an intensity of at "
            f"most {_LARGEST_FLOAT32:.3g}."
        )
    return list(map(tuple, points.tolist()))


def _if_a(kinds: type | tuple[type, ...], value: object) -> float | None:
    """Return a value that the evaluator does not look at, None if it is not of its proper type."""
    return value if isinstance(value, kinds) and not isinstance(value, bool) else None
