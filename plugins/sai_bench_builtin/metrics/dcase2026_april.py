"""The evaluator of DCASE 2026 Task 3 of 2026-04-02, which gave the report's mAP, AP50 and Pearson r.

Its behaviour is kept down to its artefacts (`sai_bench.metrics.april.rendering`) and edge cases: without any
valid prediction mAP and AP50 are not defined, with predictions but no valid label they are -1. The evaluator
calls its figures macro averages, yet mAP leaves out classes without labels, and Pearson and distance are
means over pairs; the `macro*` numbers are true macro averages beside the official ones.

The evaluator looks at a recording only if it has a prediction file (an empty one counts). To get its numbers,
leave recordings without prediction file out; to count their labels as misses, pass no predictions for them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sai_bench.interfaces import AnnotationRole, Metric
from sai_bench.metrics.april.rendering import AprilRenderer, PointSets, april_renderer
from sai_bench.metrics.average_precision import precision_at_recall
from sai_bench.predictions import of_known_classes, read_annotations
from sai_bench.segmentation import points_of
from sai_bench.sphere import CLASSES
from sai_bench_builtin.metrics.april_recording import score_annotations

if TYPE_CHECKING:
    from sai_bench.predictions import Annotation
    from sai_bench_builtin.configs.metric import AprilConfig


class April(Metric):
    """The metric `dcase2026_april`."""

    headline = ("map", "ap50", "pearson")
    prediction_suffixes = ("_inference",)
    label_suffixes = ("_std", "")
    prediction_folders = ("", "inference_outputs")

    def __init__(self, config: AprilConfig):
        """Prepare to score with the kernel width and threshold of `config`."""
        self._config = config

    @property
    def _renderer(self) -> AprilRenderer:
        return april_renderer(self._config.sigma_deg)  # the calling thread's own

    def read(self, path: Path, role: AnnotationRole) -> list[Annotation]:
        """Return the annotations of a file, those of unknown classes included."""
        return read_annotations(path, unknown_classes=True)

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
            - `empty_maps` [2]: labels and predictions of known classes that are not valid.
            - `unknown_classes` [2]: labels and predictions of other classes, which are left out.

        Raises:
            AnnotationError: a point's x or y is not finite.
        """
        known = [of_known_classes(side) for side in (labels, predictions)]
        part = score_annotations(known[1], known[0], self._renderer, self._config.energy_threshold)
        valid = [part["labels_per_class"].sum(), part["predictions_per_class"].sum()]
        return {
            **part,
            "empty_maps": np.array([len(side) for side in known]) - valid,
            "unknown_classes": np.array([len(labels) - len(known[0]), len(predictions) - len(known[1])]),
        }

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
            recordings = [self.score_recording([], [])]
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

    def warnings(self, recordings: Sequence[Mapping[str, np.ndarray]]) -> list[str]:
        """Return what the evaluator leaves out without a word."""
        found = []
        for side, name in enumerate(("labels", "predictions")):
            if empty := sum(int(recording["empty_maps"][side]) for recording in recordings):
                found.append(f"{name} that draw nothing, left out: {empty}.")
            if unknown := sum(int(recording["unknown_classes"][side]) for recording in recordings):
                found.append(f"{name} with a class outside 0 ... 12, left out: {unknown}.")
        if unordered := sum(int(np.isnan(r["detection_score"]).sum()) for r in recordings):
            found.append(
                f"predictions with NaN as score: {unordered}. The evaluator ranks in no defined order then; "
                "here they come last."
            )
        if undefined := sum(int((~np.isfinite(r["distance_error_percent"])).sum()) for r in recordings):
            found.append(
                f"matched pairs with a distance that is NaN or infinite: {undefined}. One is enough to leave "
                "distance_mape without a value."
            )
        return found

    def overlap(self, predictions: Sequence[Annotation], labels: Sequence[Annotation]) -> np.ndarray:
        """Return the IoU [P, G] of the masks, 0 for annotations that are not valid."""
        sets = PointSets.of([points_of(a.segmentation) for a in (*predictions, *labels)])
        pairs = np.indices((len(predictions), len(labels))).reshape(2, -1).T
        pairs = pairs + np.array([0, len(predictions)])  # labels come after the predictions
        compared = self._renderer.compare(
            sets, self._config.energy_threshold, pairs, correlate=np.zeros(len(pairs), dtype=bool)
        )
        return compared.iou.reshape(len(predictions), len(labels))

    def combine_weighted(
        self, recordings: Sequence[Mapping[str, np.ndarray]], weights: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return the headline for many weightings of the recordings (as `resampled_headline` does)."""
        # Not needed for scoring, which should start fast.
        from sai_bench_builtin.metrics.april_resampling import resampled_headline

        return resampled_headline(recordings, weights)


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
