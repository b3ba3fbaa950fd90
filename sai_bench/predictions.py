"""DCASE JSON of labels and predictions: typed, read with clear errors, written atomically.

`{"annotations": [{"metadata_frame_index", "instance_id", "category_id", "distance", "score",
"segmentation": [[[x, y, energy], ...], ...]}]}`; predictions have a score. The "polygons" are point sets with
energy, not outlines; several sub-lists are one region. Frame index 0-based at 10 Hz, distance in cm.
"""

from __future__ import annotations

import codecs
import math
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from sai_bench.errors import AnnotationError
from sai_bench.files import write_atomically
from sai_bench.json_document import MalformedAnnotation, as_integer, as_number, converted_annotations, shown
from sai_bench.sphere import CLASSES, COLUMNS

SCORE_DECIMALS = 9

LARGEST_FILE_BYTES = 500_000_000
"""Larger files are refused before they are read: in memory they would take about ten times their size."""

WORTH_PROCESSES_BYTES = 50_000_000
"""What has to be done with files of less than this together is not done sooner by two processes.

Both metrics together take in 5 to 15 MB/s, and a process takes some 3 s to start.
"""


class Annotation(msgspec.Struct, omit_defaults=True):
    """One region of one class in one frame, as it stands in a file.

    Attributes:
        metadata_frame_index: label frame, 0-based at 10 Hz.
        category_id: class 0 ... 12.
        segmentation: sub-lists of [x, y, energy] points, together one region; from a file, mostly a
            `sai_bench.segmentation.Segmentation`, which is such a list kept as an array.
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


class _Entry(msgspec.Struct):
    """An annotation whose points are still text."""

    metadata_frame_index: int
    category_id: int
    segmentation: msgspec.Raw
    score: float | None = None
    instance_id: int | None = None
    distance: float | None = None


class _EntryFile(msgspec.Struct):
    annotations: list[_Entry]


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


_ordinary = msgspec.json.Decoder(_EntryFile)
_encoder = msgspec.json.Encoder()


def read_annotations(path: Path, *, unknown_classes: bool = False) -> list[Annotation]:
    """Read a label or prediction file, with the liberties that the official evaluators take.

    Class and frame index are cut to integers (3.9 and "3" are 3), numbers may be text, NaN or infinite (x and
    y must be finite), extra values of a point are ignored, a missing segmentation is empty. Where an
    evaluator would crash, this raises.

    Args:
        path: the file.
        unknown_classes: whether to return annotations whose class is missing (-1) or not 0 ... 12, too; their
            other fields are not to be relied on.

    Raises:
        AnnotationError: missing, truncated or not DCASE JSON; the message names file and position.
    """
    content = read_content(path)
    annotations = read_ordinary(content)
    if annotations is None:
        annotations = _read_leniently(path, content)
    return annotations if unknown_classes else of_known_classes(annotations)


def of_known_classes(annotations: Iterable[Annotation]) -> list[Annotation]:
    """Return the annotations of the classes 0 ... 12."""
    return [annotation for annotation in annotations if 0 <= annotation.category_id < CLASSES]


def read_content(path: Path) -> bytes:
    """Return what stands in a label or prediction file.

    Raises:
        AnnotationError: it is missing, no ordinary file, too large, or not UTF-8.
    """
    check_size(path)
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise _unreadable(path, error.strerror) from error
    _check_encoding(path, content)
    return content


def _check_encoding(path: Path, content: bytes) -> None:
    """Refuse what is not plain UTF-8: JSON decoders disagree about it, the evaluators crash on it."""
    fault = None
    if content.startswith(codecs.BOM_UTF8):
        fault = "starts with a byte order mark (bytes 0 to 2)"
    elif content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content[:4]:
        # JSON starts with ASCII: in wider encodings zero bytes stand beside it.
        fault = "looks like UTF-16 or UTF-32 from byte 0 on"
    elif not content.isascii():
        try:
            content.decode("utf-8")
        except UnicodeDecodeError as error:
            fault = f"has bytes that are not UTF-8 at byte {error.start} ({error.reason})"
    if fault:
        raise AnnotationError(
            f"{path}: {fault}. Expected DCASE JSON in UTF-8 without a byte order mark; write the file again."
        )


def check_size(path: Path) -> int:
    """Return a file's size in bytes; refuse one that would not fit into memory, before it is read.

    Raises:
        AnnotationError: it is missing, no ordinary file, or larger than `LARGEST_FILE_BYTES`.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise _unreadable(path, error.strerror) from error
    if not stat.S_ISREG(status.st_mode):
        raise _unreadable(path, "no ordinary file")
    if status.st_size > LARGEST_FILE_BYTES:
        raise AnnotationError(
            f"{path}: {status.st_size} bytes are too many. Expected a DCASE JSON file of at most "
            f"{LARGEST_FILE_BYTES} bytes; compress the point sets or split the recording."
        )
    return status.st_size


