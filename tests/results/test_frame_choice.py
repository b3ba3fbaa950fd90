"""Frames for pictures are spread over time, prefer overlap and ignore how good the predictions are."""

import random

import numpy as np
import pytest

from sai_bench.predictions import Annotation, Detection
from sai_bench.results.frame_choice import choose_frames


def labels(*frames):
    return [Annotation(frame, 0, []) for frame in frames]


def detections(*frames):
    return [Detection(frame, 0, 0.5, np.zeros((0, 3))) for frame in frames]


def test_frames_are_spread_over_the_labelled_time():
    chosen = choose_frames(labels(*range(100, 200)), [], 4)
    assert len(chosen) == 4
    for frame, (first, last) in zip(chosen, [(100, 124), (125, 149), (150, 174), (175, 199)], strict=True):
        assert first <= frame <= last


def test_frame_with_most_labels_of_its_stretch_is_chosen():
    assert choose_frames(labels(*range(20), 3, 17, 17, 15), [], 2) == [3, 17]


def test_predictions_decide_between_equally_labelled_frames():
    assert choose_frames(labels(0, 1, 2, 3, 4), detections(4), 1) == [4]


def test_score_and_class_of_predictions_change_nothing():
    predicted = detections(*range(0, 30, 2))
    other = [Detection(d.frame, 7, 0.01, d.points) for d in predicted]
    assert choose_frames(labels(*range(30)), predicted, 3) == choose_frames(labels(*range(30)), other, 3)


def test_order_of_the_annotations_changes_nothing():
    items = labels(*range(30), 4, 4, 9, 21)
    shuffled = random.Random(0).sample(items, len(items))
    assert choose_frames(items, [], 5) == choose_frames(shuffled, [], 5)


def test_unlabelled_recording_takes_predicted_frames():
    assert choose_frames([], detections(5, 5, 9), 5) == [5, 9]


@pytest.mark.parametrize(("known", "count", "expected"), [((), 3, 0), ((1, 2), 0, 0), ((1, 2), 9, 2)])
def test_no_more_frames_than_there_are_or_were_asked_for(known, count, expected):
    assert len(choose_frames(labels(*known), [], count)) == expected
