"""The evaluator of DCASE 2026 Task 3 of 2026-06-30, which ranks the submissions.

Annotations become energy maps of 50 x 100 pixels (`sai_bench.metrics.june.rendering`). In each frame the
predictions of a class are assigned to its labels by soft IoU, once and without regard to scores; a pair is a
true positive at every threshold that its IoU reaches. Average precision is macro (over classes with labels)
and micro (over all detections at once); Pearson's r looks at the pixels of the label only.

The evaluator looks at a recording only if it has a prediction file. To get its numbers, leave recordings
without prediction file out; to count their labels as misses, pass no predictions for them. Read files with
`June.read`, which refuses what the evaluator refuses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sai_bench.interfaces import AnnotationRole, Metric
from sai_bench.metrics.grouping import frame_and_class_of, grouped
from sai_bench.metrics.june.label_maps import LabelMaps
from sai_bench.metrics.june.matching import assign, label_correlation, soft_iou
from sai_bench.metrics.june.rendering import EMPTY_MAP, JuneMap, draws_nothing, footprint, render
from sai_bench.metrics.june.summary import NO_LABEL, summarise, warnings_about
from sai_bench.predictions import of_known_classes
from sai_bench.segmentation import points_of
from sai_bench.sphere import CLASSES

if TYPE_CHECKING:
    from sai_bench.predictions import Annotation
    from sai_bench_builtin.configs.metric import JuneConfig

_Draw = Callable[[Sequence], JuneMap]


class _RecordingScores:
    """What is known about one recording so far; becomes the arrays of `score_recording`."""

    def __init__(self):
        self.labels = np.zeros(CLASSES, dtype=np.int64)
        self.empty_maps = np.zeros(2, dtype=np.int64)  # labels, predictions
        self.unscored = np.zeros(2, dtype=np.int64)  # labels, predictions
        self.undefined = np.zeros(2, dtype=np.int64)  # labels, predictions
        self.labels_with_zeros = 0
        self.detections: list[tuple[int, float, float, float]] = []  # class, score, IoU, r

    def arrays(self) -> dict[str, np.ndarray]:
        category, score, iou, correlation = (
            zip(*self.detections, strict=True) if self.detections else [()] * 4
        )
        return {
            "labels_per_class": self.labels,
            "detection_class": np.array(category, dtype=np.int64),
            "detection_score": np.array(score, dtype=float),
            "detection_iou": np.array(iou, dtype=np.float32),
            "detection_correlation": np.array(correlation, dtype=float),
            "empty_maps": self.empty_maps,
            "unscored_classes": self.unscored,
            "undefined_intensities": self.undefined,
            "labels_with_zeros": np.array(self.labels_with_zeros, dtype=np.int64),
        }


class June(Metric):
    """The metric `dcase2026_june`."""

    headline = ("macro_mAP", "macro_AP50", "macro_pearson_r")
    prediction_suffixes = ("",)
    label_suffixes = ("_std",)
    prediction_folders = ("",)
    label_folders = ("", "*")
    file_lists = ("_matched", "_skipped")

    def __init__(self, config: JuneConfig):
        """Prepare to score; there is nothing to set."""
        self._draw_label: _Draw = render

    def read(self, path: Path, role: AnnotationRole) -> list[Annotation]:
        """Return the annotations of a file, those of unknown classes included.

        Raises:
            AnnotationError: the evaluator would refuse the file, or crash on it.
        """
        from sai_bench.metrics.june.reading import read_june_annotations

        return read_june_annotations(path, role)

    def score_recording(
        self, predictions: Sequence[Annotation], labels: Sequence[Annotation]
    ) -> dict[str, np.ndarray]:
        """Match one recording's predictions to its labels in each frame and class.

        Returns:
            - `labels_per_class` [13]: labels, also those whose map is empty.
            - `detection_class`, `detection_score`, `detection_iou`, `detection_correlation` [n]: every
              prediction of a scored class, in the evaluator's order. The IoU is float32, -1 if no label was
              assigned; the correlation NaN if it is not defined.
            - `empty_maps` [2]: labels and predictions of scored classes that draw nothing.
            - `unscored_classes` [2]: labels and predictions of other classes.
            - `undefined_intensities` [2]: labels and predictions of scored classes with an intensity that is
              NaN, whether they draw something or not.
            - `labels_with_zeros`: labels of scored classes with an intensity of exactly 0.
        """
        scores = _RecordingScores()
        scored_labels, scored_predictions = of_known_classes(labels), of_known_classes(predictions)
        scores.unscored[:] = len(labels) - len(scored_labels), len(predictions) - len(scored_predictions)
        scores.undefined[:] = [_count_with(side, np.isnan) for side in (scored_labels, scored_predictions)]
        scores.labels_with_zeros = _count_with(scored_labels, lambda intensities: intensities == 0)
        labels_of, predictions_of = (
            grouped(side, frame_and_class_of) for side in (scored_labels, scored_predictions)
        )
        # Tied detections rank in the order in which a set of the keys is walked through.
        for key in set(predictions_of.keys()) | set(labels_of.keys()):
            sides = predictions_of.get(key, []), labels_of.get(key, [])
            _score_group(scores, key[1], *sides, self._draw_label)
        return scores.arrays()

    def score_with_memory(
        self,
        predictions: Sequence[Annotation],
        labels: Sequence[Annotation],
        memory: Mapping[str, np.ndarray],
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray] | None]:
        """Score a recording; maps of labels that took long to draw are kept.

        Only labels that a prediction may overlap are drawn, so that the first scoring takes no longer; the
        next one adds those that its predictions meet besides.
        """
        label_maps = LabelMaps(memory)
        self._draw_label = label_maps.map_of
        try:
            part = self.score_recording(predictions, labels)
        finally:
            self._draw_label = render
        return part, label_maps.memory()

    def combine(self, recordings: Sequence[Mapping[str, np.ndarray]]) -> dict[str, object]:
        """Pool all recordings.

        Returns:
            - Official, None if not defined: `macro_mAP`, `macro_AP50`, `macro_AP75`, `macro_AP_per_thr`,
              `macro_pearson_r`, the same with `micro_`, `micro_pearson_n`, `iou_thresholds` and `per_class`
              (by the evaluator's class names).
            - `ties`: how many detections share their score with another (of their class, and of any class),
              and the AP numbers if ties fall as NumPy sorts (`official`), in `stable` order, and in the
              `best` and `worst` order.
            - `numpy`: its `version`, and the AP numbers by the rounding of NumPy 1 (`numpy_1`).
            - `counts`: labels, predictions, pairs with a Pearson r per label, empty maps, unscored classes.
        """
        return summarise(_pooled(recordings))

    def warnings(self, recordings: Sequence[Mapping[str, np.ndarray]]) -> list[str]:
        """Return what makes the numbers of these recordings doubtful."""
        return warnings_about(_pooled(recordings))

    def overlap(self, predictions: Sequence[Annotation], labels: Sequence[Annotation]) -> np.ndarray:
        """Return the soft IoU [P, G] of the maps."""
        sides = [[render(a.segmentation) for a in side] for side in (predictions, labels)]
        iou = [[soft_iou(prediction, label) for label in sides[1]] for prediction in sides[0]]
        return np.array(iou, dtype=float).reshape(len(predictions), len(labels))

    def combine_weighted(
        self, recordings: Sequence[Mapping[str, np.ndarray]], weights: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return the headline for many weightings of the recordings; tied scores rank in `stable` order."""
        # Not needed for scoring, which should start fast.
        from sai_bench_builtin.metrics.june_resampling import resampled_headline

        return resampled_headline(recordings, weights)


def _score_group(
    scores: _RecordingScores,
    category: int,
    predictions: list[Annotation],
    labels: list[Annotation],
    draw_label: _Draw,
) -> None:
    """Score the predictions and labels of one class in one frame."""
    scores.labels[category] += len(labels)
    label_maps, prediction_maps = _maps_that_meet(labels, predictions, draw_label)
    scores.empty_maps += (_count_empty(labels, label_maps), _count_empty(predictions, prediction_maps))
    pairs = assign(*([map_ or EMPTY_MAP for map_ in maps] for maps in (prediction_maps, label_maps)))
    for index, (label, iou) in sorted(pairs.items()):
        r = math.nan
        if label_maps[label] and prediction_maps[index]:
            r = label_correlation(label_maps[label], prediction_maps[index])
        scores.detections.append((category, _score(predictions[index]), iou, r))
    for index, prediction in enumerate(predictions):
        if index not in pairs:
            scores.detections.append((category, _score(prediction), NO_LABEL, math.nan))


def _maps_that_meet(
    labels: Sequence[Annotation], predictions: Sequence[Annotation], draw_label: _Draw
) -> tuple[list[JuneMap | None], list[JuneMap | None]]:
    """Return the maps of labels and of predictions; those that can overlap no other stay undrawn (None)."""
    if not (labels and predictions):
        return [None] * len(labels), [None] * len(predictions)
    of_labels, of_predictions = ([footprint(a.segmentation) for a in side] for side in (labels, predictions))
    return (
        [
            draw_label(label.segmentation) if any(map(own.meets, of_predictions)) else None
            for label, own in zip(labels, of_labels, strict=True)
        ],
        [
            render(prediction.segmentation) if any(map(own.meets, of_labels)) else None
            for prediction, own in zip(predictions, of_predictions, strict=True)
        ],
    )


def _count_with(annotations: Iterable[Annotation], odd: Callable[[np.ndarray], np.ndarray]) -> int:
    """Return how many annotations have an intensity that is odd; most often none has."""
    intensities = [points_of(a.segmentation)[:, 2] for a in annotations]
    if not intensities or not odd(np.concatenate(intensities)).any():
        return 0
    return sum(bool(odd(own).any()) for own in intensities)


def _count_empty(annotations: Sequence[Annotation], maps: Sequence[JuneMap | None]) -> int:
    return sum(
        map_.is_empty if map_ else draws_nothing(a.segmentation)
        for a, map_ in zip(annotations, maps, strict=True)
    )


def _score(prediction: Annotation) -> float:
    return 0.0 if prediction.score is None else prediction.score


def _pooled(recordings: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return the arrays of all recordings, detections one after the other and counts added up."""
    parts = recordings or [_RecordingScores().arrays()]
    return {
        name: np.concatenate([part[name] for part in parts])
        if name.startswith("detection_")
        else np.sum([part[name] for part in parts], axis=0)
        for name in _RecordingScores().arrays()
    }
