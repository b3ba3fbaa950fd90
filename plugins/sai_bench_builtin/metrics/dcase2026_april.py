"""The evaluator of DCASE 2026 Task 3 of 2026-04-02, which gave the report's mAP, AP50 and Pearson r.

Its behaviour is kept down to its artefacts (`sai_bench.metrics.april_rendering`) and edge cases: without any
valid prediction mAP and AP50 are not defined, with predictions but no valid label they are -1. The evaluator
calls its figures macro averages, yet mAP leaves out classes without labels, and Pearson and distance are
means over pairs; the `macro*` numbers are true macro averages beside the official ones.

The evaluator looks at a recording only if it has a prediction file (an empty one counts). To get its numbers,
leave recordings without prediction file out; to count their labels as misses, pass no predictions for them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from sai_bench.interfaces import Metric
from sai_bench.metrics.april_rendering import LOWEST_PEAK, april_renderer
from sai_bench.metrics.average_precision import (
    IOU_THRESHOLDS,
    mask_iou,
    match_detections,
    precision_at_recall,
    strongest_first,
)
from sai_bench.metrics.direction_pairing import loudest_point, pair_by_direction
from sai_bench.metrics.energy_correlation import region_correlation
from sai_bench.sphere import CLASSES

if TYPE_CHECKING:
    from sai_bench.predictions import Annotation
    from sai_bench_builtin.configs.metric import AprilConfig

SMALLEST_DISTANCE = 0.001
"""Pairs whose label is not farther away than this have no relative distance error."""


@dataclass(frozen=True)
class _Region:
    """A valid annotation: its numbers, and its energy map and mask if the other side has its class too."""

    category: int
    score: float
    distance: float
    location: tuple[float, float]
    energy: np.ndarray | None
    mask: np.ndarray | None


class _RecordingScores:
    """What is known about one recording so far; becomes the arrays of `score_recording`."""

    def __init__(self):
        self.frames = 0
        self.labels = np.zeros(CLASSES, dtype=np.int64)
        self.predictions = np.zeros(CLASSES, dtype=np.int64)
        self.detections: list[tuple[int, float, np.ndarray]] = []  # class, score, matched [T]
        self.correlations: list[tuple[int, float]] = []  # class, r
        self.distance_errors: list[tuple[int, float]] = []  # class, percent

    def arrays(self) -> dict[str, np.ndarray]:
        detection_class, detection_score, matched = _columns(self.detections, 3)
        correlation_class, correlation = _columns(self.correlations, 2)
        distance_class, distance_error = _columns(self.distance_errors, 2)
        return {
            "frames": np.array(self.frames),
            "labels_per_class": self.labels,
            "predictions_per_class": self.predictions,
            "detection_class": np.array(detection_class, dtype=np.int64),
            "detection_score": np.array(detection_score, dtype=float),
            "detection_matched": np.array(matched, dtype=bool).reshape(-1, len(IOU_THRESHOLDS)),
            "correlation_class": np.array(correlation_class, dtype=np.int64),
            "correlation": np.array(correlation, dtype=float),
            "distance_class": np.array(distance_class, dtype=np.int64),
            "distance_error_percent": np.array(distance_error, dtype=float),
        }


class April(Metric):
    """The metric `dcase2026_april`."""

    headline = ("map", "ap50", "pearson")
    prediction_suffixes = ("_inference",)
    label_suffixes = ("_std", "")

    def __init__(self, config: AprilConfig):
        """Prepare to score with the kernel width and threshold of `config`."""
        self._config = config
        self._renderer = april_renderer(config.sigma_deg)

    def score_recording(
        self, predictions: Sequence[Annotation], labels: Sequence[Annotation]
    ) -> dict[str, np.ndarray]:
        """Match one recording's predictions to its labels, frame by frame.

        Returns:
            - `frames`: how many frames have an annotation.
            - `labels_per_class`, `predictions_per_class` [13]: the valid ones.
            - `detection_class`, `detection_score` [n], `detection_matched` [n, 10] (IoU thresholds): the
              predictions that count for average precision, in frame order, best first within frame and class.
            - `correlation_class`, `correlation` [m]: the pairs with a Pearson r.
            - `distance_class`, `distance_error_percent` [k]: the pairs with a relative distance error.

        Raises:
            AnnotationError: a point's x or y is not finite.
        """
        scores = _RecordingScores()
        labels_of, predictions_of = _by_frame(labels), _by_frame(predictions)
        for frame in sorted(labels_of.keys() | predictions_of.keys()):
            self._score_frame(scores, labels_of.get(frame, []), predictions_of.get(frame, []))
        return scores.arrays()

    def combine(self, recordings: Sequence[Mapping[str, np.ndarray]]) -> dict[str, object]:
        """Pool all recordings.

        Returns:
            - Official: `map`, `ap50`, `per_class_ap` (None: no label of the class), `pearson`,
              `distance_mape` (percent), `counts` (labels and predictions: the valid ones).
            - True macro averages of AP, None without any valid label: `macro_present` over classes with
              labels, `macro13` over all classes (those without labels 0), `macro_union` over classes with
              labels or predictions (those without labels 0).
            - True macro averages over classes with pairs: `macro_pearson`, `macro_distance_mape`.
            - `classes_behind`: how many classes each macro average is over.
        """
        if not recordings:
            recordings = [_RecordingScores().arrays()]
        pooled = {
            name: np.concatenate([np.atleast_1d(r[name]) for r in recordings]) for name in recordings[0]
        }
        labels = pooled["labels_per_class"].reshape(-1, CLASSES).sum(axis=0)
        predictions = pooled["predictions_per_class"].reshape(-1, CLASSES).sum(axis=0)
        precision = {int(k): _class_precision(pooled, k, labels[k]) for k in np.flatnonzero(labels)}
        correlation, distance_error = pooled["correlation"], pooled["distance_error_percent"]
        return {
            **_official_precision(precision, predictions),
            "pearson": _mean(correlation),
            "distance_mape": _mean(distance_error),
            **_macro_averages(pooled, precision, predictions),
            "counts": {
                "labels": int(labels.sum()),
                "predictions": int(predictions.sum()),
                "frames": int(pooled["frames"].sum()),
                "pearson_pairs": len(correlation),
                "distance_pairs": len(distance_error),
            },
        }

    def overlap(self, predictions: Sequence[Annotation], labels: Sequence[Annotation]) -> np.ndarray:
        """Return the IoU [P, G] of the masks, 0 for annotations that are not valid."""
        masks = [
            [self._mask(self._renderer.render(_points(a))) for a in side] for side in (predictions, labels)
        ]
        valid = [[i for i, mask in enumerate(side) if mask is not None] for side in masks]
        iou = np.zeros((len(predictions), len(labels)))
        iou[np.ix_(*valid)] = mask_iou(
            *([side[i] for i in own] for side, own in zip(masks, valid, strict=True))
        )
        return iou

    def combine_weighted(
        self, recordings: Sequence[Mapping[str, np.ndarray]], weights: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return the headline for many weightings of the recordings; -1 (no labels) is NaN here."""
        # Not needed for scoring, which should start fast.
        from sai_bench_builtin.metrics.april_resampling import resampled_headline

        return resampled_headline(recordings, weights)

    def _score_frame(
        self, scores: _RecordingScores, labels: list[Annotation], predictions: list[Annotation]
    ) -> None:
        shared = {a.category_id for a in labels} & {a.category_id for a in predictions}
        label_regions = self._regions(labels, shared)
        prediction_regions = self._regions(predictions, shared)
        scores.frames += 1
        for regions, counts in ((label_regions, scores.labels), (prediction_regions, scores.predictions)):
            for region in regions:
                counts[region.category] += 1
        _add_detections(scores, label_regions, prediction_regions)
        _add_pairs(scores, label_regions, prediction_regions)

    def _regions(self, annotations: list[Annotation], shared: set[int]) -> list[_Region]:
        """Return the valid annotations of a frame; only those of a shared class are always drawn."""
        regions = []
        for annotation in annotations:
            points = _points(annotation)
            energy = mask = None
            if annotation.category_id in shared or not self._renderer.surely_has_region(points):
                energy = self._renderer.render(points)
                mask = self._mask(energy)
                if mask is None:
                    continue
            regions.append(
                _Region(
                    category=annotation.category_id,
                    score=0.0 if annotation.score is None else annotation.score,
                    distance=0.0 if annotation.distance is None else annotation.distance,
                    location=loudest_point(points),
                    energy=energy,
                    mask=mask,
                )
            )
        return regions

    def _mask(self, energy: np.ndarray) -> np.ndarray | None:
        """Return the region of an energy map, None if it is not valid."""
        peak = energy.max()
        mask = energy >= self._config.energy_threshold * peak  # in float32
        return None if peak < LOWEST_PEAK or not mask.any() else mask


