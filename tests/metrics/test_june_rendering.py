"""Energy maps of the June evaluator against griddata on the whole canvas, and its quirks."""

import math

import numpy as np
import pytest
from scipy.spatial import Delaunay

from sai_bench.metrics.june.rendering import draws_infinity, draws_nothing, footprint, render
from sai_bench.metrics.june.sure_triangulation import is_sound, sure_triangles, triangulate

BLOB = [(50.0, 60.0, 1.0), (70.0, 60.0, 0.5), (60.0, 80.0, 0.25), (52.0, 75.0, 0.9)]


def round_sets(rng):
    centre = rng.uniform([0, 0], [360, 180])
    return centre + rng.normal(0, rng.uniform(2, 25), (int(rng.integers(3, 80)), 2))


def polar_sets(rng):
    count, height = int(rng.integers(3, 80)), rng.uniform(4, 30)
    y = rng.uniform(0, height, count)
    return np.column_stack([rng.uniform(0, 360, count), y if rng.random() < 0.5 else 180 - y])


def seam_sets(rng):
    return rng.uniform([350, 60], [372, 90], (int(rng.integers(3, 250)), 2))


def lattices(rng):
    """Points that often fall on canvas positions, on common circles and on each other."""
    step = 18 / rng.choice([1, 2, 3, 6])
    return np.round(rng.uniform(0, 12, (int(rng.integers(3, 60)), 2))) * step


def discs(rng):
    """Every whole pixel of a disc: what a compressor without reduction writes."""
    y, x = np.mgrid[60:110, 90:140]
    inside = np.hypot(x - rng.uniform(100, 130), y - rng.uniform(70, 100)) < rng.uniform(3, 9)
    return rng.permutation(np.column_stack([x[inside], y[inside]]).astype(float))


SETS = [round_sets, polar_sets, seam_sets, lattices, discs]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("decimals", [0, 2, 6])
@pytest.mark.parametrize("make", SETS, ids=lambda f: f.__name__)
def test_maps_equal_griddata_on_the_whole_canvas(plain_june, make, decimals, seed):
    rng = np.random.default_rng([seed, decimals])
    for _ in range(60):
        points = make(rng)
        points[:, 0] %= 360
        points = np.round(np.clip(points, 0, [360, 180]), decimals)
        points = np.column_stack([points, rng.uniform(0.05, 1, len(points)).round(3)])
        plain = plain_june.render([points.tolist()])
        drawn = render([points])
        assert drawn.energy.dtype == plain.dtype
        np.testing.assert_allclose(drawn.energy, plain, rtol=0, atol=1e-10)
        np.testing.assert_array_equal(drawn.energy > 0, plain > 0)
        assert draws_nothing([points]) == drawn.is_empty == (plain.max() == 0)
        occupied = np.flatnonzero(plain.any(axis=1))
        if len(occupied):
            assert (drawn.first_row, drawn.last_row) == (occupied[0], occupied[-1] + 1)
        where = footprint([points])
        rows, columns = np.nonzero(plain)
        assert all(where.rows >> int(row) & 1 for row in rows)
        assert all(where.columns >> int(column) & 1 for column in columns)


