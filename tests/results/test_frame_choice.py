"""Frames for pictures are spread over the labelled time and ignore overlap and predictions."""

import random

import numpy as np
import pytest

from sai_bench.predictions import Annotation, Detection
from sai_bench.results.frame_choice import choose_frames


def labels(*frames):
    return [Annotation(frame, 0, []) for frame in frames]


def detections(*frames):
    return [Detection(frame, 0, 0.5, np.zeros((0, 3))) for frame in frames]


def test_each_equal_stretch_of_the_labelled_time_gives_its_middle_frame():
    assert choose_frames(labels(*range(100, 200)), [], 4) == [112, 137, 162, 187]
    assert choose_frames(labels(*range(9)), [], 3) == [1, 4, 7]


def test_stretches_hold_equally_many_labelled_frames_whatever_lies_between_them():
    assert choose_frames(labels(0, 1, 2, 500, 501, 502, 503, 504, 900), [], 3) == [1, 501, 504]


def test_how_many_sources_a_frame_has_changes_nothing():
    crowded = labels(*range(30), *[3] * 5, *[17] * 5, *[29] * 5)
    assert choose_frames(crowded, [], 4) == choose_frames(labels(*range(30)), [], 4)


def test_frames_with_many_sources_are_chosen_as_often_as_they_occur():
    generator = random.Random(1)
    sources = {frame: generator.choice([1, 1, 2, 3]) for frame in range(4000)}
    items = labels(*(frame for frame, number in sources.items() for _ in range(number)))
    chosen = choose_frames(items, [], 800)
    mean = np.mean([sources[frame] for frame in chosen])
    assert mean == pytest.approx(np.mean([*sources.values()]), abs=0.1)  # 3.4 standard errors


def test_predictions_change_nothing_where_there_are_labels():
    chosen = choose_frames(labels(*range(30)), [], 3)
    assert choose_frames(labels(*range(30)), detections(0, 0, 7, 29, 400), 3) == chosen


def test_order_of_the_annotations_changes_nothing():
    items = labels(*range(30), 4, 4, 9, 21)
    shuffled = random.Random(0).sample(items, len(items))
    assert choose_frames(items, [], 5) == choose_frames(shuffled, [], 5)


def test_unlabelled_recording_takes_predicted_frames():
    assert choose_frames([], detections(5, 5, 9), 5) == [5, 9]


@pytest.mark.parametrize(("known", "count", "expected"), [((), 3, 0), ((1, 2), 0, 0), ((1, 2), 9, 2)])
def test_no_more_frames_than_there_are_or_were_asked_for(known, count, expected):
    assert len(choose_frames(labels(*known), [], count)) == expected