def _add_detections(scores: _RecordingScores, labels: list[_Region], predictions: list[_Region]) -> None:
    for category in sorted({region.category for region in predictions}):
        wanted = [region for region in labels if region.category == category]
        found = [region for region in predictions if region.category == category]
        found = [found[i] for i in strongest_first(np.array([region.score for region in found]))]
        matched = np.zeros((len(found), len(IOU_THRESHOLDS)), dtype=bool)
        if wanted:
            matched = match_detections(mask_iou([r.mask for r in found], [r.mask for r in wanted]))
        for region, matches in zip(found, matched, strict=True):
            scores.detections.append((category, region.score, matches))


def _add_pairs(scores: _RecordingScores, labels: list[_Region], predictions: list[_Region]) -> None:
    if not {region.category for region in labels} & {region.category for region in predictions}:
        return
    pairs = pair_by_direction(*_locations_and_classes(labels), *_locations_and_classes(predictions))
    for g, d in pairs:
        label, prediction = labels[g], predictions[d]
        if label.distance > SMALLEST_DISTANCE:
            error = 100 * abs(label.distance - prediction.distance) / label.distance
            scores.distance_errors.append((label.category, error))
        r = region_correlation(label.energy, label.mask, prediction.energy, prediction.mask)
        if not math.isnan(r):
            scores.correlations.append((label.category, r))


