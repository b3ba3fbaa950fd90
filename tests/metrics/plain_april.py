"""The April metric written down as plainly as possible: oracle for the package's own, and its rival in time.

Slow on purpose: one full window of sines and exponentials per point, full-size masks, pycocotools for average
precision, SciPy for dilation and assignment. Shares no code with the package.
"""

import contextlib
import io
import json
import math

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy.ndimage import binary_dilation
from scipy.optimize import linear_sum_assignment

ELEVATION = np.radians(90 - 180 * np.arange(180) / 179).astype(np.float32)
AZIMUTH = np.radians(np.arange(360) - 180.0).astype(np.float32)


def render(segmentation, sigma_deg=6.0):
    """Return the energy map [180, 360] float32 of one annotation's sub-lists of [x, y, energy]."""
    energy_map = np.zeros((180, 360), np.float32)
    for sub_list in segmentation:
        for x, y, energy, *_ in sub_list:
            add_blob(energy_map, x, y, energy, sigma_deg)
    return energy_map


def add_blob(energy_map, x, y, energy, sigma_deg):
    azimuth, elevation = math.radians(x / 360 * 360 - 180), math.radians(90 - 180 * y / 179)
    cut = 4 * sigma_deg
    top = min(90.0, math.degrees(elevation) + cut)
    bottom = max(-90.0, math.degrees(elevation) - cut)
    rows = np.arange(math.floor((90 - top) / 180 * 179), math.ceil((90 - bottom) / 180 * 179) + 1)
    rows = rows[(rows >= 0) & (rows < 180)]
    half = min(180.0, cut / max(math.cos(elevation), 0.087))
    low = math.floor((math.degrees(azimuth) - half + 180) / 360 * 360)
    high = math.ceil((math.degrees(azimuth) + half + 180) / 360 * 360) + 1
    inside = low >= 0 and high <= 360
    ranges = [(low, high)] if inside else [(0, high % 360 or 360), (low % 360, 360)]
    sigma = math.radians(sigma_deg)
    for first, last in ranges:
        el, az = np.meshgrid(ELEVATION[rows], AZIMUTH[first:last], indexing="ij")
        haversine = np.sin((el - elevation) / 2) ** 2
        haversine += math.cos(elevation) * np.cos(el) * np.sin((az - azimuth) / 2) ** 2
        energy_map[np.ix_(rows, np.arange(first, last))] += energy * np.exp(-4 * haversine / (2 * sigma**2))


def load(path):
    """Return the annotations of a file as dicts."""
    return json.loads(path.read_text()).get("annotations", [])


def by_frame(annotations):
    """Return {frame: [annotation, ...]}, unknown classes dropped."""
    frames = {}
    for annotation in annotations:
        if 0 <= int(annotation.get("category_id", -1)) < 13:
            frames.setdefault(int(annotation["metadata_frame_index"]), []).append(annotation)
    return frames


def regions(annotations, sigma_deg, threshold):
    """Return the valid annotations as dicts with map, mask and what the scores need."""
    valid = []
    for annotation in annotations:
        energy_map = render(annotation.get("segmentation", []), sigma_deg)
        peak = energy_map.max()
        mask = energy_map >= np.float32(threshold) * peak
        if peak < 1e-9 or not mask.any():
            continue
        best, location = 0.0, (0.0, 0.0)
        for sub_list in annotation["segmentation"]:
            for x, y, energy, *_ in sub_list:
                if energy > best:
                    best, location = energy, (x, y)
        valid.append(
            {
                "map": energy_map,
                "mask": mask,
                "category": int(annotation["category_id"]),
                "score": float(annotation.get("score", 0.0)),
                "distance": float(annotation.get("distance", 0.0)),
                "azimuth": np.float32(math.radians(location[0] - 180)),
                "elevation": np.float32(math.radians(90 - 180 * location[1] / 179)),
            }
        )
    return valid


