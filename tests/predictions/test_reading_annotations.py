"""Reading DCASE JSON: what the official evaluators take is taken, what crashes them is refused clearly."""

import json
import math

import pytest

from sai_bench.errors import AnnotationError
from sai_bench.predictions import Annotation, read_annotations

POINT = [1, 2.5, 0.5]
ENTRY = {"metadata_frame_index": 3, "category_id": 4, "segmentation": [[POINT]], "score": 0.25}
PLAIN = Annotation(3, 4, [[(1.0, 2.5, 0.5)]], score=0.25)


@pytest.fixture
def read(tmp_path):
    """Write text, or a value as JSON, and read it as annotations."""

    def write_and_read(content):
        path = tmp_path / "recording_inference.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read_annotations(path)

    return write_and_read


def one(**changes):
    return {"annotations": [{k: v for k, v in {**ENTRY, **changes}.items() if v != "absent"}]}


def test_ordinary_file_is_read_in_file_order(read):
    second = {**ENTRY, "metadata_frame_index": 0, "instance_id": 7, "distance": 125.5}
    expected = Annotation(0, 4, [[(1.0, 2.5, 0.5)]], score=0.25, instance_id=7, distance=125.5)
    assert read({"annotations": [ENTRY, second], "info": {"any": "thing"}}) == [PLAIN, expected]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"category_id": 4.9}, PLAIN),
        ({"category_id": "4"}, PLAIN),
        ({"category_id": True}, Annotation(3, 1, PLAIN.segmentation, score=0.25)),
        ({"category_id": -0.5}, Annotation(3, 0, PLAIN.segmentation, score=0.25)),
        ({"metadata_frame_index": 3.7}, PLAIN),
        ({"metadata_frame_index": -2}, Annotation(-2, 4, PLAIN.segmentation, score=0.25)),
        ({"score": "0.25"}, PLAIN),
        ({"score": "absent"}, Annotation(3, 4, PLAIN.segmentation)),
        ({"score": math.inf}, Annotation(3, 4, PLAIN.segmentation, score=math.inf)),
        ({"distance": "12.5"}, Annotation(3, 4, PLAIN.segmentation, score=0.25, distance=12.5)),
        ({"instance_id": None}, PLAIN),
        ({"instance_id": "first"}, PLAIN),
        ({"segmentation": [[[*POINT, "note", 9]]]}, PLAIN),
        ({"segmentation": "absent"}, Annotation(3, 4, [], score=0.25)),
        ({"segmentation": []}, Annotation(3, 4, [], score=0.25)),
        ({"segmentation": [[], [POINT]]}, Annotation(3, 4, [[], PLAIN.segmentation[0]], score=0.25)),
        (
            {"segmentation": [[[-5, 300, -math.inf]]]},
            Annotation(3, 4, [[(-5.0, 300.0, -math.inf)]], score=0.25),
        ),
    ],
)
def test_odd_value_is_read_as_the_evaluators_read_it(read, changes, expected):
    assert read(one(**changes)) == [expected]


def test_values_that_are_no_number_are_kept_where_the_evaluators_keep_them(read):
    (annotation,) = read(one(score=math.nan, distance=math.nan, segmentation=[[[1, 2, math.nan]]]))
    assert math.isnan(annotation.score)
    assert math.isnan(annotation.distance)
    assert math.isnan(annotation.segmentation[0][0][2])


@pytest.mark.parametrize(
    "dropped",
    [
        {**ENTRY, "category_id": 13},
        {**ENTRY, "category_id": -1},
        {"segmentation": [[POINT]]},
        {"category_id": 99, "segmentation": None, "score": None},
    ],
)
def test_annotation_of_no_known_class_is_left_out_unread(read, dropped):
    assert read({"annotations": [dropped, ENTRY]}) == [PLAIN]


@pytest.mark.parametrize("content", [{}, {"annotations": []}, {"info": 1}])
def test_file_without_annotations_is_empty(read, content):
    assert read(content) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"category_id": None}, "category_id is null. Expected an integer"),
        ({"category_id": "bell"}, 'category_id is "bell". Expected an integer'),
        ({"category_id": math.nan}, "category_id is NaN. Expected an integer"),
        ({"metadata_frame_index": "absent"}, "has no metadata_frame_index"),
        ({"metadata_frame_index": None}, "metadata_frame_index is null. Expected an integer"),
        ({"metadata_frame_index": math.inf}, "metadata_frame_index is Infinity. Expected an integer"),
        ({"score": None}, "score is null. Expected a number"),
        ({"score": "high"}, 'score is "high". Expected a number'),
        ({"distance": None}, "distance is null. Expected a number"),
        ({"segmentation": None}, "segmentation is not nested"),
        ({"segmentation": [[1, 2, 0.5]]}, r"has the point 1. Expected \[x, y, energy\]"),
        ({"segmentation": [1, 2, 0.5]}, "segmentation is not nested"),
        ({"segmentation": [[[1, 2]]]}, r"has the point \[1, 2\]. Expected \[x, y, energy\]"),
        ({"segmentation": [[[1, 2, None]]]}, "coordinate is null. Expected a number"),
        ({"segmentation": [[[math.nan, 2, 1]]]}, "Expected finite x and y"),
        ({"segmentation": [[[1, -math.inf, 1]]]}, "Expected finite x and y"),
    ],
)
def test_what_crashes_the_evaluators_is_refused_with_file_index_and_reason(read, changes, reason):
    content = one(**changes)
    content["annotations"].insert(0, ENTRY)
    with pytest.raises(AnnotationError, match=rf"recording_inference\.json: annotation 1 .*{reason}"):
        read(content)


@pytest.mark.parametrize("entry", [None, 5, [POINT]])
def test_annotation_that_is_no_object_is_refused(read, entry):
    with pytest.raises(AnnotationError, match=r"annotation 0 .*Expected an object"):
        read({"annotations": [entry]})


@pytest.mark.parametrize("content", [[], [ENTRY], None, 3, {"annotations": None}, {"annotations": {}}])
def test_document_of_another_shape_is_refused(read, content):
    with pytest.raises(AnnotationError, match=r"recording_inference\.json: not DCASE JSON"):
        read(content)


def test_truncated_file_is_refused_with_its_position(read):
    with pytest.raises(AnnotationError, match=r"not valid JSON .*line 1 column \d+"):
        read(json.dumps(one())[:-20])


@pytest.mark.parametrize("content", ["", "no json", "[" * 50])
def test_file_that_is_no_json_is_refused(read, content):
    with pytest.raises(AnnotationError, match="not valid JSON"):
        read(content)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "binary.json"
    path.write_bytes(b"\xff\xfe\x00\x01" * 10)
    with pytest.raises(AnnotationError, match="UTF-16 or UTF-32 from byte 0"):
        read_annotations(path)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_annotations(tmp_path / "nowhere.json")


def test_brackets_in_text_are_no_depth(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"note": "' + r"[\"[" * 100 + '",\n"annotations": [' + "[" * 30_000)
    with pytest.raises(AnnotationError, match="more than 60 deep at line 2 column 75"):
        read_annotations(path)


def test_a_fault_comes_with_the_next_step(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"annotations": [{"category_id": "x"}]}')
    with pytest.raises(AnnotationError, match=r"Expected an integer\. Repair it or write the file again\."):
        read_annotations(path)
