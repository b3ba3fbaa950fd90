"""Whatever stands in a file: it is read, or refused with one clear error; never anything else."""

import json
import math
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sai_bench import predictions
from sai_bench.errors import AnnotationError
from sai_bench.metrics.submission_content import check_entry
from sai_bench.predictions import LARGEST_FILE_BYTES, Annotation, read_annotations
from sai_bench.segmentation import point_sets_of

quick = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

number = st.integers(-5, 400) | st.floats(-5, 400)
points = st.lists(st.tuples(number, number, number).map(list), max_size=4)
ordinary_entry = st.fixed_dictionaries(
    {
        "metadata_frame_index": st.integers(-3, 10**6),
        "category_id": st.integers(-1, 14),
        "segmentation": st.lists(points, max_size=3),
    },
    optional={
        "score": number,
        "distance": number,
        "instance_id": st.integers(0, 9),
        "note": st.text(max_size=5),
        "box": st.dictionaries(st.text(max_size=3), number, max_size=2),
    },
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
odd_entry = st.one_of(
    anything,
    st.builds(
        lambda entry, key, value: {**entry, key: value},
        ordinary_entry,
        st.sampled_from([*Annotation.__struct_fields__]),
        anything,
    ),
)


@pytest.fixture
def file_of(tmp_path):
    """Write bytes to one file, again and again."""
    path = tmp_path / "recording_inference.json"

    def write(content: bytes):
        path.write_bytes(content)
        return path

    return write


def refusal_of(path):
    """Return the message that a file is refused with, None if it is read."""
    try:
        read_annotations(path)
    except AnnotationError as error:
        return str(error)
    return None


def read_or_refuse(path):
    """Return the annotations, or None if the file is refused with its name."""
    refusal = refusal_of(path)
    if refusal is not None:
        assert path.name in refusal
        assert len(refusal) < 500
        return None
    annotations = read_annotations(path)
    for annotation in annotations:
        assert 0 <= annotation.category_id <= 12
        assert isinstance(annotation.metadata_frame_index, int)
        assert all(
            math.isfinite(value) for part in annotation.segmentation for x, y, _ in part for value in (x, y)
        )
    return annotations


@quick
@given(content=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(file_of, content):
    read_or_refuse(file_of(content))


@quick
@given(entries=st.lists(odd_entry, max_size=3))
def test_any_values_are_read_or_refused_and_checked_for_submission(file_of, entries):
    read_or_refuse(file_of(json.dumps({"annotations": entries}).encode()))
    for entry in entries:
        check_entry(entry)


@quick
@given(entries=st.lists(ordinary_entry, min_size=1, max_size=3), data=st.data())
def test_a_file_cut_anywhere_is_refused(file_of, entries, data):
    content = json.dumps({"annotations": entries}).encode()
    end = data.draw(st.integers(0, len(content) - 1))
    assert read_or_refuse(file_of(content[:end])) is None


@quick
@given(entries=st.lists(ordinary_entry, min_size=1, max_size=3), data=st.data())
def test_a_changed_byte_is_read_or_refused(file_of, entries, data):
    content = bytearray(json.dumps({"annotations": entries}).encode())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    read_or_refuse(file_of(bytes(content)))


@quick
@given(entries=st.lists(ordinary_entry, max_size=3))
def test_fast_and_lenient_reading_agree(file_of, entries):
    path = file_of(json.dumps({"annotations": entries}).encode())
    lenient = predictions.of_known_classes(predictions._read_leniently(path, path.read_bytes()))
    fast = read_annotations(path)
    assert fast == lenient
    for ours, theirs in zip(fast, lenient, strict=True):
        pairs = zip(point_sets_of(ours.segmentation), point_sets_of(theirs.segmentation), strict=True)
        assert all(a.tolist() == b.tolist() for a, b in pairs)


@quick
@given(entries=st.lists(ordinary_entry, min_size=1, max_size=3), data=st.data())
def test_a_key_that_stands_twice_is_refused_with_its_annotation(file_of, entries, data):
    index = data.draw(st.integers(0, len(entries) - 1))
    key = data.draw(st.sampled_from(sorted(entries[index])))
    texts = [json.dumps(entry) for entry in entries]
    texts[index] = f"{texts[index][:-1]}, {json.dumps(key)}: {json.dumps(entries[index][key])}}}"
    path = file_of(f'{{"annotations": [{", ".join(texts)}]}}'.encode())
    refusal = refusal_of(path)
    if key in Annotation.__struct_fields__:
        assert f'annotation {index} (counted from 0): has the key "{key}" twice' in refusal
    else:
        assert refusal is None or f'"{key}" twice' in refusal


def test_a_list_of_annotations_that_stands_twice_is_refused(file_of):
    with pytest.raises(AnnotationError, match='has the key "annotations" twice'):
        read_annotations(file_of(b'{"annotations": [], "annotations": []}'))


def test_a_file_of_two_gigabytes_is_refused_unread(tmp_path):
    path = tmp_path / "huge.json"
    with open(path, "wb") as stream:
        os.truncate(stream.fileno(), 2 * 10**9)  # a hole: takes no room on the disk
    with pytest.raises(
        AnnotationError, match=rf"huge\.json: 2000000000 bytes .*at most {LARGEST_FILE_BYTES}"
    ):
        read_annotations(path)


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(AnnotationError, match="no ordinary file"):
        read_annotations(tmp_path / "pipe.json")


@pytest.mark.parametrize("levels", [900, 100_000])
def test_lists_nested_too_deeply_are_refused(file_of, levels):
    nested = "[" * levels + "]" * levels
    content = (
        f'{{"annotations": [{{"metadata_frame_index": 0, "category_id": 0, "segmentation": {nested}}}]}}'
    )
    assert read_or_refuse(file_of(content.encode())) is None


def test_a_million_points_in_one_annotation_are_read(file_of):
    content = b"[1,2.5,0.5]," * 999_999 + b"[1,2.5,0.5]"
    content = b'{"annotations": [{"metadata_frame_index":0,"category_id":0,"segmentation":[[%s]]}]}' % content
    (annotation,) = read_annotations(file_of(content))
    assert len(annotation.segmentation[0]) == 10**6
