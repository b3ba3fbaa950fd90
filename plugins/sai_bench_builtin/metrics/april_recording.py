"""What the April metric makes of one recording: valid regions, matched detections, pairs by direction.

Everything runs over arrays of many frames at once: per frame and class there is so little to do that Python
would take longer than the work itself.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from sai_bench.metrics.april.coco_matching import MAX_DETECTIONS, match_pairs
from sai_bench.metrics.april.direction_pairing import choose_pairs, official_angles_deg
from sai_bench.metrics.april.rendering import AprilRenderer, Comparison, PointSets
from sai_bench.metrics.strongest_point import LARGEST_ANGLE_DEG
from sai_bench.segmentation import point_count, points_of
from sai_bench.sphere import CLASSES

if TYPE_CHECKING:
    from sai_bench.predictions import Annotation

SMALLEST_DISTANCE = 0.001
"""Pairs whose label is not farther away than this have no relative distance error."""

_COUNTS = {"frames", "labels_per_class", "predictions_per_class"}
_BLOCK_POINTS = 1 << 19  # of whole frames scored at a time, to bound the memory


def score_annotations(
    predictions: Sequence[Annotation], labels: Sequence[Annotation], renderer: AprilRenderer, threshold: float
) -> dict[str, np.ndarray]:
    """Return the arrays that `dcase2026_april` keeps of a recording."""
    blocks = _blocks_of_frames(predictions, labels)
    parts = [_Frames(*block).arrays(renderer, threshold) for block in blocks]
    return {
        name: sum(part[name] for part in parts)
        if name in _COUNTS
        else np.concatenate([part[name] for part in parts])
        for name in parts[0]
    }


@dataclass(frozen=True)
class _Frames:
    """Labels and predictions of some frames; as indices, labels come first."""

    labels: Sequence[Annotation]
    predictions: Sequence[Annotation]

    @cached_property
    def _all(self) -> list[Annotation]:
        return [*self.labels, *self.predictions]

    @cached_property
    def _category(self) -> np.ndarray:
        return np.array([a.category_id for a in self._all], dtype=np.int64)

    @cached_property
    def _frame(self) -> np.ndarray:
        """Which of the frames, counted from 0, each annotation belongs to."""
        numbers = [a.metadata_frame_index for a in self._all]
        # Not by NumPy: numbers beyond 64 bits would be mixed up as float64.
        place = {number: index for index, number in enumerate(sorted(set(numbers)))}
        return np.array([place[number] for number in numbers], dtype=np.int64)

    @cached_property
    def _score(self) -> np.ndarray:
        return np.array([0.0 if a.score is None else a.score for a in self._all])

    @cached_property
    def _distance(self) -> np.ndarray:
        return np.array([0.0 if a.distance is None else a.distance for a in self._all])

    def arrays(self, renderer: AprilRenderer, threshold: float) -> dict[str, np.ndarray]:
        """Return what is to be known about these frames."""
        count = len(self.labels)
        sets = PointSets.of([points_of(a.segmentation) for a in self._all])
        ranked, starts, pairs = self._ranked_pairs()
        angle = official_angles_deg(sets.strongest[:, :2], pairs)
        compared = renderer.compare(sets, threshold, pairs, angle <= LARGEST_ANGLE_DEG)
        valid = compared.valid
        return {
            "frames": self._frame.max(initial=-1) + 1,
            "labels_per_class": np.bincount(self._category[:count][valid[:count]], minlength=CLASSES),
            "predictions_per_class": np.bincount(self._category[count:][valid[count:]], minlength=CLASSES),
            **self._detections(ranked, starts, pairs, compared),
            **self._pairs_by_direction(pairs, angle, compared),
        }

    def _ranked_pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return predictions by frame, class and descending score, and their pairs with labels of both.

        Returns:
            Predictions [D]; where in the pairs those of each one start [D + 1]; pairs [P, 2] of a label, in
            file order, and a prediction.
        """
        group = self._frame * CLASSES + self._category
        count = len(self.labels)
        ranked = count + np.lexsort((-self._score[count:], group[count:]))
        by_group = np.argsort(group[:count], kind="stable")
        first, last = (
            np.searchsorted(group[by_group], group[ranked], side=side) for side in ("left", "right")
        )
        starts = np.cumsum(np.append(0, last - first))
        own = np.repeat(np.arange(len(ranked)), last - first)  # whose pair each is
        label = by_group[first[own] + np.arange(starts[-1]) - starts[own]]
        return ranked, starts, np.column_stack([label, ranked[own]])

    def _detections(
        self, ranked: np.ndarray, starts: np.ndarray, pairs: np.ndarray, compared: Comparison
    ) -> dict[str, np.ndarray]:
        """Return the predictions that count for average precision, and which labels' IoU they reach."""
        counts = self._among_the_best(ranked, compared.valid)
        possible = np.repeat(counts, np.diff(starts)) & compared.valid[pairs].all(axis=1)
        # An IoU below 0 matches nothing, and takes no label from others.
        matched = match_pairs(starts, pairs[:, 0].copy(), np.where(possible, compared.iou, -1.0))
        return {
            "detection_class": self._category[ranked][counts],
            "detection_score": self._score[ranked][counts],
            "detection_matched": matched[counts],
        }

    def _among_the_best(self, ranked: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Return which ranked predictions are valid and among the first 100 such of frame and class."""
        group = (self._frame * CLASSES + self._category)[ranked]
        before = np.append(0, np.cumsum(valid[ranked]))  # valid ones before each
        rank = before[:-1] - before[np.searchsorted(group, group)]
        return valid[ranked] & (rank < MAX_DETECTIONS)

    def _pairs_by_direction(
        self, pairs: np.ndarray, angle: np.ndarray, compared: Comparison
    ) -> dict[str, np.ndarray]:
        """Return Pearson's r and the distance error of the labels and predictions that meet."""
        count = len(self.labels)
        usable = compared.valid[pairs].all(axis=1)
        pairs, angle, correlation = pairs[usable], angle[usable], compared.correlation[usable]
        indices = np.flatnonzero(compared.valid)
        chosen = choose_pairs(pairs, angle, self._frame, indices[indices < count], indices[indices >= count])
        chosen = np.flatnonzero(chosen)
        label = pairs[chosen, 0]
        chosen = chosen[np.lexsort((label, self._frame[label]))]
        label, prediction = pairs[chosen].T
        category, r = self._category[label], correlation[chosen]
        true_distance, distance = self._distance[label], self._distance[prediction]
        defined, far = ~np.isnan(r), true_distance > SMALLEST_DISTANCE
        with np.errstate(invalid="ignore"):  # infinite distances: the error is undefined
            error = 100 * np.abs(true_distance[far] - distance[far]) / true_distance[far]
        return {
            "correlation_class": category[defined],
            "correlation": r[defined],
            "distance_class": category[far],
            "distance_error_percent": error,
        }


def _blocks_of_frames(
    predictions: Sequence[Annotation], labels: Sequence[Annotation]
) -> Iterator[tuple[list[Annotation], list[Annotation]]]:
    """Cut a recording into runs of whole frames, (labels, predictions) each; at least one, maybe empty."""
    sides = [sorted(side, key=lambda a: a.metadata_frame_index) for side in (labels, predictions)]
    points: dict[int, int] = {}
    for annotation in chain(*sides):
        frame = annotation.metadata_frame_index
        points[frame] = points.get(frame, 0) + point_count(annotation.segmentation)
    held, last_frames = 0, []
    for frame in sorted(points):
        held += points[frame]
        if held >= _BLOCK_POINTS:
            last_frames.append(frame)
            held = 0
    start = [0, 0]
    for last in [*last_frames, math.inf]:
        stop = [bisect_right(side, last, key=lambda a: a.metadata_frame_index) for side in sides]
        yield tuple(side[i:j] for side, i, j in zip(sides, start, stop, strict=True))
        start = stop
