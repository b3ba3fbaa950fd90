"""F-scores by direction alone, in the manner of sound event localisation and detection (SELD).

In each frame predictions are assigned to labels so that the sum of angles between their strongest points is
smallest (Hungarian method, no limit on the angle, as many pairs as the smaller side has); a pair at most 20
degrees apart is a hit. *Class-aware* assigns within each class; *location-only* ignores classes, and takes a
region that is offered under several classes for one detection. Masks and energies do not matter.

Source: Mesaros et al., "Joint measurement of localization and detection of sound events" (WASPAA 2019), and
the DCASE SELD tasks, which count a pair beyond the limit as a false alarm and a miss, as here. The DCASE
systems have no scores; here the F-score is known at every score threshold, exactly: `score_directions`
assigns anew for each number of detections that a frame may keep.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from sai_bench.metrics.diagnosing.oracles import as_one_class, ranking_score, without_copies
from sai_bench.metrics.diagnosing.score_thresholds import thresholds_that_keep
from sai_bench.metrics.grouping import frame_and_class_of, frame_of, grouped_indices
from sai_bench.metrics.strongest_point import LARGEST_ANGLE_DEG, angles_deg, directions
from sai_bench.sphere import CLASSES

if TYPE_CHECKING:
    from sai_bench.predictions import Annotation

CURVE_SHARES = tuple(np.arange(20, 0, -1) / 20)
"""The F-score curve is given where these shares of all detections are kept."""

LOCATION_ONLY, CLASS_AWARE = "location_only", "class_aware"


def score_directions(
    predictions: Sequence[Annotation], labels: Sequence[Annotation]
) -> dict[str, np.ndarray]:
    """Assign one recording's predictions to its labels at every score threshold.

    Annotations without a point of positive energy have no direction and are left out on both sides. Missing
    scores are 0, NaN scores rank last.

    Returns:
        - `labels_per_class` [13].
        - `class_aware_class`, `class_aware_score` [n]: the predictions; `class_aware_hits` and
            `class_aware_angle` [n]: by how much the number of hits, and the sum of their angles in degrees,
            change when this prediction joins those of its frame and class with higher scores.
        - `location_only_*` [m]: the same for assignment whatever the class (all 0), without copies.
    """
    predictions, labels = _with_direction(predictions), _with_direction(labels)
    label_directions = directions(labels)
    classes = np.array([label.category_id for label in labels], dtype=np.int64)
    arrays = {"labels_per_class": np.bincount(classes, minlength=CLASSES)}
    for name, detections, key in (
        (LOCATION_ONLY, without_copies(as_one_class(predictions)), frame_of),
        (CLASS_AWARE, predictions, frame_and_class_of),
    ):
        detection_directions = directions(detections)
        scores = np.array([ranking_score(detection) for detection in detections], dtype=float)
        hits, angle = np.zeros(len(detections), dtype=np.int64), np.zeros(len(detections))
        labels_of = grouped_indices(labels, key)
        for group, own in grouped_indices(detections, key).items():
            there = labels_of.get(group)
            if there:
                own = np.array(own)[np.argsort(-scores[own], kind="stable")]
                apart = angles_deg(detection_directions[own], label_directions[there])
                hits[own], angle[own] = _gains(apart)
        arrays |= {
            f"{name}_class": np.array([detection.category_id for detection in detections], dtype=np.int64),
            f"{name}_score": scores,
            f"{name}_hits": hits,
            f"{name}_angle": angle,
        }
    return arrays


def combine_directions(recordings: Sequence[Mapping[str, np.ndarray]]) -> dict[str, object]:
    """Pool all recordings (of `score_directions`).

    Returns:
        - `location_only`: `best` (at the threshold with the highest F; the highest such threshold), `all`
            (every prediction) and `curve` (where 100, 95, ... 5% of all detections are kept), each with
            `threshold` (predictions with this score or more), `predictions`, `precision`, `recall`, `f` and
            `localisation_error_deg` (mean angle of the hits).
        - `class_aware`: `micro`, likewise, over the hits, predictions and labels of all classes, and `macro`:
            the mean over classes with labels of each class's numbers at a threshold common to all classes;
            `per_class`: each class at its own best threshold, None without labels.
        - `labels`, `predictions`: how many have a direction; of predictions, copies included.

        Numbers are None where nothing defines them, such as precision without predictions.
    """
    if not recordings:
        recordings = [score_directions([], [])]
    labels = np.sum([recording["labels_per_class"] for recording in recordings], axis=0)
    rows = {
        name: _Detections(
            *(
                np.concatenate([recording[f"{name}_{part}"] for recording in recordings])
                for part in ("class", "score", "hits", "angle")
            )
        )
        for name in (LOCATION_ONLY, CLASS_AWARE)
    }
    aware = rows[CLASS_AWARE]
    per_class = {k: _Counts(aware.of_class(k), int(labels[k])) for k in np.flatnonzero(labels).tolist()}
    total = int(labels.sum())
    return {
        "labels": total,
        "predictions": len(aware.score),
        LOCATION_ONLY: _report(rows[LOCATION_ONLY].score, _Counts(rows[LOCATION_ONLY], total)),
        CLASS_AWARE: {
            "micro": _report(aware.score, _Counts(aware, total)),
            "macro": _report(aware.score, _Macro(list(per_class.values()))),
            "per_class": {
                str(k): _report(aware.of_class(k).score, per_class[k])["best"] if k in per_class else None
                for k in range(CLASSES)
            },
        },
    }


def _with_direction(annotations: Sequence[Annotation]) -> list[Annotation]:
    pointing = ~np.isnan(directions(annotations)).any(axis=1)
    return [annotation for annotation, points in zip(annotations, pointing.tolist(), strict=True) if points]


def _gains(angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what each prediction of a frame adds to the hits and to the sum of their angles.

    Args:
        angle: [P, G] degrees, predictions in descending score.
    """
    predictions, labels = angle.shape
    if labels == 1:  # the nearest so far
        nearest = np.minimum.accumulate(angle[:, 0])
        hit = nearest <= LARGEST_ANGLE_DEG
        hits, total = hit.astype(np.int64), np.where(hit, nearest, 0.0)
    else:
        hits, total = np.zeros(predictions, dtype=np.int64), np.zeros(predictions)
        for kept in range(1, predictions + 1):
            pairs = angle[:kept][linear_sum_assignment(angle[:kept])]
            hit = pairs <= LARGEST_ANGLE_DEG
            hits[kept - 1], total[kept - 1] = np.count_nonzero(hit), pairs[hit].sum()
    return np.diff(hits, prepend=0), np.diff(total, prepend=0.0)


