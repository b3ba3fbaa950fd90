"""DCASE JSON of labels and predictions: typed, read with clear errors, written atomically.

`{"annotations": [{"metadata_frame_index", "instance_id", "category_id", "distance", "score",
"segmentation": [[[x, y, energy], ...], ...]}]}`; predictions have a score. The "polygons" are point sets with
energy, not outlines; several sub-lists are one region. Frame index 0-based at 10 Hz, distance in cm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from sai_bench.errors import AnnotationError
from sai_bench.files import write_atomically
from sai_bench.sphere import CLASSES

RECORDING_SUFFIXES = ("_inference", "_std")


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


_decoder = msgspec.json.Decoder(AnnotationFile, strict=False)
_encoder = msgspec.json.Encoder()


def read_annotations(path: Path) -> list[Annotation]:
    """Read a label or prediction file.

    Raises:
        AnnotationError: missing, truncated or not DCASE JSON; the message names file and position.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise AnnotationError(
            f"{path}: cannot be read ({error.strerror}). Expected a DCASE JSON file."
        ) from error
    try:
        return _decoder.decode(content).annotations
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AnnotationError(
            f"{path}: not valid DCASE JSON ({error}). Expected an object with a list 'annotations' of frame "
            "index, class and segmentation points; write the file again."
        ) from error


def write_detections(path: Path, detections: Sequence[Detection]) -> int:
    """Write detections as DCASE JSON, atomically, and return the size in bytes.

    Whole-numbered coordinates are written as integers; energies with 3 decimals; scores with 7, which keeps
    distinct scores distinct.
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
                    "score": round(detection.score, 7),
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


def recording_name(path: Path) -> str:
    """Return the recording that a label or prediction file belongs to (known suffixes removed)."""
    name = path.name.removesuffix(".json")
    for suffix in RECORDING_SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _compact_points(points: np.ndarray) -> list[tuple]:
    energies = np.round(points[:, 2], 3).tolist()
    positions = points[:, :2]
    whole = np.rint(positions)
    if np.array_equal(whole, positions):
        x, y = whole.astype(int).T.tolist()
    else:
        x, y = np.round(positions, 3).T.tolist()
    return list(zip(x, y, energies, strict=True))
