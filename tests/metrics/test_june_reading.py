"""What the June metric takes, and what it refuses."""

import contextlib
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sai_bench.errors import AnnotationError
from sai_bench.metrics.june.reading import LARGEST_PREDICTION_BYTES, read_june_annotations

ORDINARY = {
    "metadata_frame_index": 3,
    "category_id": 4,
    "score": 0.5,
    "segmentation": [[[1, 2, 0.5], [3, 4, 1.0], [2.5, 9, 0.25]]],
}


@pytest.fixture
def read(tmp_path):
    """Read annotations that are written to a file first; text is written as it is."""

    def written(document, role="prediction"):
        path = tmp_path / "recording.json"
        if isinstance(document, list):
            document = {"annotations": document}
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        path.write_bytes(content)
        return read_june_annotations(path, role)

    return written


def changed(**values):
    return {**ORDINARY, **values}


def without(key):
    return {name: value for name, value in ORDINARY.items() if name != key}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"metadata_frame_index": "3", "category_id": "4", "score": "0.5"},
        {"metadata_frame_index": 3.9, "category_id": 4.2},
        {"metadata_frame_index": " 3 ", "score": 0.5},
        {"segmentation": [[["1", "2", "0.5"], [3, 4, 1.0], ["2.5", 9, 0.25]]]},
        {"segmentation": [None, [], *ORDINARY["segmentation"]]},
        {"distance": "far", "instance_id": [1]},
        {"distance": None, "instance_id": None},
    ],
)
def test_liberties_that_the_evaluator_takes_read_as_the_ordinary_spelling(read, changes):
    (annotation,) = read([changed(**changes)])
    assert (annotation.metadata_frame_index, annotation.category_id, annotation.score) == (3, 4, 0.5)
    points = [point for point_set in annotation.segmentation for point in point_set]
    assert points == [(1, 2, 0.5), (3, 4, 1.0), (2.5, 9, 0.25)]


def test_negative_fractions_are_cut_towards_zero(read):
    (annotation,) = read([changed(category_id=-0.5)])
    assert annotation.category_id == 0


def test_missing_parts_have_their_defaults(read):
    assert read({}) == []
    (annotation,) = read([{"metadata_frame_index": 0, "category_id": 1}])
    assert annotation.score is None
    assert not len(annotation.segmentation)


def test_a_null_intensity_is_nan_and_a_nan_score_stays(read):
    (annotation,) = read([changed(score=math.nan, segmentation=[[[1, 2, None], [3, 4, 1], [3, 9, 1]]])])
    assert math.isnan(annotation.segmentation[0][0][2])
    assert math.isnan(annotation.score)


def test_the_ends_of_the_range_belong_to_it(read):
    (annotation,) = read([changed(segmentation=[[[0, 0, 1], [360, 180, 1], [360.0, 0, 1]]])])
    assert annotation.segmentation[0][1] == (360, 180, 1)


def test_annotations_of_unknown_classes_are_returned_for_counting(read):
    assert [a.category_id for a in read([changed(category_id=k) for k in (-1, 12, 13)])] == [-1, 12, 13]


