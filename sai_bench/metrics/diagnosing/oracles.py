"""What if one part of a system were perfect? Each oracle repairs predictions with the labels' help.

An oracle changes one thing (scores, classes or masks) and leaves the rest; the same metric then scores the
repaired predictions. The gain over the plain number is what a perfect version of that part could bring *with
everything else as it is*. The gains do not add up: a wrong class hides what a better mask would bring.

No oracle adds a detection, so sources that the system missed stay missed, and none removes false alarms
(except copies, see `as_one_class`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from scipy.optimize import linear_sum_assignment

from sai_bench.errors import ContractError
from sai_bench.metrics.grouping import frame_and_class_of, frame_of, grouped_indices
from sai_bench.metrics.strongest_point import LARGEST_ANGLE_DEG, angles_deg, directions
from sai_bench.segmentation import point_sets_of

if TYPE_CHECKING:
    from sai_bench.interfaces import Metric
    from sai_bench.predictions import Annotation


class Overlaps:
    """How much each prediction overlaps each label of its frame, by the metric's own measure."""

    def __init__(self, of_prediction: Mapping[int, tuple[np.ndarray, list[Annotation]]]):
        """Hold the overlaps [labels of the frame] of each prediction, by its index, and those labels."""
        self._of_prediction = of_prediction

    @classmethod
    def measured(
        cls, metric: Metric, predictions: Sequence[Annotation], labels: Sequence[Annotation]
    ) -> Overlaps | None:
        """Ask the metric, frame by frame; None if it has no measure of overlap.

        Raises:
            ContractError: its overlaps are not finite numbers [predictions, labels].
        """
        of_prediction = {}
        labels_of = grouped_indices(labels, frame_of)
        for frame, own in grouped_indices(predictions, frame_of).items():
            there = [labels[i] for i in labels_of.get(frame, [])]
            if there:
                overlap = metric.overlap([predictions[i] for i in own], there)
                if overlap is None:
                    return None
                if np.shape(overlap) != (len(own), len(there)) or not np.isfinite(overlap).all():
                    raise ContractError(
                        f"{type(metric).__name__}.overlap returned an array of shape {np.shape(overlap)}, "
                        f"expected finite numbers of shape {(len(own), len(there))}: predictions x labels."
                    )
                of_prediction |= {index: (row, there) for index, row in zip(own, overlap, strict=True)}
        return cls(of_prediction)

    def with_own_class(self, predictions: Sequence[int], category: int) -> np.ndarray:
        """Return the overlaps [predictions, labels of the class] of predictions of one frame.

        Args:
            predictions: their indices.
            category: the class.
        """
        found = [self._of_prediction.get(index, (np.zeros(0), [])) for index in predictions]
        of_class = [label.category_id == category for label in found[0][1]]
        return np.array([overlap for overlap, _ in found])[:, np.array(of_class, dtype=bool)]

    def best(self, prediction: int) -> tuple[float, Annotation | None]:
        """Return the largest overlap of a prediction and its label, (0.0, None) if there is none above 0."""
        overlap, labels = self._of_prediction.get(prediction, (np.zeros(0), []))
        best, found = 0.0, None
        for value, label in zip(overlap.tolist(), labels, strict=True):
            if value > best:
                best, found = value, label
        return best, found


def with_true_scores(predictions: Sequence[Annotation], overlaps: Overlaps) -> list[Annotation]:
    """Return the predictions, each scored by its overlap with the label that it is the detection of.

    Tells what perfect confidence would bring: well-placed detections go to the top of the ranking, false
    alarms to the bottom. In each frame and class labels and predictions are paired one to one so that the sum
    of overlaps is largest; a prediction that is left over, such as a duplicate, gets 0. So the result bounds
    what any scores can reach, where a metric pairs in the same way; where the scores themselves decide who is
    paired, others may rarely pair more.
    """
    scores = [0.0] * len(predictions)
    for own in grouped_indices(predictions, frame_and_class_of).values():
        overlap = overlaps.with_own_class(own, predictions[own[0]].category_id)  # [own, labels]
        for row, column in zip(*linear_sum_assignment(overlap, maximize=True), strict=True):
            scores[own[row]] = float(overlap[row, column])
    return [msgspec.structs.replace(p, score=score) for p, score in zip(predictions, scores, strict=True)]