def _locations_and_classes(regions: list[_Region]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([r.location for r in regions]), np.array([r.category for r in regions])


def _points(annotation: Annotation) -> np.ndarray:
    """Return all points [n, 3] of an annotation's sub-lists, in order."""
    points = np.array(list(chain.from_iterable(annotation.segmentation)), dtype=float)
    return points.reshape(-1, 3)


def _by_frame(annotations: Iterable[Annotation]) -> dict[int, list[Annotation]]:
    frames = defaultdict(list)
    for annotation in annotations:
        frames[annotation.metadata_frame_index].append(annotation)
    return frames


def _columns(rows: list[tuple], count: int) -> list[tuple]:
    return list(zip(*rows, strict=True)) if rows else [()] * count


def _class_precision(pooled: Mapping[str, np.ndarray], category: int, labels: int) -> np.ndarray:
    """Return the precision [T, 101] of one class that has labels."""
    own = pooled["detection_class"] == category
    return precision_at_recall(pooled["detection_score"][own], pooled["detection_matched"][own], labels)


def _official_precision(precision: dict[int, np.ndarray], predictions: np.ndarray) -> dict[str, object]:
    per_class: dict[str, float | None] = {str(k): None for k in range(CLASSES)}
    if not predictions.any():
        return {"map": None, "ap50": None, "per_class_ap": per_class}
    per_class |= {str(k): float(curves.mean()) for k, curves in precision.items()}
    if not precision:
        return {"map": -1.0, "ap50": -1.0, "per_class_ap": per_class}
    cells = np.stack(list(precision.values()))  # [classes, T, 101]
    return {"map": float(cells.mean()), "ap50": float(cells[:, 0].mean()), "per_class_ap": per_class}


def _macro_averages(
    pooled: Mapping[str, np.ndarray], precision: dict[int, np.ndarray], predictions: np.ndarray
) -> dict[str, object]:
    total = sum(float(curves.mean()) for curves in precision.values())
    union = len(precision.keys() | set(np.flatnonzero(predictions).tolist()))
    correlations = _class_means(pooled["correlation_class"], pooled["correlation"])
    distance_errors = _class_means(pooled["distance_class"], pooled["distance_error_percent"])
    return {
        "macro_present": total / len(precision) if precision else None,
        "macro13": total / CLASSES if precision else None,
        "macro_union": total / union if precision else None,
        "macro_pearson": _mean(correlations),
        "macro_distance_mape": _mean(distance_errors),
        "classes_behind": {
            "macro_present": len(precision),
            "macro13": CLASSES,
            "macro_union": union,
            "macro_pearson": len(correlations),
            "macro_distance_mape": len(distance_errors),
        },
    }


def _class_means(classes: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.array([values[classes == category].mean() for category in np.unique(classes)])


def _mean(values: np.ndarray) -> float | None:
    """Return the mean, None if there is nothing to average or the mean is not finite."""
    mean = float(values.mean()) if len(values) else math.nan
    return mean if math.isfinite(mean) else None