@pytest.mark.parametrize("role", ["prediction", "label"])
@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (changed(segmentation=[[[360.01, 2, 1]]]), "point [360.01, 2, 1]. Expected x in 0 ... 360"),
        (changed(segmentation=[[[1, 2, 1], [1, -0.01, 1]]]), "point [1, -0.01, 1]"),
        (changed(segmentation=[[[1, 180.5, 1]]]), "y in 0 ... 180"),
        (changed(segmentation=[[[math.nan, 2, 1]]]), "point [NaN, 2, 1]"),
        (changed(segmentation=[[[None, 2, 1]]]), "point [null, 2, 1]"),
        (changed(segmentation=[[[1, math.inf, 1]]]), "point [1, Infinity, 1]"),
        (changed(segmentation=[[[1, 2, math.inf]]]), "intensity of at most"),
        (changed(segmentation=[[[1, 2, 1e39]]]), "intensity of at most"),
        (changed(segmentation=[[[1, 2]]]), "rows of three numbers"),
        (changed(segmentation=[[[1, 2, 3, 4]]]), "rows of three numbers"),
        (changed(segmentation=[[1, 2, 3]]), "rows of three numbers"),
        (changed(segmentation=[[[1, 2, 3], [1, 2]]]), "rows of three numbers"),
        (changed(segmentation=[[["a", 2, 3]]]), "rows of three numbers"),
        (changed(segmentation=[[{"x": 1}]]), "rows of three numbers"),
        (changed(segmentation=None), "segmentation is null"),
        (changed(segmentation="[]"), 'segmentation is "[]"'),
        (without("metadata_frame_index"), "has no metadata_frame_index"),
        (without("category_id"), "has no category_id"),
        (changed(category_id=None), "category_id is null"),
        (changed(category_id="four"), 'category_id is "four"'),
        (changed(metadata_frame_index=math.inf), "metadata_frame_index is Infinity"),
        (changed(category_id=99, segmentation=[[[1, 200, 1]]]), "point [1, 200, 1]"),
        ("text", 'is "text"'),
    ],
)
def test_what_the_evaluator_refuses_or_crashes_on_names_file_annotation_and_reason(read, entry, reason, role):
    with pytest.raises(AnnotationError) as failure:
        read([ORDINARY, entry], role)
    assert str(failure.value).partition(": ")[0].endswith("recording.json")
    assert "annotation 1 (counted from 0)" in str(failure.value)
    assert reason in str(failure.value)
    assert "Expected" in str(failure.value)
    assert str(failure.value).endswith("Repair it or write the file again.")
    assert failure.value.exit_code == 2


@pytest.mark.parametrize("score", [None, "high", [0.5], {}])
def test_scores_that_are_no_numbers_are_refused_in_predictions_and_ignored_in_labels(read, score):
    with pytest.raises(AnnotationError, match=r"annotation 0 .*score is .*Expected a number"):
        read([changed(score=score)])
    (annotation,) = read([changed(score=score)], "label")
    assert annotation.score is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"annotations": {}}',
        b'{"annotations": [',
        b'{"annotations": null}',
        b'\xff\xfe{"annotations": []}',
        b'{"annotations": [], "comment": "\xff"}',
        b'{"annotations": ' + b"[" * 100_000,
        b"3",
    ],
)
def test_files_that_are_no_dcase_json_are_refused(read, content):
    with pytest.raises(AnnotationError, match=r"recording\.json: .*Expected"):
        read(content)


def test_an_infinite_intensity_among_triangulated_points_is_taken(read):
    points = [[50, 60, 1e39], [70, 60, 0.5], [60, 80, 0.25]]
    (annotation,) = read([changed(segmentation=[points])])
    assert annotation.segmentation[0][0] == (50, 60, 1e39)


def test_prediction_files_over_20_mib_are_refused_and_label_files_are_not(read):
    padding = b" " * (LARGEST_PREDICTION_BYTES - len(json.dumps({"annotations": [ORDINARY]})))
    content = json.dumps({"annotations": [ORDINARY]}).encode() + padding
    assert len(content) == LARGEST_PREDICTION_BYTES
    assert len(read(content)) == 1
    with pytest.raises(AnnotationError, match=r"20971521 bytes are too many.*20971520"):
        read(content + b" ")
    assert len(read(content + b" ", "label")) == 1


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(AnnotationError, match=r"nowhere\.json: cannot be read"):
        read_june_annotations(tmp_path / "nowhere.json", "label")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=8,
)
ENTRIES = st.fixed_dictionaries(
    {}, optional={key: VALUES | st.just(value) for key, value in ORDINARY.items()}
) | st.just(ORDINARY)


@settings(max_examples=150, deadline=None)
@given(
    document=VALUES | st.fixed_dictionaries({"annotations": st.lists(ENTRIES, max_size=3)}),
    cut=st.integers(0, 60),
)
def test_any_json_whole_or_cut_off_is_read_or_refused(tmp_path_factory, document, cut):
    path = tmp_path_factory.mktemp("fuzz") / "any.json"
    content = json.dumps(document).encode()
    for written in (content, content[:-cut] if cut else content):
        path.write_bytes(written)
        for role in ("prediction", "label"):
            with contextlib.suppress(AnnotationError):
                for annotation in read_june_annotations(path, role):
                    assert isinstance(annotation.category_id, int)
                    assert all(0 <= y <= 180 for points in annotation.segmentation for _, y, _ in points)