def with_true_classes(predictions: Sequence[Annotation], overlaps: Overlaps) -> list[Annotation]:
    """Return the predictions, each with the class of the label that it overlaps best, whatever its class.

    Tells what perfect recognition of the regions found would bring. A prediction that overlaps no label
    keeps its class: it stays a false alarm. Copies that arise are left out, as in `as_one_class`.
    """
    changed = []
    for index, prediction in enumerate(predictions):
        _, label = overlaps.best(index)
        category = prediction.category_id if label is None else label.category_id
        changed.append(msgspec.structs.replace(prediction, category_id=category))
    return without_copies(changed)


def with_true_masks(predictions: Sequence[Annotation], labels: Sequence[Annotation]) -> list[Annotation]:
    """Return the predictions, each with the points of a label of its class at most 20 degrees away.

    In each frame the predictions choose in order of score, each the nearest label of its class that is still
    free (directions of strongest points). Tells what perfect shapes would bring to detections that are
    already about right; one with the wrong class or farther away keeps its points, and so does a duplicate.
    """
    changed = list(predictions)
    label_directions, prediction_directions = directions(labels), directions(predictions)
    labels_of = grouped_indices(labels, frame_and_class_of)
    for key, own in grouped_indices(predictions, frame_and_class_of).items():
        free = labels_of.get(key)
        if not free:
            continue
        angle = angles_deg(prediction_directions[own], label_directions[free])
        angle[~(angle <= LARGEST_ANGLE_DEG)] = np.inf  # NaN too: no direction
        scores = np.array([ranking_score(predictions[index]) for index in own])
        for i in np.argsort(-scores, kind="stable").tolist():
            nearest = int(angle[i].argmin())
            if np.isfinite(angle[i, nearest]):
                points = labels[free[nearest]].segmentation
                changed[own[i]] = msgspec.structs.replace(predictions[own[i]], segmentation=points)
                angle[:, nearest] = np.inf
    return changed


def as_one_class(annotations: Iterable[Annotation]) -> list[Annotation]:
    """Return the annotations with class 0 throughout: a metric then judges where, not what.

    For predictions, pass the result to `without_copies`: systems that offer one region under several classes
    would else be charged for each.
    """
    return [msgspec.structs.replace(annotation, category_id=0) for annotation in annotations]


def without_copies(predictions: Sequence[Annotation]) -> list[Annotation]:
    """Leave out predictions that have frame, class and points in common with a stronger one.

    Who names a region right names it once. Of equal scores the first stays.
    """
    kept: dict[tuple, int] = {}
    for index, prediction in enumerate(predictions):
        key = (prediction.metadata_frame_index, prediction.category_id, _digest_of_points(prediction))
        before = kept.setdefault(key, index)
        if ranking_score(prediction) > ranking_score(predictions[before]):
            kept[key] = index
    return [predictions[index] for index in sorted(kept.values())]


def ranking_score(prediction: Annotation) -> float:
    """Return the score that ranks a prediction: a missing one is 0, NaN comes last."""
    score = 0.0 if prediction.score is None else prediction.score
    return score if score == score else -np.inf


def _digest_of_points(annotation: Annotation) -> bytes:
    """Return a short stand-in for an annotation's points, equal for equal ones."""
    digest = hashlib.blake2b(digest_size=16)
    for points in point_sets_of(annotation.segmentation):
        digest.update(len(points).to_bytes(8, "little") + points.tobytes())
    return digest.digest()
