"""F-scores by direction, against a matcher that tries every assignment."""

import itertools
import math

import numpy as np
import pytest

from sai_bench.metrics.diagnosing.location_scores import combine_directions, score_directions
from sai_bench.metrics.strongest_point import angles_deg, elevations_deg, strongest_points
from sai_bench.sphere import angle_between_deg, azimuth_deg, column, elevation_deg, row, unit_vectors


def vector(annotation):
    x, y, _ = max(annotation.segmentation[0], key=lambda point: point[2])
    azimuth, elevation = math.radians(180 - x), math.radians(90 - y * 180 / 179)
    return (
        math.cos(elevation) * math.cos(azimuth),
        math.cos(elevation) * math.sin(azimuth),
        math.sin(elevation),
    )


def angle(a, b):
    return math.degrees(math.acos(min(1.0, max(-1.0, sum(p * q for p, q in zip(a, b, strict=True))))))


def brute_force_pairs(predictions, labels):
    """Angles of the assignment with the smallest sum, of all that there are."""
    few, many = sorted(([vector(a) for a in side] for side in (predictions, labels)), key=len)
    choices = (
        [angle(a, b) for a, b in zip(few, chosen, strict=True)]
        for chosen in itertools.permutations(many, len(few))
    )
    return min(choices, key=sum)


def brute_force(recordings, threshold, same):
    """Return (predictions, labels, angles of the hits); `same` gives the key that matched regions share."""
    kept = [(n, same(p), p) for n, (side, _) in enumerate(recordings) for p in side if p.score >= threshold]
    wanted = [(n, same(g), g) for n, (_, side) in enumerate(recordings) for g in side]
    hits = []
    for key in {entry[:2] for entry in kept}:
        own = [p for *k, p in kept if tuple(k) == key]
        there = [g for *k, g in wanted if tuple(k) == key]
        hits += [a for a in brute_force_pairs(own, there) if a <= 20] if there else []
    return len(kept), len(wanted), hits


def by_frame(annotation):
    return annotation.metadata_frame_index


def by_frame_and_class(annotation):
    return annotation.metadata_frame_index, annotation.category_id


@pytest.fixture
def at(region):
    """Make an annotation of one point at a direction in degrees."""

    def make(azimuth, elevation, category=0, frame=0, score=None):
        return region([(float(column(azimuth)), float(row(elevation)), 1.0)], category, frame, score)

    return make


def scored(*recordings):
    return combine_directions([score_directions(*recording) for recording in recordings])


@pytest.fixture(scope="module")
def random_recordings(region):
    rng = np.random.default_rng(5)
    recordings = []
    for _ in range(2):
        predictions, labels = [], []
        for frame in range(12):
            for side, most in ((predictions, 5), (labels, 4)):
                for _ in range(rng.integers(0, most + 1)):
                    # A narrow field, so that assignments compete.
                    centre = rng.uniform([340, 60], [400, 120])
                    points = [(*(centre % 360), 1.0), (*((centre + 3) % 360), 0.4)]
                    score = float(rng.random()) if side is predictions else None
                    side.append(region(points, int(rng.integers(0, 3)), frame, score))
        recordings.append((predictions, labels))
    return recordings


@pytest.mark.parametrize(("name", "same"), [("location_only", by_frame), ("class_aware", by_frame_and_class)])
def test_numbers_are_those_of_trying_every_assignment(random_recordings, name, same):
    result = scored(*random_recordings)[name]
    result = result if name == "location_only" else result["micro"]
    scores = sorted(p.score for predictions, _ in random_recordings for p in predictions)
    assert len(result["curve"]) == 20
    for numbers in (result["best"], result["all"], *result["curve"]):
        predictions, labels, hits = brute_force(random_recordings, numbers["threshold"], same)
        assert numbers["predictions"] == predictions
        assert numbers["precision"] == pytest.approx(len(hits) / predictions)
        assert numbers["recall"] == pytest.approx(len(hits) / labels)
        assert numbers["f"] == pytest.approx(2 * len(hits) / (predictions + labels))
        assert numbers["localisation_error_deg"] == pytest.approx(np.mean(hits), abs=1e-6)
    every_f = []
    for threshold in scores:
        predictions, labels, hits = brute_force(random_recordings, threshold, same)
        every_f.append(2 * len(hits) / (predictions + labels))
    assert result["best"]["f"] == pytest.approx(max(every_f))
    assert result["all"]["threshold"] == scores[0]


def test_macro_is_the_mean_over_classes_at_a_common_threshold(random_recordings):
    result = scored(*random_recordings)["class_aware"]
    for numbers in (result["macro"]["best"], result["macro"]["all"], result["macro"]["curve"][7]):
        f = []
        for category in range(3):
            own = [
                tuple([a for a in side if a.category_id == category] for side in recording)
                for recording in random_recordings
            ]
            predictions, labels, hits = brute_force(own, numbers["threshold"], by_frame)
            f.append(2 * len(hits) / (predictions + labels))
        assert numbers["f"] == pytest.approx(np.mean(f))


def test_a_region_offered_under_several_classes_is_one_detection_when_classes_do_not_matter(at):
    labels = [at(0, 0, 3)]
    predictions = [at(1, 0, k, score=0.1 + k / 20) for k in range(13)]
    result = scored((predictions, labels))
    assert result["location_only"]["all"] == result["location_only"]["best"]
    assert result["location_only"]["best"]["threshold"] == 0.7
    assert result["location_only"]["best"]["f"] == 1
    assert result["class_aware"]["micro"]["all"]["precision"] == pytest.approx(1 / 13)
    assert result["predictions"] == 13