@dataclass(frozen=True)
class _Detections:
    """Detections as columns: class, score, and what each adds to hits and to the sum of angles."""

    category: np.ndarray
    score: np.ndarray
    hits: np.ndarray
    angle: np.ndarray

    def of_class(self, category: int) -> _Detections:
        own = self.category == category
        return _Detections(self.category[own], self.score[own], self.hits[own], self.angle[own])


class _Counts:
    """Precision, recall, F and localisation error of some detections as functions of the threshold."""

    def __init__(self, detections: _Detections, labels: int):
        """Sort the detections; `labels` is how many there are to find."""
        order = np.argsort(detections.score, kind="stable")
        self._scores = detections.score[order]
        self._hits = _from_here_on(detections.hits[order])
        self._angle = _from_here_on(detections.angle[order])
        self._labels = labels

    def __call__(self, thresholds: np.ndarray) -> dict[str, np.ndarray]:
        """Return the numbers [n] at thresholds [n]; NaN where nothing defines them."""
        first = np.searchsorted(self._scores, thresholds, side="left")
        predictions = len(self._scores) - first
        hits = self._hits[first]
        return {
            "precision": _ratio(hits, predictions),
            "recall": _ratio(hits, np.full(len(hits), self._labels)),
            "f": _ratio(2 * hits, predictions + self._labels),
            "localisation_error_deg": _ratio(self._angle[first], hits),
        }


class _Macro:
    """The mean of the numbers of several classes, each where it is defined."""

    def __init__(self, classes: Sequence[_Counts]):
        """Average `classes`."""
        self._classes = classes

    def __call__(self, thresholds: np.ndarray) -> dict[str, np.ndarray]:
        """Return the numbers [n] at thresholds [n]; NaN where no class defines them."""
        names = ("precision", "recall", "f", "localisation_error_deg")
        total = {name: np.zeros(len(thresholds)) for name in names}
        defined = {name: np.zeros(len(thresholds)) for name in names}
        for one in self._classes:  # one at a time: there may be millions of thresholds
            for name, values in one(thresholds).items():
                total[name] += np.nan_to_num(values)
                defined[name] += ~np.isnan(values)
        return {name: _ratio(total[name], defined[name]) for name in names}


def _report(scores: np.ndarray, numbers: Callable[[np.ndarray], dict[str, np.ndarray]]) -> dict[str, object]:
    """Return the numbers at the best threshold, without a threshold and along the curve."""
    if not len(scores):
        nothing = _rows(np.array([-np.inf]), scores, numbers)[0]
        return {"best": nothing, "all": nothing, "curve": []}
    thresholds = np.unique(scores)
    f = np.nan_to_num(numbers(thresholds)["f"])
    best = thresholds[len(f) - 1 - f[::-1].argmax()]
    curve = thresholds_that_keep(scores, CURVE_SHARES)
    rows = _rows(np.array([best, thresholds[0], *curve]), scores, numbers)
    return {"best": rows[0], "all": rows[1], "curve": rows[2:]}


def _rows(
    thresholds: np.ndarray, scores: np.ndarray, numbers: Callable[[np.ndarray], dict[str, np.ndarray]]
) -> list[dict[str, object]]:
    columns = {
        "threshold": thresholds,
        "predictions": np.array([np.count_nonzero(scores >= threshold) for threshold in thresholds]),
        **numbers(thresholds),
    }
    return [
        {name: _plain(value) for name, value in zip(columns, row, strict=True)}
        for row in zip(*(column.tolist() for column in columns.values()), strict=True)
    ]


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _from_here_on(values: np.ndarray) -> np.ndarray:
    """Return the sums [n + 1] of each value and all after it; the last is 0."""
    return np.append(np.cumsum(values[::-1])[::-1], 0)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole as floats, NaN where `whole` is 0."""
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=np.asarray(whole) > 0)
