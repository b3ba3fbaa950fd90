"""DCASE JSON of labels and predictions: typed, read with clear errors, written atomically.

`{"annotations": [{"metadata_frame_index", "instance_id", "category_id", "distance", "score",
"segmentation": [[[x, y, energy], ...], ...]}]}`; predictions have a score. The "polygons" are point sets with
energy, not outlines; several sub-lists are one region. Frame index 0-based at 10 Hz, distance in cm.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from sai_bench.errors import AnnotationError
from sai_bench.files import write_atomically
from sai_bench.sphere import CLASSES, COLUMNS

SCORE_DECIMALS = 9


class Annotation(msgspec.Struct, omit_defaults=True):
    """One region of one class in one frame, as it stands in a file.

    Attributes:
        metadata_frame_index: label frame, 0-based at 10 Hz.
        category_id: class 0 ... 12.
        segmentation: sub-lists of [x, y, energy] points, together one region.
        score: confidence in 0 ... 1, None in labels.
        instance_id: which sound event, or None.
        distance: of the source in cm, or None.
    """

    metadata_frame_index: int
    category_id: int
    segmentation: list[list[tuple[float, float, float]]]
    score: float | None = None
    instance_id: int | None = None
    distance: float | None = None


class AnnotationFile(msgspec.Struct):
    """A whole label or prediction file."""

    annotations: list[Annotation]


@dataclass(frozen=True)
class Detection:
    """One detection in memory.

    Attributes:
        frame: label frame.
        category: class 0 ... 12.
        score: in [0, 1].
        points: [n, 3] float rows of (x, y, energy).
    """

    frame: int
    category: int
    score: float
    points: np.ndarray


_ordinary = msgspec.json.Decoder(AnnotationFile)
_encoder = msgspec.json.Encoder()


def read_annotations(path: Path) -> list[Annotation]:
    """Read a label or prediction file, with the liberties that the official evaluators take.

    Class and frame index are cut to integers (3.9 and "3" are 3), numbers may be text, NaN or infinite (x and
    y must be finite), extra values of a point are ignored, a missing segmentation is empty. Annotations whose
    class is missing or not 0 ... 12 are left out. Where an evaluator would crash, this raises.

    Raises:
        AnnotationError: missing, truncated or not DCASE JSON; the message names file and position.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise AnnotationError(
            f"{path}: cannot be read ({error.strerror}). Expected a DCASE JSON file."
        ) from error
    annotations = _read_ordinary(content)
    if annotations is None:
        annotations = _read_leniently(path, content)
    return [annotation for annotation in annotations if 0 <= annotation.category_id < CLASSES]


def _read_ordinary(content: bytes) -> list[Annotation] | None:
    """Decode a file that has every field in its proper type, fast; None if it is any other."""
    if b"null" in content:  # the decoder would take it for a missing optional field
        return None
    try:
        return _ordinary.decode(content).annotations
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _read_leniently(path: Path, content: bytes) -> list[Annotation]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise AnnotationError(
            f"{path}: not valid JSON ({error}). Expected a complete DCASE JSON file; write the file again."
        ) from error
    entries = document.get("annotations", []) if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise AnnotationError(
            f"{path}: not DCASE JSON. Expected an object with a list 'annotations' of frame index, class and "
            "segmentation points; write the file again."
        )
    annotations = []
    for index, entry in enumerate(entries):
        try:
            annotation = _annotation(entry)
        except _Malformed as error:
            raise AnnotationError(f"{path}: annotation {index} (counted from 0): {error}") from error
        if annotation is not None:
            annotations.append(annotation)
    return annotations


class _Malformed(Exception):
    """What is wrong with one annotation, and what was expected."""


def _annotation(entry: object) -> Annotation | None:
    """Return one annotation of a file; None if it has no known class, whatever its other fields are."""
    if not isinstance(entry, dict):
        raise _Malformed(f"is {_shown(entry)}. Expected an object.")
    category_id = _integer(entry.get("category_id", -1), "category_id")
    if not 0 <= category_id < CLASSES:
        return None
    if "metadata_frame_index" not in entry:
        raise _Malformed("has no metadata_frame_index. Expected the label frame, 0-based at 10 Hz.")
    instance_id = entry.get("instance_id")
    return Annotation(
        metadata_frame_index=_integer(entry["metadata_frame_index"], "metadata_frame_index"),
        category_id=category_id,
        segmentation=_segmentation(entry.get("segmentation", [])),
        score=_number(entry["score"], "score") if "score" in entry else None,
        instance_id=instance_id if isinstance(instance_id, int) else None,
        distance=_number(entry["distance"], "distance") if "distance" in entry else None,
    )


def _segmentation(value: object) -> list[list[tuple[float, float, float]]]:
    if not isinstance(value, list) or not all(isinstance(sub_list, list) for sub_list in value):
        raise _Malformed(
            "segmentation is not nested. Expected lists of points: [[[x, y, energy], ...], ...]."
        )
    return [[_point(point) for point in sub_list] for sub_list in value]


def _point(value: object) -> tuple[float, float, float]:
    if not isinstance(value, list) or len(value) < 3:
        raise _Malformed(f"segmentation has the point {_shown(value)}. Expected [x, y, energy].")
    x, y, energy = (_number(coordinate, "a point's coordinate") for coordinate in value[:3])
    if not (math.isfinite(x) and math.isfinite(y)):
        raise _Malformed(f"segmentation has the point {_shown(value)}. Expected finite x and y.")
    return x, y, energy


def _integer(value: object, name: str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise _Malformed(f"{name} is {_shown(value)}. Expected an integer.") from None


def _number(value: object, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise _Malformed(f"{name} is {_shown(value)}. Expected a number.") from None


def _shown(value: object) -> str:
    """Return a value as its file spells it, shortened."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def write_detections(path: Path, detections: Sequence[Detection]) -> int:
    """Write detections as DCASE JSON, atomically, and return the size in bytes.

    Whole-numbered coordinates are written as integers; energies with 3 decimals, scores with 9,
    which keeps distinct scores distinct.
    """
    content = encode_detections(detections)
    write_atomically(path, content)
    return len(content)


def encode_detections(detections: Sequence[Detection]) -> bytes:
    """Return detections as compact DCASE JSON."""
    return _encoder.encode(
        {
            "annotations": [
                {
                    "metadata_frame_index": detection.frame,
                    "category_id": detection.category,
                    "score": round(detection.score, SCORE_DECIMALS),
                    "segmentation": [_compact_points(detection.points)],
                }
                for detection in detections
            ]
        }
    )


def activity(annotations: Sequence[Annotation], frames: int) -> np.ndarray:
    """Return which classes sound when, [K, frames] bool; annotations beyond the last frame are left out."""
    active = np.zeros((CLASSES, frames), dtype=bool)
    for annotation in annotations:
        if 0 <= annotation.metadata_frame_index < frames and 0 <= annotation.category_id < CLASSES:
            active[annotation.category_id, annotation.metadata_frame_index] = True
    return active


def _compact_points(points: np.ndarray) -> list[tuple]:
    # In float64: a rounded float32 has many digits.
    points = np.asarray(points, dtype=np.float64)
    energies = np.round(points[:, 2], 3).tolist()
    positions = points[:, :2]
    whole = np.rint(positions)
    if np.array_equal(whole, positions):
        x, y = whole.astype(int).T.tolist()
    else:
        x, y = np.round(positions, 3).T.tolist()
        x = [value % COLUMNS for value in x]  # 359.9999 is rounded to 360, which is 0
    return list(zip(x, y, energies, strict=True))
