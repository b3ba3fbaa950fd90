"""The June metric written down as plainly as possible: oracle for the package's own, and its rival in time.

Every set of points goes through `scipy.interpolate.griddata` on the whole canvas, maps are full-size arrays,
average precision is a loop. Shares no code with the package.
"""

import json
import math

import numpy as np
from scipy.interpolate import griddata
from scipy.optimize import linear_sum_assignment

THRESHOLDS = (0.25, 0.50, 0.75)
COLUMN_GRID, ROW_GRID = np.meshgrid(np.arange(200), np.arange(50))


def load(path):
    """Return the annotations of a file as dicts, checked."""
    annotations = json.loads(path.read_text()).get("annotations", [])
    check(annotations)
    return annotations


def check(annotations):
    for annotation in annotations:
        for polygon in annotation.get("segmentation", []):
            if not polygon:
                continue
            points = np.array(polygon, dtype=float)
            if points.ndim != 2 or points.shape[1] != 3:
                raise ValueError("not n x 3")
            if (points[:, 0] < 0).any() or (points[:, 0] > 360).any():
                raise ValueError("x out of range")
            if (points[:, 1] < 0).any() or (points[:, 1] > 180).any():
                raise ValueError("y out of range")


def render_polygon(polygon):
    points = np.array(polygon, dtype=np.float32)
    x = points[:, 0] * np.float32(100 / 360)
    y = points[:, 1] * np.float32(50 / 180)
    ordered = np.sort(x)
    if len(ordered) > 1:
        gaps = np.diff(ordered)
        widest = int(gaps.argmax())
        if gaps[widest] > 50:
            x[x <= ordered[widest]] += np.float32(100)
    canvas = None
    if len(points) >= 3:
        try:
            canvas = griddata(
                np.stack([x, y], axis=1), points[:, 2], (COLUMN_GRID, ROW_GRID), method="linear", fill_value=0
            )
            canvas = np.maximum(np.nan_to_num(canvas, nan=0.0), 0)
        except Exception:  # collinear points
            canvas = None
    if canvas is None:
        canvas = np.zeros((50, 200), np.float32)
        for column, row, intensity in zip(x, y, points[:, 2], strict=True):
            column = min(max(round(float(column)), 0), 199)
            row = min(max(round(float(row)), 0), 49)
            if intensity > canvas[row, column]:
                canvas[row, column] = intensity
    return np.maximum(canvas[:, :100], canvas[:, 100:])


def render(segmentation):
    """Return the map [50, 100] of one annotation."""
    energy = np.zeros((50, 100), np.float32)
    for polygon in segmentation:
        if polygon:
            energy = np.maximum(energy, render_polygon(polygon))
    peak = energy.max()
    return energy / peak if peak > 1e-8 else energy


def soft_iou(a, b):
    union = np.maximum(a, b).sum()
    return 0.0 if union < 1e-8 else np.minimum(a, b).sum() / union


def pearson(label, prediction):
    support = label > 0
    a, b = label[support].astype(float), prediction[support].astype(float)
    if len(a) < 2 or a.std() < 1e-12 or b.std() < 1e-12:
        return math.nan
    return ((a - a.mean()) * (b - b.mean())).mean() / (a.std() * b.std())


def by_frame_and_class(annotations):
    groups = {}
    for annotation in annotations:
        category = int(annotation["category_id"])
        frame = int(annotation["metadata_frame_index"])
        if 0 <= category < 13:
            groups.setdefault((frame, category), []).append(annotation)
    return groups


def score_recording(labels, predictions):
    """Return ([(class, score, iou or None, pearson), ...], labels per class [13])."""
    labels, predictions = by_frame_and_class(labels), by_frame_and_class(predictions)
    detections, label_counts = [], [0] * 13
    for key in set(predictions.keys()) | set(labels.keys()):
        maps = [
            [render(a.get("segmentation", [])) for a in side.get(key, [])] for side in (predictions, labels)
        ]
        scores = [float(p.get("score", 0.0)) for p in predictions.get(key, [])]
        label_counts[key[1]] += len(maps[1])
        iou = np.zeros((len(maps[0]), len(maps[1])), np.float32)
        for i, prediction in enumerate(maps[0]):
            for j, label in enumerate(maps[1]):
                iou[i, j] = soft_iou(prediction, label)
        pairs = dict(zip(*linear_sum_assignment(iou, maximize=True), strict=True)) if iou.size else {}
        for i, j in pairs.items():
            detections.append((key[1], scores[i], iou[i, j], pearson(maps[1][j], maps[0][i])))
        for i in range(len(scores)):
            if i not in pairs:
                detections.append((key[1], scores[i], None, math.nan))
    return detections, label_counts


def average_precision(detections, labels, threshold):
    if labels == 0:
        return math.nan
    if not detections:
        return 0.0
    order = np.argsort(-np.array([score for _, score, _, _ in detections]))
    hits = [detections[i][2] is not None and detections[i][2] >= threshold for i in order]
    true = np.cumsum(np.array(hits, np.float32), dtype=np.float32)
    false = np.cumsum(1 - np.array(hits, np.float32), dtype=np.float32)
    recall = true / np.float32(labels)
    precision = true / (true + false + np.float32(1e-9))
    total = np.float32(0)
    for level in np.linspace(0, 1, 101):
        reached = recall >= level
        total += precision[reached].max() if reached.any() else np.float32(0)
    return float(total / np.float32(101))


def mean(values):
    values = [value for value in values if not math.isnan(value)]
    return float(np.mean(values)) if values else math.nan


def evaluate(recordings):
    """Return the metric's numbers for [(labels, predictions), ...] of recordings, annotations as dicts."""
    detections, label_counts = [], np.zeros(13, int)
    for recording in recordings:
        found, counts = score_recording(*recording)
        detections += found
        label_counts += counts
    per_class = []
    for category in range(13):
        own = [d for d in detections if d[0] == category]
        precisions = [average_precision(own, label_counts[category], t) for t in THRESHOLDS]
        pearsons = [d[3] for d in own if not math.isnan(d[3])]
        per_class.append(
            {
                "n_gt": int(label_counts[category]),
                "n_det": len(own),
                "AP_per_thr": precisions,
                "mAP": mean(precisions),
                "pearson_r": mean(pearsons),
                "pearson_n": len(pearsons),
            }
        )
    present = [c for c in per_class if c["n_gt"]]
    macro = [mean([c["AP_per_thr"][t] for c in present]) for t in range(3)]
    micro = [average_precision(detections, label_counts.sum(), t) for t in THRESHOLDS]
    return {
        "macro_mAP": mean([c["mAP"] for c in present]),
        "macro_AP_per_thr": macro,
        "macro_pearson_r": mean([c["pearson_r"] for c in present]),
        "micro_mAP": mean(micro),
        "micro_AP_per_thr": micro,
        "micro_pearson_r": mean([d[3] for d in detections]),
        "micro_pearson_n": sum(c["pearson_n"] for c in per_class),
        "per_class": per_class,
    }
