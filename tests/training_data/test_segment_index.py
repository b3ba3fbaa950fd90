"""Drawing segments: how often each comes up, by formula."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import qmc

from sai_bench.training.segment_index import SegmentDraw, SegmentIndex

FRAMES = 4
LENGTHS = [20, 3, 12]


def occurrences():
    """Class 1 often, class 5 rarely, together in some frames; one recording is shorter than a segment."""
    first = [(n, 1) for n in range(0, 12)] + [(n, 5) for n in range(10, 12)]
    second = [(1, 7)]
    third = [(6, 5), (6, 1), (30, 2)]
    return [tuple(np.array(p).T) for p in (first, second, third)]


@pytest.fixture
def index():
    return SegmentIndex.of(LENGTHS, occurrences(), FRAMES)


def content(recording, first):
    """Regions per class in a segment, counted one by one; what lies beyond the recording does not count."""
    frames, classes = occurrences()[recording]
    return Counter(
        int(c)
        for f, c in zip(frames, classes, strict=True)
        if first <= f < min(first + FRAMES, LENGTHS[recording])
    )


def places():
    return [(r, f) for r, length in enumerate(LENGTHS) for f in range(max(1, length - FRAMES + 1))]


def drawn_shares(index, balance, silent):
    """How often each place comes up for random numbers that fill the cube evenly."""
    draw, numbers = SegmentDraw(index, balance, silent), qmc.Sobol(3, rng=0).random(2**15)
    starts = Counter(index.place(draw.start(*three)) for three in numbers)
    return {place: starts[place] / len(numbers) for place in places()}


def expected_shares(balance, silent):
    amounts = Counter()
    for place in places():
        counts = content(*place)
        for category, count in counts.items():
            amounts[category] += count / counts.total()
    silences = sum(not content(*place) for place in places())
    everything = silent * silences + sum(amounts.values())
    wanted = {category: amount ** (1 - balance) for category, amount in amounts.items()}
    shares = {}
    for place in places():
        counts = content(*place)
        shares[place] = silent / everything if not counts else 0.0
        for category, count in counts.items():
            of_class = wanted[category] / sum(wanted.values()) * sum(amounts.values()) / everything
            shares[place] += of_class * count / counts.total() / amounts[category]
    return shares


def test_all_starts_are_there(index):
    assert len(index) == len(places()) == 17 + 1 + 9
    assert [index.place(n) for n in range(len(index))] == places()


@pytest.mark.parametrize(("balance", "silent"), [(0, 1), (0, 0.25), (1, 1), (1, 0), (0.5, 0.5)])
def test_segments_come_up_as_often_as_the_formula_says(index, balance, silent):
    found, expected = drawn_shares(index, balance, silent), expected_shares(balance, silent)
    np.testing.assert_allclose([found[p] for p in places()], [expected[p] for p in places()], atol=0.003)


def test_without_balance_every_segment_comes_up_alike():
    shares = expected_shares(0, 1)
    np.testing.assert_allclose(list(shares.values()), 1 / len(shares))


def test_silence_alone_can_be_drawn_but_not_without_a_share():
    nothing = (np.empty(0, int), np.empty(0, int))
    index = SegmentIndex.of([10], [nothing], FRAMES)
    assert {SegmentDraw(index, 1, 1).start(0.3, 0.9, u) for u in np.linspace(0, 0.999, 50)} == set(range(7))
    assert not SegmentDraw(index, 0, 0).is_possible