def test_each_class_has_its_own_best_threshold(at):
    labels = [at(0, 0, k, frame) for k in (1, 2) for frame in range(3)]
    right = [at(0, 0, k, frame, score) for k, score in ((1, 0.2), (2, 0.8)) for frame in range(3)]
    wrong = [at(90, 0, k, frame, score) for k, score in ((1, 0.1), (2, 0.7)) for frame in range(3)]
    result = scored((right + wrong, labels))["class_aware"]
    assert result["per_class"]["1"]["threshold"] == 0.2
    assert result["per_class"]["2"]["threshold"] == 0.8
    assert result["per_class"]["1"]["f"] == result["per_class"]["2"]["f"] == 1
    assert result["per_class"]["3"] is None
    assert result["macro"]["best"]["f"] == pytest.approx(
        (1 + 6 / 9) / 2
    )  # threshold 0.2 is too low for class 2


def test_confused_classes_are_found_but_not_recognised(at):
    labels = [at(10, 5, 1), at(-70, 20, 2)]
    result = scored(([at(-70, 20, 1, score=0.9), at(10, 5, 2, score=0.8)], labels))
    assert result["location_only"]["best"]["f"] == 1
    assert result["location_only"]["best"]["localisation_error_deg"] == pytest.approx(0, abs=1e-5)
    assert result["class_aware"]["micro"]["best"]["f"] == 0
    assert result["class_aware"]["micro"]["best"]["localisation_error_deg"] is None


@pytest.mark.parametrize(
    ("label", "prediction"),
    [((0, 0), (1, 0)), ((179.5, 0), (-1, 0)), ((0, 89), (1, 0)), ((30, -60), (0, 1))],
)
@pytest.mark.parametrize(("away", "hits"), [(19.9, 1), (20.1, 0)])
def test_the_limit_is_20_degrees_on_the_great_circle(at, label, prediction, away, hits):
    """`prediction` says in which direction (azimuth, elevation) to move away."""
    azimuth, elevation = label
    if prediction == (0, 1):
        moved = (azimuth, elevation + away)
    else:  # along the parallel, as far as gives this angle
        half = math.sin(math.radians(away / 2)) / math.cos(math.radians(elevation))
        if half > 1:  # too close to the pole: over it
            moved = (azimuth + 180, 180 - elevation - away)
        else:
            moved = (azimuth + 2 * math.degrees(math.asin(half)), elevation)
    assert angle_between_deg(*label, *moved) == pytest.approx(away)
    result = scored(([at(*moved, score=0.5)], [at(*label)]))["location_only"]["all"]
    assert result["recall"] == hits


def test_pairs_beyond_the_limit_count_twice_as_in_the_seld_tasks(at):
    """The smallest sum of angles may pair a label with a far prediction although a near one is free."""
    labels = [at(0, 0), at(30, 0)]
    predictions = [at(25, 0, score=0.9), at(100, 0, score=0.5)]
    both = scored((predictions, labels))["location_only"]
    assert both["all"]["recall"] == 0  # 25 + 70 degrees are less than 5 + 100
    assert both["best"]["threshold"] == 0.9
    assert both["best"]["recall"] == 0.5


def test_regions_without_positive_energy_have_no_direction_and_do_not_count(at, region):
    silent = [region([(10, 20, 0.0), (11, 20, -1.0)]), region([]), region([(10, 20, math.nan)])]
    result = scored(([*silent, at(0, 0, score=0.5)], [*silent, at(5, 0)]))
    assert (result["labels"], result["predictions"]) == (1, 1)
    assert result["location_only"]["all"]["f"] == 1


def test_missing_scores_are_zero_and_nan_ranks_last(at):
    predictions = [at(0, 0, frame=0), at(0, 0, frame=1, score=math.nan), at(0, 0, frame=2, score=-0.5)]
    result = scored((predictions, [at(0, 0, frame=frame) for frame in range(3)]))["location_only"]
    assert [row["threshold"] for row in result["curve"]] == [None, -0.5, 0.0]
    assert [row["predictions"] for row in result["curve"]] == [3, 2, 1]


def test_without_labels_or_predictions_only_what_is_defined_is_a_number(at):
    assert scored()["location_only"]["best"]["f"] is None
    missed = scored(([], [at(0, 0, 3)]))
    assert missed["location_only"]["all"]["f"] == 0
    assert missed["location_only"]["all"]["precision"] is None
    assert missed["class_aware"]["per_class"]["3"]["recall"] == 0
    false_alarm = scored(([at(0, 0, score=0.5)], []))
    assert false_alarm["location_only"]["all"]["precision"] == 0
    assert false_alarm["location_only"]["all"]["recall"] is None
    assert false_alarm["class_aware"]["macro"]["all"]["f"] is None


def test_the_first_of_equally_strong_points_is_the_direction(region):
    annotation = region([(10, 20, 0.5), (30, 40, 0.9), (50, 60, 0.9)])
    assert strongest_points([annotation]).tolist() == [[30, 40]]
    assert elevations_deg([annotation])[0] == pytest.approx(90 - 40 * 180 / 179)


def test_angles_agree_with_the_conventions_formula():
    rng = np.random.default_rng(1)
    a, b = rng.uniform([0, 0], [360, 179], (2, 40, 2))
    near = a + rng.normal(0, 1e-4, a.shape)
    for other in (b, near):
        own, theirs = (
            (azimuth_deg(a[:, 0]), elevation_deg(a[:, 1])),
            (azimuth_deg(other[:, 0]), elevation_deg(other[:, 1])),
        )
        expected = angle_between_deg(own[0][:, None], own[1][:, None], *theirs)
        np.testing.assert_allclose(angles_deg(unit_vectors(*own), unit_vectors(*theirs)), expected, rtol=1e-6)
