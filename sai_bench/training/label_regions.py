"""The labelled regions of a recording: what sounds in which frame, and its mask, stored compactly."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sai_bench.errors import AnnotationError
from sai_bench.mask_compaction import compact_masks
from sai_bench.regions import ENERGY_STEPS
from sai_bench.segmentation import point_sets_of, points_of
from sai_bench.sphere import COLUMNS, FRAMES_PER_S, ROWS
from sai_bench.training.mask_drawing import Rule, draw_label

if TYPE_CHECKING:
    from sai_bench.predictions import Annotation

FLOOR = 0.01
"""Pixels below this share of their mask's peak are left out."""

LAST_FRAME = 24 * 3600 * FRAMES_PER_S
"""Labels are those of at most a day."""

_IMAGES_AT_ONCE = 16
_LARGEST = COLUMNS, ROWS


@dataclass(frozen=True)
class LabelRegions:
    """Regions in order of their frames; those with the same points share one mask.

    Attributes:
        frames: [n] int32 label frame of each region, ascending.
        classes: [n] uint8.
        instances: [n] int32, which sound event of the recording; regions of one event have equal numbers.
        masks: [n] int32, which mask each region has.
        mask_starts: [m+1] int64; mask i owns pixels mask_starts[i] to mask_starts[i+1].
        pixels: [total] uint16, row * 360 + column.
        energies: [total] uint8, 255 = the mask's peak.
    """

    frames: np.ndarray
    classes: np.ndarray
    instances: np.ndarray
    masks: np.ndarray
    mask_starts: np.ndarray
    pixels: np.ndarray
    energies: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)


def draw_regions(annotations: Iterable[Annotation], rule: Rule) -> LabelRegions:
    """Return the regions of a recording's labels; each different point set is drawn once.

    Labels that draw nothing are left out. An event is known by class and instance; where there is no
    instance, the first region of a class in each frame counts as one event, the second as another.

    Args:
        annotations: of classes 0 ... 12.
        rule: how points become an image.

    Raises:
        AnnotationError: a point is not finite or outside the image, or a frame index is out of range.
    """
    ordered = sorted(annotations, key=lambda a: a.metadata_frame_index)
    of_points: dict[bytes, int] = {}
    different: list[Annotation] = []
    masks = np.empty(len(ordered), np.int32)
    for index, annotation in enumerate(ordered):
        _check(annotation)
        key = _key(annotation)
        if key not in of_points:
            of_points[key] = len(different)
            different.append(annotation)
        masks[index] = of_points[key]
    lengths, pixels, energies = _drawn(different, rule)
    shown = lengths[masks] > 0
    return LabelRegions(
        frames=np.array([a.metadata_frame_index for a in ordered], np.int32)[shown],
        classes=np.array([a.category_id for a in ordered], np.uint8)[shown],
        instances=_events(ordered)[shown],
        masks=masks[shown],
        mask_starts=np.cumsum(np.append(0, lengths), dtype=np.int64),
        pixels=pixels,
        energies=energies,
    )


def _check(annotation: Annotation) -> None:
    frame, points = annotation.metadata_frame_index, points_of(annotation.segmentation)
    label = f"A label of class {annotation.category_id} in frame {frame}"
    if not 0 <= frame <= LAST_FRAME:
        raise AnnotationError(f"{label}: expected a frame index of 0 to {LAST_FRAME}, at 10 Hz.")
    if not (np.isfinite(points).all() and (points[:, :2] >= 0).all() and (points[:, :2] <= _LARGEST).all()):
        raise AnnotationError(
            f"{label} has a point that is not finite or outside the image. Expected [x, y, energy] with x in "
            f"0 ... {COLUMNS} and y in 0 ... {ROWS}; write the file again."
        )


def _key(annotation: Annotation) -> bytes:
    """Return a hash of an annotation's point sets and of where each one ends."""
    digest = hashlib.blake2b(digest_size=16)
    for points in point_sets_of(annotation.segmentation):
        digest.update(len(points).to_bytes(8, "little"))
        digest.update(np.ascontiguousarray(points))
    return digest.digest()


def _drawn(annotations: Sequence[Annotation], rule: Rule) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pixel count [m] of each mask, and all pixels and energies, mask after mask."""
    parts = [(np.empty(0, np.int64), np.empty(0, np.uint16), np.empty(0, np.uint8))]
    for start in range(0, len(annotations), _IMAGES_AT_ONCE):
        some = annotations[start : start + _IMAGES_AT_ONCE]
        images = np.stack([draw_label(a.segmentation, rule) for a in some])
        parts.append(compact_masks(images.reshape(len(some), ROWS * COLUMNS), FLOOR, ENERGY_STEPS))
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def _events(annotations: Sequence[Annotation]) -> np.ndarray:
    """Return the number of the event [n] that each annotation belongs to."""
    numbers: dict[tuple, int] = {}
    met: dict[tuple[int, int], int] = {}
    events = np.empty(len(annotations), np.int32)
    for index, annotation in enumerate(annotations):
        event = annotation.category_id, annotation.instance_id, 0
        if annotation.instance_id is None:
            place = annotation.metadata_frame_index, annotation.category_id
            event = annotation.category_id, None, met.get(place, 0)
            met[place] = event[2] + 1
        events[index] = numbers.setdefault(event, len(numbers))
    return events
