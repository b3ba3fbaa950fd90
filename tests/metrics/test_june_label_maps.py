"""Label maps that the June metric keeps from one scoring to the next: the same bits, and not drawn again."""

import math

import numpy as np
import pytest

from sai_bench.metrics.june import label_maps
from sai_bench.metrics.june.label_maps import WORTH_KEEPING_POINTS, LabelMaps
from sai_bench.metrics.june.rendering import render

CASE_NAMES = ("sparse", "fractional", "dense")
LATTICE = [(100.0 + 2 * x, 60.0 + 2 * y, 1 / (1 + x + y)) for x in range(6) for y in range(6)]
"""Rectangles: only Qhull knows how it cuts them."""
KITE = [(60.0, 40.0, 1.0), (90.0, 40.0, 0.5), (60.0, 70.0, 0.5), (96.0, 76.0, 0.7)]


@pytest.fixture
def drawn(monkeypatch):
    """Collect what has to be drawn."""
    calls = []

    def counting(segmentation):
        calls.append(segmentation)
        return render(segmentation)

    monkeypatch.setattr(label_maps, "render", counting)
    return calls


def another_system(predictions, seed):
    """Shuffle predictions: regions go to other classes and frames, and a fifth is lost."""
    rng = np.random.default_rng(seed)
    regions = [predictions[i].segmentation for i in rng.permutation(len(predictions))]
    for annotation, region in zip(predictions, regions, strict=True):
        if rng.random() < 0.8:
            yield type(annotation)(
                annotation.metadata_frame_index, annotation.category_id, region, float(rng.random())
            )


def bits(part):
    return {name: (array.dtype, array.shape, array.tobytes()) for name, array in part.items()}


@pytest.mark.parametrize("case", CASE_NAMES)
def test_numbers_are_the_same_to_the_last_bit_whatever_was_scored_before(june, june_files, case):
    kept = 0
    for labels_path, predictions_path in june_files(case):
        labels, own = june.read(labels_path, "label"), june.read(predictions_path, "prediction")
        systems = [own, *(list(another_system(own, seed)) for seed in range(3)), own]
        memory = {}
        for predictions in systems:
            part, more = june.score_with_memory(predictions, labels, memory)
            assert bits(part) == bits(june.score_recording(predictions, labels))
            memory = more or memory
        assert more is None
        kept += len(memory["keys"]) if memory else 0
    assert kept > 10 or case == "fractional"


def odd_regions():
    rng = np.random.default_rng(0)
    yield from ([LATTICE], [LATTICE, KITE], [[(36, 36, 0.5), (54, 36, 0.25), (72, 36, 1.0)]])
    yield [[(x % 360, y, e) for x, y, e in LATTICE for x in (x + 250,)]]  # across the seam
    yield [[(37.0 + dx, 37.0 + dy, 1.0) for dx in (0, 1) for dy in (0, 1)]]  # draws nothing
    yield [[(x, y, 1e-9 * e) for x, y, e in LATTICE]]
    for odd in (math.nan, 0.0, -0.0, -1.0, 1e-300, 3e38):
        yield [[*LATTICE, (105.0, 65.0, odd)]]
    for count in (3, 30, WORTH_KEEPING_POINTS, 400):
        yield [np.column_stack([rng.uniform(0, 360, count), rng.uniform(0, 180, count), rng.random(count)])]


@pytest.mark.parametrize("region", list(odd_regions()))
def test_a_kept_map_is_the_drawn_one_bit_by_bit(region, drawn):
    first = LabelMaps({})
    expected = first.map_of(region)
    memory = first.memory()
    costly = render(region).by_qhull or len(region[0]) >= WORTH_KEEPING_POINTS
    assert (memory is not None) == costly
    if not costly:
        return
    drawn.clear()
    found = LabelMaps(memory).map_of(region)
    assert not drawn
    assert found.energy.dtype == expected.energy.dtype
    assert found.energy.tobytes() == expected.energy.tobytes()
    assert (found.first_row, found.last_row) == (expected.first_row, expected.last_row)


def test_float32_maps_are_among_those_kept():
    line = [[(36.0, 36.0, 0.3), (54.0, 36.0, 0.1), (72.0, 36.0, 0.7)]]
    maps = LabelMaps({})
    assert maps.map_of(line).energy.dtype == np.float32
    assert LabelMaps(maps.memory()).map_of(line).energy.dtype == np.float32


def test_what_another_system_met_is_not_drawn_again_and_what_it_missed_is_added(june, region, drawn):
    places = [[(x + dx, y, e) for x, y, e in LATTICE] for dx in (0, 40, 80)]
    labels = [region(place, frame=frame) for frame, place in enumerate(places)]
    systems = [[region(places[f], frame=f, score=0.5) for f in frames] for frames in ((0, 1), (1, 2))]
    _, memory = june.score_with_memory(systems[0], labels, {})
    assert len(drawn) == len(memory["keys"]) == 2  # not the third, which no prediction met
    drawn.clear()
    _, memory = june.score_with_memory(systems[1], labels, memory)
    assert [label == labels[2].segmentation for label in drawn] == [True]
    assert len(memory["keys"]) == 3
    for predictions in systems:
        drawn.clear()
        assert june.score_with_memory(predictions, labels, memory)[1] is None
        assert not drawn


def test_a_label_that_stands_still_is_kept_once(june, region):
    labels = [region(LATTICE, frame=frame) for frame in range(5)]
    predictions = [region(LATTICE, frame=frame, score=0.5) for frame in range(5)]
    _, memory = june.score_with_memory(predictions, labels, {})
    assert len(memory["keys"]) == 1


def test_the_same_points_in_other_sets_are_another_label():
    half = len(LATTICE) // 2
    maps = LabelMaps({})
    maps.map_of([LATTICE])
    apart = [LATTICE[:half], LATTICE[half:]]
    found = LabelMaps(maps.memory()).map_of(apart)
    np.testing.assert_array_equal(found.energy, render(apart).energy)
    assert (found.energy != render([LATTICE]).energy).any()


def test_what_is_kept_of_a_recording_has_a_limit(monkeypatch):
    one = LabelMaps({})
    one.map_of([LATTICE])
    size = len(one.memory()["values"])
    monkeypatch.setattr(label_maps, "MOST_VALUES", 3 * size)
    maps = LabelMaps(one.memory())
    for shift in range(0, 180, 18):  # five positions of the grid: maps of the same size
        region = [[(x + shift, y, e) for x, y, e in LATTICE]]
        np.testing.assert_array_equal(maps.map_of(region).energy, render(region).energy)
    assert 2 * size <= len(maps.memory()["values"]) <= 3 * size


def test_nothing_is_remembered_after_scoring_even_if_that_failed(june, region, drawn):
    labels, predictions = [region(LATTICE)], [region(LATTICE, score=0.5)]
    broken = [*predictions, None]
    with pytest.raises(AttributeError):
        june.score_with_memory(broken, labels, {})
    june.score_recording(predictions, labels)
    assert not drawn  # what is drawn through `label_maps` is what a memory asks for
