"""Counting what the labels of a recording say, and finding what no evaluator could use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sai_bench.predictions import Annotation, of_known_classes
from sai_bench.segmentation import Segmentation
from sai_bench.sphere import CLASSES, COLUMNS, ROWS

MOST_SOURCES = 6
"""As many sources at once as the task foresees."""


@dataclass(frozen=True)
class LabelFacts:
    """What labels say.

    Attributes:
        class_frames: [K] label frames in which each class sounds.
        class_events: [K] events of each class: runs of consecutive frames of one class and instance.
        overlap_frames: [8] label frames with 0, 1 ... 6, and with more sources.
        beyond_end: annotations of frames after the recording's end.
        last_frame: the highest frame index, -1 without annotations.
        unknown_classes: annotations of other classes than 0 ... 12.
        without_points: annotations without a point of positive energy.
        outside: annotations with points outside the image.
    """

    class_frames: np.ndarray
    class_events: np.ndarray
    overlap_frames: np.ndarray
    beyond_end: int = 0
    last_frame: int = -1
    unknown_classes: int = 0
    without_points: int = 0
    outside: int = 0

    @property
    def frames(self) -> int:
        """Return the label frames of the recording."""
        return int(self.overlap_frames.sum())


def count_labels(annotations: Sequence[Annotation], frames: int) -> LabelFacts:
    """Count what stands in the first `frames` label frames.

    Several annotations of one class and instance in a frame are one source; without instance each is one.
    """
    known = of_known_classes(annotations)
    indices = [annotation.metadata_frame_index for annotation in known]
    within = [annotation for annotation in known if 0 <= annotation.metadata_frame_index < frames]
    return LabelFacts(
        class_frames=_class_frames(within),
        class_events=_class_events(within),
        overlap_frames=_overlaps(within, frames),
        beyond_end=len(known) - len(within),
        last_frame=max(indices, default=-1),
        unknown_classes=len(annotations) - len(known),
        without_points=sum(not (_points(annotation)[:, 2] > 0).any() for annotation in known),
        outside=sum(_is_outside(_points(annotation)) for annotation in known),
    )


def add_labels(facts: Iterable[LabelFacts]) -> LabelFacts:
    """Return the counts of all recordings together; what concerns single files is left out."""
    total = LabelFacts(np.zeros(CLASSES, int), np.zeros(CLASSES, int), np.zeros(MOST_SOURCES + 2, int))
    for one in facts:
        total = LabelFacts(
            total.class_frames + one.class_frames,
            total.class_events + one.class_events,
            total.overlap_frames + one.overlap_frames,
        )
    return total


def _class_frames(annotations: Sequence[Annotation]) -> np.ndarray:
    sounding = {(annotation.category_id, annotation.metadata_frame_index) for annotation in annotations}
    return np.bincount([category for category, _ in sounding], minlength=CLASSES)


def _class_events(annotations: Sequence[Annotation]) -> np.ndarray:
    frames_of = defaultdict(set)
    for annotation in annotations:
        frames_of[annotation.category_id, annotation.instance_id].add(annotation.metadata_frame_index)
    events = np.zeros(CLASSES, dtype=int)
    for (category, _), frames in frames_of.items():
        events[category] += sum(frame - 1 not in frames for frame in frames)
    return events


def _overlaps(annotations: Sequence[Annotation], frames: int) -> np.ndarray:
    sources = {
        (a.metadata_frame_index, a.category_id, number if a.instance_id is None else -1, a.instance_id)
        for number, a in enumerate(annotations)
    }
    at_once = np.bincount([frame for frame, *_ in sources], minlength=frames)
    return np.bincount(np.minimum(at_once, MOST_SOURCES + 1), minlength=MOST_SOURCES + 2)


def _points(annotation: Annotation) -> np.ndarray:
    """Return [n, 3] rows of (x, y, energy)."""
    segmentation = annotation.segmentation
    if isinstance(segmentation, Segmentation):
        return segmentation.points
    return np.array([point for part in segmentation for point in part], dtype=float).reshape(-1, 3)


def _is_outside(points: np.ndarray) -> bool:
    x, y, _ = points.T
    return bool(((x < 0) | (x >= COLUMNS) | (y < 0) | (y > ROWS - 1)).any())