@pytest.mark.parametrize("seed", range(20))
def test_odd_intensities_are_drawn_as_by_griddata(plain_june, seed):
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.uniform(40, 90, (30, 2)), rng.uniform(-0.5, 1, 30)])
    points[rng.integers(0, 30, 3), 2] = [math.nan, 0.0, math.inf][seed % 3]
    with np.errstate(over="ignore"):
        plain = plain_june.render([points.tolist()])
    np.testing.assert_allclose(render([points]).energy, plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize("orders_of_magnitude", [14, 17, 20, 30])
def test_intensities_far_apart_draw_where_griddata_draws(plain_june, orders_of_magnitude):
    rng = np.random.default_rng(orders_of_magnitude)
    for _ in range(200):
        count = int(rng.integers(3, 12))
        # Corners on the canvas's own positions, so that edges run through others.
        points = np.column_stack([rng.integers(0, 11, count) * 18.0, rng.integers(0, 11, count) * 18.0])
        points = np.column_stack([points, 10.0 ** rng.uniform(-orders_of_magnitude, 0, count)])
        drawn, plain = render([points]).energy, plain_june.render([points.tolist()])
        np.testing.assert_array_equal(drawn > 0, plain > 0)
        np.testing.assert_allclose(drawn, plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize("count", [20, 80, 400])
@pytest.mark.parametrize("whole", [True, False])
def test_every_sure_triangle_is_one_of_qhulls(count, whole):
    rng = np.random.default_rng(count)
    sure_ones = 0
    for _ in range(10):
        points = rng.uniform(50, 50 + 3 * math.sqrt(count), (count, 2))
        if whole:
            points = rng.permutation(np.unique(np.rint(points), axis=0))
        points = (points.astype(np.float32) * np.float32(100 / 360)).astype(float)
        x, y = np.ascontiguousarray(points.T)
        corner, twin = triangulate(x, y)
        assert is_sound(x, y, corner, twin)
        sure = sure_triangles(x, y, corner, twin)
        qhulls = {tuple(sorted(t)) for t in Delaunay(points).simplices.tolist()}
        ours = {tuple(sorted(t)) for t in corner.reshape(-1, 3)[sure].tolist()}
        assert ours <= qhulls
        if not whole:
            assert len(ours) >= 0.97 * len(qhulls)  # slivers along the hull are never sure
        sure_ones += len(ours)
    assert sure_ones > 5 * count


def test_triangles_of_a_rectangle_are_not_sure_and_those_of_a_kite_are():
    for fourth, expected in (((1.0, 1.0), False), ((1.5, 1.5), True)):
        x, y = np.array([[0, 0], [1, 0], [0, 1], fourth]).T
        x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)
        assert (sure_triangles(x, y, *triangulate(x, y)) == expected).all()


@pytest.mark.parametrize(
    "points",
    [
        [(0, 0), (1, 0)],
        [(0, 0), (1, 1), (2, 2), (3, 3)],
        [(0, 0), (1, 0), (0, 1), (1, 0)],
        [(5, 5), (5, 5), (5, 5)],
    ],
)
def test_points_on_a_line_or_on_each_other_are_left_to_qhull(points):
    x, y = np.ascontiguousarray(np.array(points, float).T)
    assert not len(triangulate(x, y)[0])


def test_a_folded_triangulation_is_not_sound():
    x, y = np.array([0.0, 2, 2, 0, 1]), np.array([0.0, 0, 2, 2, 1])
    corner, twin = triangulate(x, y)
    assert is_sound(x, y, corner, twin)
    x[4] = 3.0  # the middle point is now outside
    assert not is_sound(x, y, corner, twin)


@pytest.mark.parametrize(
    "points", [[(36.0, 36.0)], [(36.0, 36.0), (72.0, 36.0)], [(36, 36), (54, 36), (72, 36)]]
)
def test_few_or_collinear_points_are_set_on_the_nearest_positions(points):
    drawn = render([[(x, y, 0.5) for x, y in points]])
    assert drawn.energy.dtype == np.float32
    rows, columns = np.nonzero(drawn.energy)
    assert list(zip(columns.tolist(), rows.tolist(), strict=True)) == [
        (round(x / 3.6), 10) for x, _ in points
    ]
    assert (drawn.energy[rows, columns] == 1).all()


def test_half_way_points_go_to_the_even_position():
    drawn = render([[(1.8, 5.4, 1.0)]])  # column 0.5, row 1.5
    assert drawn.energy[2, 0] == 1


def test_the_last_column_is_the_first_and_the_last_row_is_49():
    drawn = render([[(360.0, 180.0, 1.0)]])
    assert drawn.energy[49, 0] == 1


def test_hulls_are_filled_and_several_point_sets_are_not_bridged():
    left, right = ([(x + dx, 90 + dy, 1.0) for dx, dy in ((0, 0), (15, 0), (0, 15))] for x in (36, 108))
    together, apart = render([left + right]), render([left, right])
    assert together.energy[26, 25] > 0
    assert apart.energy[26, 25] == 0
    assert (together.energy > 0).sum() > (apart.energy > 0).sum()


def test_sets_across_the_seam_do_not_fill_the_other_way_round():
    drawn = render([[(350.0, 80.0, 1.0), (10.0, 80.0, 1.0), (0.0, 100.0, 1.0)]])
    columns = np.flatnonzero(drawn.energy.any(axis=0))
    assert set(columns.tolist()) <= {0, 1, 2, 97, 98, 99}
    assert 0 in columns


def test_a_ring_around_the_pole_is_unwrapped_and_leaves_the_seam_open():
    ring = [(float(x), y, 1.0) for x in range(10, 351, 10) for y in (8.0, 16.0)]
    filled = render([ring]).energy[3] > 0
    assert filled[3:97].all()
    assert not filled[[0, 99]].any()


@pytest.mark.parametrize(
    "points",
    [
        [(10.0, 1.0, 1.0), (20.0, 1.0, 1.0), (15.0, 3.0, 1.0)],
        [(10.0, 177.0, 1.0), (50.0, 179.0, 1.0), (30.0, 178.0, 1.0)],
        [(37.0, 37.0, 1.0), (39.0, 37.0, 1.0), (38.0, 39.0, 1.0)],
        [(37.0, 37.0, -1.0)],
        [(37.0, 37.0, math.nan)],
        [],
    ],
)
def test_what_lies_between_the_positions_or_has_no_energy_draws_nothing(points):
    assert draws_nothing([points])
    assert render([points]).is_empty
    assert not draws_nothing([points, BLOB])


def test_footprints_of_regions_apart_do_not_meet():
    shifted = [[(x + dx, y + dy, e) for x, y, e in BLOB] for dx, dy in ((200, 0), (0, 80), (5, 5))]
    own = footprint([BLOB])
    assert [own.meets(footprint([other])) for other in shifted] == [False, False, True]
    both_sides_of_the_seam = [(x - 60 if x > 60 else x + 300, y, e) for x, y, e in BLOB]
    assert footprint([both_sides_of_the_seam]).meets(footprint([[(0.0, 60.0, 1.0)]]))
    assert not footprint([[]]).meets(own)


def test_peaks_are_one_unless_hardly_there():
    assert render([BLOB]).energy.max() == 1
    assert render([[(x, y, 5 * e) for x, y, e in BLOB]]).energy == pytest.approx(render([BLOB]).energy)
    faint = render([[(x, y, 1e-9 * e) for x, y, e in BLOB]])
    assert 0 < faint.energy.max() < 1e-8


def test_infinity_is_drawn_only_where_points_are_set_one_by_one():
    assert draws_infinity(np.array([(50.0, 60.0, math.inf)]))
    assert draws_infinity(np.array([(50.0, 60.0, 1e39)]))
    assert not draws_infinity(np.array([(50.0, 60.0, -math.inf)]))
    assert not draws_infinity(np.array([*BLOB, (61.0, 66.0, math.inf)]))