def _unreadable(path: Path, reason: str) -> AnnotationError:
    return AnnotationError(f"{path}: cannot be read ({reason}). Expected a DCASE JSON file.")


def read_ordinary(content: bytes) -> list[Annotation] | None:
    """Decode a file that has every field in its proper type, fast; None if it is any other."""
    if b"null" in content:  # the decoder would take it for a missing optional field
        return None
    try:
        entries = _ordinary.decode(content).annotations
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    from sai_bench.point_text import parse_segmentations  # here, because it imports numba

    segmentations = parse_segmentations([entry.segmentation for entry in entries])
    if segmentations is None:
        return None
    annotations = [
        Annotation(e.metadata_frame_index, e.category_id, points, e.score, e.instance_id, e.distance)
        for e, points in zip(entries, segmentations, strict=True)
    ]
    return None if _may_repeat_keys(content, annotations) else annotations


def _may_repeat_keys(content: bytes, annotations: list[Annotation]) -> bool:
    """Return whether an object of a decoded file may have a key twice; False is certain.

    The decoder keeps the last of them. Counting takes a fiftieth of the decoder's time.
    """
    expected = dict.fromkeys(Annotation.__struct_fields__, len(annotations))
    for key in ("score", "instance_id", "distance"):
        expected[key] -= sum(getattr(annotation, key) is None for annotation in annotations)
    expected["annotations"] = 1
    if content.count(b":") == sum(expected.values()):
        return False
    # There are other keys, or text with colons in it.
    return b"\\" in content or any(content.count(f'"{k}"'.encode()) != n for k, n in expected.items())


def _read_leniently(path: Path, content: bytes) -> list[Annotation]:
    return converted_annotations(path, content, _annotation)


def _annotation(entry: dict[str, object]) -> Annotation:
    """Return one annotation of a file; if it has no known class, its other fields are not looked at."""
    category_id = as_integer(entry.get("category_id", -1), "category_id")
    if not 0 <= category_id < CLASSES:
        return Annotation(metadata_frame_index=0, category_id=category_id, segmentation=[])
    if "metadata_frame_index" not in entry:
        raise MalformedAnnotation("has no metadata_frame_index. Expected the label frame, 0-based at 10 Hz.")
    instance_id = entry.get("instance_id")
    return Annotation(
        metadata_frame_index=as_integer(entry["metadata_frame_index"], "metadata_frame_index"),
        category_id=category_id,
        segmentation=_segmentation(entry.get("segmentation", [])),
        score=as_number(entry["score"], "score") if "score" in entry else None,
        instance_id=instance_id if isinstance(instance_id, int) else None,
        distance=as_number(entry["distance"], "distance") if "distance" in entry else None,
    )


def _segmentation(value: object) -> list[list[tuple[float, float, float]]]:
    if not isinstance(value, list) or not all(isinstance(sub_list, list) for sub_list in value):
        raise MalformedAnnotation(
            "segmentation is not nested. Expected lists of points: [[[x, y, energy], ...], ...]."
        )
    return [[_point(point) for point in sub_list] for sub_list in value]


def _point(value: object) -> tuple[float, float, float]:
    if not isinstance(value, list) or len(value) < 3:
        raise MalformedAnnotation(f"segmentation has the point {shown(value)}. Expected [x, y, energy].")
    x, y, energy = (as_number(coordinate, "a point's coordinate") for coordinate in value[:3])
    if not (math.isfinite(x) and math.isfinite(y)):
        raise MalformedAnnotation(f"segmentation has the point {shown(value)}. Expected finite x and y.")
    return x, y, energy


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
