"""From the matched detections of all recordings to the numbers of the June evaluator, and their caveats.

Everywhere `pooled` are the arrays of `sai_bench_builtin.metrics.dcase2026_june.June.score_recording`, of all
recordings together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from sai_bench.metrics.average_precision import average_precision
from sai_bench.metrics.june.ranking import TIE_ORDERS, TieOrder, ranking, tied
from sai_bench.sphere import CLASS_NAMES, CLASSES

IOU_THRESHOLDS = (0.25, 0.50, 0.75)
NO_LABEL = -1.0
"""The IoU of a detection that no label was assigned to."""

_NAMES = tuple(name.replace("Walk/footsteps", "Walk / footsteps") for name in CLASS_NAMES)
"""The class names as the evaluator spells them."""

_FEW_PAIRS = 0.5


def summarise(pooled: Mapping[str, np.ndarray]) -> dict[str, object]:
    """Return all numbers, JSON-ready."""
    labels = pooled["labels_per_class"]
    by_order = {order: _Precisions(pooled, order) for order in TIE_ORDERS}
    official = by_order["official"]
    per_class = {_NAMES[k]: _class_numbers(pooled, k, official.per_class[k]) for k in range(CLASSES)}
    correlations = _defined(pooled["detection_correlation"])
    macro_r = [c["pearson_r"] for c in per_class.values() if c["n_gt"] and c["pearson_r"] is not None]
    score = pooled["detection_score"]
    return {
        **official.numbers(),
        "macro_pearson_r": _mean(macro_r),
        "micro_pearson_r": _mean(correlations),
        "micro_pearson_n": len(correlations),
        "iou_thresholds": list(IOU_THRESHOLDS),
        "per_class": per_class,
        "ties": {
            "within_classes": sum(tied(score[own]) for own in _own_detections(pooled)),
            "over_all_classes": tied(score),
            **{order: precisions.numbers() for order, precisions in by_order.items()},
        },
        "numpy": {
            "version": np.__version__,
            "numpy_1": _Precisions(pooled, "official", numpy_1=True).numbers(),
        },
        "counts": {
            "labels": int(labels.sum()),
            "predictions": len(score),
            "pearson_pairs_per_label": len(correlations) / int(labels.sum()) if labels.any() else None,
            "empty_label_maps": int(pooled["empty_maps"][0]),
            "empty_prediction_maps": int(pooled["empty_maps"][1]),
            "unscored_labels": int(pooled["unscored_classes"][0]),
            "unscored_predictions": int(pooled["unscored_classes"][1]),
            "undefined_labels": int(pooled["undefined_intensities"][0]),
            "undefined_predictions": int(pooled["undefined_intensities"][1]),
            "labels_with_zeros": int(pooled["labels_with_zeros"]),
        },
    }


def warnings_about(pooled: Mapping[str, np.ndarray]) -> list[str]:
    """Return what makes the numbers doubtful, as sentences."""
    numbers = summarise(pooled)
    counts, ties = numbers["counts"], numbers["ties"]
    found = []
    if spread := _spread(ties):
        found.append(
            f"{ties['over_all_classes']} detections share their score with another ({ties['within_classes']} "
            f"with one of their class): numbers depend on the processor. By order of the tied, {spread}. "
            "Break ties in the submission."
        )
    for side, many in (("label", "misses"), ("prediction", "false alarms")):
        if counts[f"undefined_{side}s"]:
            found.append(
                f"{side}s with an intensity that is NaN, which blanks the triangles or points concerned: "
                f"{counts[f'undefined_{side}s']}."
            )
        if counts[f"empty_{side}_maps"]:
            found.append(
                f"{counts[f'empty_{side}_maps']} of {counts[f'{side}s']} {side}s draw nothing, because no "
                "position of the evaluator's 3.6 degree grid lies within their points or no intensity is "
                f"above 0: they are {many} whatever they meet."
            )
        if counts[f"unscored_{side}s"]:
            found.append(f"{side}s with a class outside 0 ... 12, left out: {counts[f'unscored_{side}s']}.")
    if unordered := int(np.isnan(pooled["detection_score"]).sum()):
        found.append(f"predictions with NaN as score, which rank last: {unordered}.")
    if counts["labels_with_zeros"]:
        found.append(
            f"labels with points of intensity 0: {counts['labels_with_zeros']}. Rounding decides which "
            "positions beside them Pearson's r looks at."
        )
    share = counts["pearson_pairs_per_label"]
    if share is not None and share < _FEW_PAIRS:
        found.append(
            f"Pearson's r stands on {numbers['micro_pearson_n']} pairs for {counts['labels']} labels: misses "
            "and false alarms do not lower it."
        )
    return found


def _spread(ties: Mapping[str, object]) -> str:
    """Return which numbers the order of tied detections changes, and how far; nothing if it changes none."""
    found = []
    for name, value in ties["best"].items():
        if isinstance(value, float):
            best, worst = f"{value:.4f}", f"{ties['worst'][name]:.4f}"
            found += [f"{name} is {worst} to {best}"] if best != worst else []
    return ", ".join(found)


class _Precisions:
    """Average precision of each class and of all detections at once, at each threshold; NaN: no labels."""

    def __init__(self, pooled: Mapping[str, np.ndarray], order: TieOrder, numpy_1: bool = False):
        score, iou, labels = pooled["detection_score"], pooled["detection_iou"], pooled["labels_per_class"]
        self.per_class = [
            _at_thresholds(score[own], iou[own], labels[k], order, numpy_1)
            for k, own in enumerate(_own_detections(pooled))
        ]
        self._pooled = _at_thresholds(score, iou, labels.sum(), order, numpy_1)

    def numbers(self) -> dict[str, object]:
        """Return the macro and micro averages."""
        present = [own for own in self.per_class if not math.isnan(own[0])]
        macro = [_mean(own[t] for own in present) for t in range(len(IOU_THRESHOLDS))]
        micro = [_number(value) for value in self._pooled]
        return {
            **_averages("macro", _mean(_mean(own) for own in present), macro),
            **_averages("micro", _mean(self._pooled), micro),
        }


def _averages(kind: str, mean: float | None, per_threshold: list[float | None]) -> dict[str, object]:
    return {
        f"{kind}_mAP": mean,
        f"{kind}_AP50": per_threshold[IOU_THRESHOLDS.index(0.50)],
        f"{kind}_AP75": per_threshold[IOU_THRESHOLDS.index(0.75)],
        f"{kind}_AP_per_thr": per_threshold,
    }


def _at_thresholds(
    scores: np.ndarray, iou: np.ndarray, labels: int, order: TieOrder, numpy_1: bool
) -> list[float]:
    if not labels:
        return [math.nan] * len(IOU_THRESHOLDS)
    ranked = iou[ranking(scores, iou, order)]
    return [average_precision(ranked >= threshold, labels, numpy_1) for threshold in IOU_THRESHOLDS]


def _class_numbers(
    pooled: Mapping[str, np.ndarray], category: int, precisions: list[float]
) -> dict[str, object]:
    own = pooled["detection_class"] == category
    correlations = _defined(pooled["detection_correlation"][own])
    return {
        "n_gt": int(pooled["labels_per_class"][category]),
        "n_det": int(own.sum()),
        "AP50": _number(precisions[IOU_THRESHOLDS.index(0.50)]),
        "AP75": _number(precisions[IOU_THRESHOLDS.index(0.75)]),
        "mAP": _mean(precisions),
        "AP_per_thr": [_number(value) for value in precisions],
        "pearson_r": _mean(correlations),
        "pearson_n": len(correlations),
    }


def _own_detections(pooled: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return for each class which detections are of it, [n] bool."""
    return [pooled["detection_class"] == category for category in range(CLASSES)]


def _defined(values: np.ndarray) -> np.ndarray:
    return values[~np.isnan(values)]


def _mean(values: Iterable[float]) -> float | None:
    """Return the mean, None if there is nothing to average or it is not defined."""
    values = np.array(list(values), dtype=float)
    return _number(float(values.mean())) if len(values) else None


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
