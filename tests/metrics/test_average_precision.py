"""Average precision against pycocotools, the reference implementation of the COCO metrics."""

import numpy as np
import pytest

from sai_bench.metrics.april.coco_matching import IOU_THRESHOLDS, MAX_DETECTIONS, match_pairs
from sai_bench.metrics.average_precision import precision_at_recall

HEIGHT, WIDTH = 12, 16


def random_images(rng, images, classes, most, score_levels):
    """Images of (labels, detections) with rectangular masks; few sizes and scores, so ties abound."""

    def regions(scored):
        found = []
        for _ in range(rng.integers(0, most + 1)):
            mask = np.zeros((HEIGHT, WIDTH), bool)
            top, left = rng.integers(0, 6), rng.integers(0, 6)
            mask[top : top + rng.integers(3, 7), left : left + rng.integers(3, 7)] = True
            found.append({"mask": mask, "category": int(rng.choice(classes))})
            if scored:
                found[-1]["score"] = float(rng.integers(0, score_levels)) / score_levels
        return found

    return [(regions(False), regions(True)) for _ in range(images)]


def mask_iou(detections, labels):
    iou = [[(d & g).sum() / (d | g).sum() for g in labels] for d in detections]
    return np.array(iou).reshape(len(detections), len(labels))


def match_detections(iou, thresholds=IOU_THRESHOLDS):
    """Match the detections [D] of one class in one image, best first, to its labels [G]; `iou` is [D, G]."""
    detections, labels = iou.shape
    starts = np.arange(detections + 1) * labels
    return match_pairs(starts, np.tile(np.arange(labels), detections), iou.ravel(), thresholds)


def our_precision(images):
    precision = np.full((10, 101, 13), -1.0)
    for category in range(13):
        scores, matched, label_count = [], [], 0
        for labels, detections in images:
            wanted = [r["mask"] for r in labels if r["category"] == category]
            found = [r for r in detections if r["category"] == category]
            found = sorted(found, key=lambda r: -r["score"])[:MAX_DETECTIONS]
            label_count += len(wanted)
            scores += [r["score"] for r in found]
            matched.append(match_detections(mask_iou([r["mask"] for r in found], wanted)))
        if label_count:
            precision[:, :, category] = precision_at_recall(
                np.array(scores), np.concatenate(matched), label_count
            )
    return precision


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    ("images", "classes", "most", "score_levels"),
    [(6, [0, 3, 12], 8, 10**6), (6, [0, 3, 12], 8, 3), (1, [5], 30, 2), (4, [2, 7], 2, 50)],
)
def test_precision_is_that_of_pycocotools(plain_april, seed, images, classes, most, score_levels):
    drawn = random_images(np.random.default_rng(seed), images, classes, most, score_levels)
    if not any(detections for _, detections in drawn):
        pytest.skip("pycocotools needs a detection")
    np.testing.assert_allclose(our_precision(drawn), plain_april.coco_precision(drawn), rtol=0, atol=1e-12)


def test_detections_beyond_a_hundred_per_image_are_left_out_as_in_pycocotools(plain_april):
    rng = np.random.default_rng(0)
    mask = np.ones((HEIGHT, WIDTH), bool)
    labels = [{"mask": mask, "category": 1}]
    wrong = np.zeros((HEIGHT, WIDTH), bool)
    wrong[0, 0] = True
    detections = [{"mask": wrong, "category": 1, "score": s} for s in rng.uniform(0.5, 1, 100)]
    weakest = [{"mask": mask, "category": 1, "score": 0.1}]
    for found, reached in ((detections + weakest, False), (detections[1:] + weakest, True)):
        ours = our_precision([(labels, found)])
        np.testing.assert_allclose(ours, plain_april.coco_precision([(labels, found)]), atol=1e-12)
        assert (ours[:, :, 1].max() > 0) == reached


def test_of_equally_good_labels_the_later_one_is_taken():
    # The first detection fits both labels equally; the second fits only the first label.
    matched = match_detections(np.array([[0.8, 0.8], [0.8, 0.0]]), np.array([0.5]))
    assert matched[:, 0].tolist() == [True, True]
    matched = match_detections(np.array([[0.8, 0.8], [0.0, 0.8]]), np.array([0.5]))
    assert matched[:, 0].tolist() == [True, False]


def test_iou_at_the_threshold_is_a_match():
    assert match_detections(np.array([[0.5]]), np.array([0.5])).all()
    assert not match_detections(np.array([[0.5 - 1e-9]]), np.array([0.5])).any()


def test_many_images_match_at_once_as_each_does_alone():
    rng = np.random.default_rng(0)
    images = [rng.random((rng.integers(0, 5), rng.integers(0, 4))) for _ in range(30)]
    starts, label, iou = [0], [], []
    labels_before = 0
    for image in images:
        for row in image:
            starts.append(starts[-1] + len(row))
            label += range(labels_before, labels_before + len(row))
            iou += row.tolist()
        labels_before += image.shape[1]
    together = match_pairs(np.array(starts), np.array(label), np.array(iou))
    alone = np.concatenate([match_detections(image) for image in images])
    assert 0.1 < together.mean() < 0.9
    np.testing.assert_array_equal(together, alone)


def test_class_without_detections_has_precision_zero():
    curves = precision_at_recall(np.empty(0), np.empty((0, 10), bool), labels=3)
    assert curves.shape == (10, 101)
    assert not curves.any()
