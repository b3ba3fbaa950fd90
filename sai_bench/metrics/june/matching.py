"""How the June evaluator compares maps: soft IoU, assignment, Pearson correlation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from sai_bench.compilation import compiled
from sai_bench.metrics.june.rendering import JuneMap

SMALLEST_UNION = 1e-8
SMALLEST_DEVIATION = 1e-12


def soft_iou(a: JuneMap, b: JuneMap) -> float:
    """Return sum(min) / sum(max) of two maps over all pixels, 0 if both are (nearly) empty."""
    if a.energy.dtype == b.energy.dtype == np.float32:  # then the evaluator's sums are float32 too
        common, union = np.minimum(a.energy, b.energy).sum(), np.maximum(a.energy, b.energy).sum()
    else:
        first, last = min(a.first_row, b.first_row), max(a.last_row, b.last_row)
        common, union = _sums(*(m.energy[first:last].astype(float, copy=False) for m in (a, b)))
    return 0.0 if union < SMALLEST_UNION else common / union


def assign(predictions: Sequence[JuneMap], labels: Sequence[JuneMap]) -> dict[int, tuple[int, np.float32]]:
    """Pair the predictions of one class in one frame with its labels, maximising the sum of soft IoU.

    As many pairs as possible are made, also of maps that do not overlap.

    Returns:
        {prediction: (label, IoU in float32)}.
    """
    iou = np.array([[soft_iou(p, g) for g in labels] for p in predictions], dtype=np.float32)
    if not iou.size:
        return {}
    if iou.size == 1:
        return {0: (0, iou[0, 0])}
    rows, columns = linear_sum_assignment(iou, maximize=True)
    return {int(p): (int(g), iou[p, g]) for p, g in zip(rows, columns, strict=True)}


def label_correlation(label: JuneMap, prediction: JuneMap) -> float:
    """Return Pearson's r over the pixels of the label, NaN if undefined.

    What the prediction has elsewhere is not seen.
    """
    inside = slice(label.first_row, label.last_row)
    label_energy = label.energy[inside]
    support = label_energy > 0
    a = label_energy[support].astype(float)
    b = prediction.energy[inside][support].astype(float)
    if len(a) < 2:
        return math.nan
    a -= a.mean()
    b -= b.mean()
    deviation_a, deviation_b = math.sqrt(np.dot(a, a) / len(a)), math.sqrt(np.dot(b, b) / len(b))
    if deviation_a < SMALLEST_DEVIATION or deviation_b < SMALLEST_DEVIATION:
        return math.nan
    return float(np.dot(a, b) / len(a) / (deviation_a * deviation_b))


@compiled("UniTuple(float64, 2)(float64[:, ::1], float64[:, ::1])")
def _sums(a, b):
    """Return the sums of the pixel-wise minimum and maximum."""
    common, union = 0.0, 0.0
    for row in range(a.shape[0]):
        for column in range(a.shape[1]):
            p, q = a[row, column], b[row, column]
            common += min(p, q)
            union += max(p, q)
    return common, union
