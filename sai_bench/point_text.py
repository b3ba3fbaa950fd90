"""From the JSON text of segmentations to arrays, without a Python object for every number.

The text is known to be valid JSON. Numbers become exactly what Python's `float` makes of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np

from sai_bench.compilation import compiled
from sai_bench.segmentation import Segmentation

_OPENING, _CLOSING, _COMMA, _SPACE, _MINUS, _PLUS, _POINT, _SMALL_E, _LARGE_E, _ZERO, _NINE = b"[], -+.eE09"
_BLOCK_BYTES = 1 << 23  # of text parsed at a time: its copy stays small
_HARD_NUMBERS = 1024
_MOST_DIGITS = 19  # of a 64-bit integer
_EXACT_INTEGERS = np.uint64(2**53)
_TEN = np.uint64(10)
_LARGEST_POWER = 22
_POWERS_OF_TEN = np.power(10.0, np.arange(_LARGEST_POWER + 1))  # every one exact in float64
_SPLITTER = 2.0**27 + 1  # cuts a float64 into halves of 26 bits (Dekker 1971)
_DOUBT = 2.0**-40  # far more than the relative error of a quotient's second part


def parse_segmentations(texts: Sequence[bytes]) -> list[Segmentation] | None:
    """Return the segmentation that each JSON text spells; None if one is no list of lists of three numbers.

    Args:
        texts: bytes-like.
    """
    segmentations: list[Segmentation] = []
    sizes = [memoryview(text).nbytes for text in texts]
    start, size = 0, 0
    for stop in range(1, len(texts) + 1):
        size += sizes[stop - 1]
        if size < _BLOCK_BYTES and stop < len(texts):
            continue
        parsed = _parse_block(bytearray().join(texts[start:stop]), np.cumsum(sizes[start:stop]))
        if parsed is None:
            return None
        segmentations += parsed
        start, size = stop, 0
    return segmentations


def _parse_block(text: bytearray, text_ends: np.ndarray) -> list[Segmentation] | None:
    """Return the segmentations of texts that follow one another."""
    characters = np.frombuffer(text, np.uint8)
    lists = np.count_nonzero(characters == ord("["))  # points and sub-lists: no more than these
    points = np.empty((lists, 3))
    sub_list_ends = np.empty(lists, np.int64)
    counts = np.empty((len(text_ends), 2), np.int64)
    # Where the numbers stand that the fast arithmetic does not get exactly.
    hard = np.empty((_HARD_NUMBERS, 3), np.int64)
    found = _parse(characters, text_ends, points, sub_list_ends, counts, hard)
    if found > len(hard):
        hard = np.empty((found, 3), np.int64)
        found = _parse(characters, text_ends, points, sub_list_ends, counts, hard)
    if found < 0:
        return None
    for index, start, stop in hard[:found].tolist():
        points.flat[index] = float(text[start:stop])
    if not np.isfinite(points[: counts[:, 0].sum()]).all():  # 1e999
        return None
    return _cut(points, sub_list_ends, counts)


def _cut(points: np.ndarray, sub_list_ends: np.ndarray, counts: np.ndarray) -> list[Segmentation]:
    segmentations = []
    point = sub_list = 0
    for point_count, sub_list_count in counts.tolist():
        segmentations.append(
            Segmentation(
                points[point : point + point_count], sub_list_ends[sub_list : sub_list + sub_list_count]
            )
        )
        point += point_count
        sub_list += sub_list_count
    return segmentations


@numba.njit
def _is_digit(character):
    return _ZERO <= character <= _NINE


@numba.njit
def _product(a, b):
    """Return a product as its nearest float64 and the exact remainder (Dekker 1971)."""
    split = _SPLITTER * a
    a_high = split - (split - a)
    a_low = a - a_high
    split = _SPLITTER * b
    b_high = split - (split - b)
    b_low = b - b_high
    product = a * b
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


@numba.njit(error_model="numpy")
def _scaled(mantissa, exponent):
    """Return mantissa * 10^exponent, and whether that is certain to be the nearest float64."""
    power = _POWERS_OF_TEN[min(abs(exponent), _LARGEST_POWER)]
    if mantissa <= _EXACT_INTEGERS and abs(exponent) <= _LARGEST_POWER:
        # Both parts are exact, so that one rounding is all there is.
        return (mantissa / power if exponent < 0 else mantissa * power), True
    if not -_LARGEST_POWER <= exponent < 0:
        return 0.0, False
    # A quotient in two parts: what the first one leaves is known exactly.
    high = float(mantissa)
    low = float(np.int64(mantissa - np.uint64(high)))
    quotient = high / power
    product, error = _product(quotient, power)
    rest = ((high - product) - error + low) / power
    doubt = abs(rest) * _DOUBT
    return quotient + rest, quotient + (rest - doubt) == quotient + (rest + doubt)


@compiled("int64(uint8[::1], int64[::1], float64[:, ::1], int64[::1], int64[:, ::1], int64[:, ::1])")
def _parse(text, text_ends, points, sub_list_ends, counts, hard):
    """Fill points, ends of sub-lists (in points of their segmentation) and counts of both for each text.

    Returns how many numbers are left to do, of which `hard` gets (flat index in points, start, stop) as far
    as it is large enough, or -1 if a text is of another shape.
    """
    left_to_do = 0
    position = point = sub_list = 0
    for index in range(len(text_ends)):
        first_point, first_sub_list = point, sub_list
        depth = coordinate = 0
        while position < text_ends[index]:
            character = text[position]
            position += 1
            if character == _OPENING:
                depth += 1
                coordinate = 0
                if depth > 3:
                    return -1
            elif character == _CLOSING:
                if depth == 3:
                    if coordinate != 3:
                        return -1
                    point += 1
                elif depth == 2:
                    sub_list_ends[sub_list] = point - first_point
                    sub_list += 1
                depth -= 1
            elif character == _MINUS or _ZERO <= character <= _NINE:
                if depth != 3 or coordinate == 3:
                    return -1
                # No function of its own: numba would count references to the text for every number.
                start = position - 1
                negative = character == _MINUS
                position -= not negative
                mantissa = np.uint64(0)
                digits = exponent = 0
                while _is_digit(text[position]):
                    mantissa = mantissa * _TEN + np.uint64(text[position] - _ZERO)
                    digits += digits > 0 or mantissa > 0  # a mantissa of 2^64 wraps to 0
                    position += 1
                if text[position] == _POINT:
                    position += 1
                    while _is_digit(text[position]):
                        mantissa = mantissa * _TEN + np.uint64(text[position] - _ZERO)
                        digits += digits > 0 or mantissa > 0
                        exponent -= 1
                        position += 1
                if text[position] == _SMALL_E or text[position] == _LARGE_E:
                    position += 1
                    down = text[position] == _MINUS
                    position += down or text[position] == _PLUS
                    power = 0
                    while _is_digit(text[position]):
                        power = min(10 * power + text[position] - _ZERO, 10_000)
                        position += 1
                    exponent += -power if down else power
                value, exact = _scaled(mantissa, exponent)
                points[point, coordinate] = -value if negative else value
                if not exact or digits > _MOST_DIGITS:
                    if left_to_do < len(hard):
                        hard[left_to_do, 0] = 3 * point + coordinate
                        hard[left_to_do, 1] = start
                        hard[left_to_do, 2] = position
                    left_to_do += 1
                coordinate += 1
            elif character != _COMMA and character > _SPACE:
                return -1
        if point == first_point and sub_list == first_sub_list and text[position - 1] != _CLOSING:
            return -1
        counts[index, 0] = point - first_point
        counts[index, 1] = sub_list - first_sub_list
    return left_to_do