def angle_deg(a, b):
    haversine = np.sin((a["elevation"] - b["elevation"]) / 2) ** 2 + (
        np.cos(a["elevation"]) * np.cos(b["elevation"]) * np.sin((a["azimuth"] - b["azimuth"]) / 2) ** 2
    )
    return np.degrees(2 * np.arcsin(np.sqrt(np.clip(haversine, 0, 1))))


def pairs(labels, predictions):
    if not labels or not predictions:
        return []
    cost = np.full((len(labels), len(predictions)), 1000.0)
    for i, label in enumerate(labels):
        for j, prediction in enumerate(predictions):
            angle = angle_deg(label, prediction)
            if label["category"] == prediction["category"] and angle <= 20:
                cost[i, j] = angle
    chosen = zip(*linear_sum_assignment(cost), strict=True)
    return [(labels[i], predictions[j]) for i, j in chosen if cost[i, j] <= 20]


def pearson(label, prediction):
    near = binary_dilation(label["mask"] | prediction["mask"], iterations=2)
    a, b = label["map"][near].astype(float), prediction["map"][near].astype(float)
    if np.ptp(a) <= 1e-7 or np.ptp(b) <= 1e-7:
        return math.nan
    return np.clip(np.corrcoef(a, b)[0, 1], -1, 1)


def coco_precision(images):
    """Return pycocotools' precision [10 IoUs, 101 recalls, 13 classes] (-1: class without labels).

    `images` is [(labels, predictions), ...], each a list of dicts with mask, category and maybe score.
    """
    labels, detections = [], []
    for image, (image_labels, image_predictions) in enumerate(images, start=1):
        for source, target in ((image_labels, labels), (image_predictions, detections)):
            for region in source:
                rle = coco_mask.encode(np.asfortranarray(region["mask"].astype(np.uint8)))
                target.append(
                    {
                        "id": len(target) + 1,
                        "image_id": image,
                        "category_id": region["category"] + 1,
                        "segmentation": rle,
                        "area": int(region["mask"].sum()),
                        "bbox": [0, 0, 1, 1],
                        "iscrowd": 0,
                        "score": region.get("score"),
                    }
                )
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": i + 1, "height": 180, "width": 360} for i in range(len(images))],
            "categories": [{"id": k + 1} for k in range(13)],
            "annotations": labels,
        }
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(detections), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][:, :, :, 0, 2]


def average_precision(images):
    """Return (map, ap50, per-class list with NaN)."""
    if not any(predictions for _, predictions in images):
        return math.nan, math.nan, [math.nan] * 13
    precision = coco_precision(images)
    per_class = [math.nan if (precision[:, :, k] < 0).all() else precision[:, :, k].mean() for k in range(13)]
    if (precision < 0).all():
        return -1.0, -1.0, per_class
    return precision[precision > -1].mean(), precision[0][precision[0] > -1].mean(), per_class


def evaluate(recordings, sigma_deg=6.0, threshold=0.10):
    """Return the metric's numbers for [(labels, predictions), ...] of recordings, annotations as dicts."""
    images, correlations, distances = [], [], []
    for recording in recordings:
        labels, predictions = map(by_frame, recording)
        for frame in sorted(labels.keys() | predictions.keys()):
            image = tuple(
                regions(side.get(frame, []), sigma_deg, threshold) for side in (labels, predictions)
            )
            images.append(image)
            for label, prediction in pairs(*image):
                if label["distance"] > 0.001:
                    error = abs(label["distance"] - prediction["distance"]) / label["distance"]
                    distances.append(100 * error)
                correlations.append(pearson(label, prediction))
    correlations = [value for value in correlations if not math.isnan(value)]
    mean_ap, ap50, per_class = average_precision(images)
    return {
        "map": mean_ap,
        "ap50": ap50,
        "pearson": np.mean(correlations) if correlations else math.nan,
        "distance_mape": np.mean(distances) if distances else math.nan,
        "per_class_ap": {str(k): value for k, value in enumerate(per_class)},
        "counts": {
            "labels": sum(len(labels) for labels, _ in images),
            "predictions": sum(len(predictions) for _, predictions in images),
            "frames": len(images),
            "pearson_pairs": len(correlations),
            "distance_pairs": len(distances),
        },
    }
