"""Points read straight from JSON text, against Python's own JSON reader."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sai_bench import point_text
from sai_bench.point_text import parse_segmentations
from sai_bench.segmentation import point_count, points_of

# Numbers as texts: what Python and NumPy write, and what no one writes but JSON allows.
decimals = st.from_regex(r"\A-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,2})?\Z")
numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(0, 360).map(repr),
    st.floats(0, 1, width=32).map(repr),
    st.integers(-400, 400).map(str),
    decimals,
)
spaces = st.sampled_from(["", " ", "\n    ", "\t\r\n"])
points = st.tuples(numbers, numbers, numbers)
segmentations = st.lists(st.lists(points, max_size=4), max_size=3)


def written(segmentation, space):
    def listed(items):
        return f"[{space}{f'{space},{space}'.join(items)}{space}]"

    return listed(listed(listed(point) for point in sub_list) for sub_list in segmentation).encode()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(segmentations, spaces), max_size=4))
def test_points_are_what_python_reads(drawn):
    parsed = parse_segmentations([written(segmentation, space) for segmentation, space in drawn])
    assert len(parsed) == len(drawn)
    for ours, (segmentation, _) in zip(parsed, drawn, strict=True):
        expected = [[tuple(map(float, point)) for point in sub_list] for sub_list in segmentation]
        assert ours == expected
        assert list(ours) == expected
        assert [list(map(tuple, part.tolist())) for part in ours.point_sets()] == expected
        flat = [point for sub_list in expected for point in sub_list]
        assert point_count(ours) == len(flat)
        np.testing.assert_array_equal(np.signbit(points_of(ours)), np.signbit(points_of(expected)))


@pytest.mark.parametrize(
    "text",
    [
        "0.1",
        "0.30000000000000004",
        "0.3000000000000000166533453694",
        "9007199254740993",  # halfway between two float64 numbers
        "9007199254740992.5",
        "1.00000000000000011102230246251565404236316680908203125",
        "1e22",
        "1e23",
        "123456789012345678e-22",
        "5e-324",
        "2.2250738585072014e-308",
        "-0.0",
        "0e999",
        "0.00000000000000000000000000000000000012345678901234567",
    ],
)
def test_number_is_the_nearest_float(text):
    (parsed,) = parse_segmentations([f"[[[{text},{text},{text}]]]".encode()])
    assert parsed == [[(float(text),) * 3]]
    assert math.copysign(1, parsed[0][0][0]) == math.copysign(1, float(text))


@pytest.mark.parametrize(
    "text",
    [
        "18446744073709551616",  # 2^64
        "1.8446744073709551616",
        "36893488147419103232",
        "92233720368547758080",
        "340282366920938463463374607431768211456",  # 2^128
        "0.00018446744073709551616",
        "18446744073709551616e-19",
        "18446744073709551615",
    ],
)
def test_numbers_whose_digits_wrap_an_integer_of_64_bits_are_read(text):
    (parsed,) = parse_segmentations([f"[[[{text},-{text},1]]]".encode()])
    assert parsed == [[(float(text), -float(text), 1.0)]]


def test_long_random_digits_are_what_python_reads():
    rng = np.random.default_rng(0)
    texts = []
    for _ in range(3000):
        # Multiples of large powers of two, so that the low digits of a 64-bit integer are often zero.
        number = int(rng.integers(1, 1 << 40)) << int(rng.integers(0, 90))
        digits = str(number) if rng.random() < 0.5 else "".join(map(str, rng.integers(0, 10, 28)))
        digits = digits.lstrip("0") or "0"
        cut = int(rng.integers(1, len(digits) + 1))
        text = digits[:cut] + ("." + digits[cut:] if cut < len(digits) else "")
        texts.append(text + str(rng.choice(["", "e5", "e-30", "E+2"])))
    (parsed,) = parse_segmentations([f"[[{','.join(f'[{t},0,1]' for t in texts)}]]".encode()])
    assert parsed.points[:, 0].tolist() == [float(t) for t in texts]


def test_a_segmentation_without_sub_lists_has_no_point_sets():
    (parsed,) = parse_segmentations([b"[]"])
    assert parsed.point_sets() == []
    assert len(points_of(parsed)) == point_count(parsed) == 0


def test_more_hard_numbers_than_expected_are_all_read():
    text = "0.3000000000000000166533453694"
    many = f"[[{','.join([f'[{text},1,2]'] * 3000)}]]".encode()
    (parsed,) = parse_segmentations([many])
    assert set(parsed.points[:, 0]) == {float(text)}


def test_texts_are_parsed_in_blocks_of_any_size(monkeypatch):
    rng = np.random.default_rng(0)
    values = [[rng.random((rng.integers(0, 4), 3)).tolist()] for _ in range(50)]
    texts = [json.dumps(value).encode() for value in values]
    for block in (1, 100, 1 << 20):
        monkeypatch.setattr(point_text, "_BLOCK_BYTES", block)
        assert parse_segmentations(texts) == [[list(map(tuple, part)) for part in value] for value in values]


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "3",
        '"points"',
        "{}",
        "[1]",
        "[[1,2,3]]",
        "[[[1,2]]]",
        "[[[]]]",
        "[[[1,2,3,4]]]",
        "[[[[1],2,3]]]",
        '[[["1",2,3]]]',
        "[[[true,2,3]]]",
        "[[[1,2,3]],4]",
        "[[[1,2,3],[]]]",
        "[[[1e999,2,3]]]",
    ],
)
def test_anything_but_lists_of_lists_of_three_numbers_is_left_to_others(text):
    assert parse_segmentations([b"[[[1,2,3]]]", text.encode(), b"[]"]) is None
