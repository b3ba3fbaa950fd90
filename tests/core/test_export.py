import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sai_bench.errors import ContractError
from sai_bench.export import (
    checked_point_sets,
    dense_size_bytes,
    detections_of,
    fuse_and_select,
    untie,
)
from sai_bench.predictions import Detection, encode_detections
from sai_bench.regions import Regions, join
from sai_bench.spec.models import ExportSettings
from sai_bench_builtin.compressors.dense import Dense
from sai_bench_builtin.configs.compressor import DenseConfig

FRAMES = 6


def one_hot(classes):
    return np.eye(13, dtype=np.float16)[classes]


def make_regions(rng, candidates=60, masks=9, points=40):
    classes = rng.integers(0, 13, candidates).astype(np.uint8)
    return Regions(
        frame_count=np.int64(FRAMES),
        frames=np.sort(rng.integers(0, FRAMES, candidates)).astype(np.int32),
        scores=rng.choice([0.03, 0.2, 0.2, 0.7, 0.9], candidates).astype(np.float32),
        classes=classes,
        class_probabilities=one_hot(classes),
        masks=rng.integers(0, masks, candidates).astype(np.int32),
        mask_starts=np.arange(masks + 1) * points,
        pixels=rng.choice(64800, masks * points, replace=False).astype(np.uint16),
        energies=rng.integers(1, 256, masks * points).astype(np.uint8),
    )


def keep_scores(scores, classes, frames, p):
    return scores


ACTIVITY = np.ones((13, FRAMES))


def test_export_keeps_the_strongest_few_above_the_threshold_of_each_frame():
    regions = make_regions(np.random.default_rng(0))
    chosen = ExportSettings(score_threshold=0.1, detections_per_frame=3)
    selection = fuse_and_select(regions, ACTIVITY, keep_scores, chosen, "a")
    for frame in range(FRAMES):
        expected = sorted((s for s in regions.scores[regions.frames == frame] if s >= 0.1), reverse=True)[:3]
        mine = selection.scores[regions.frames[selection.candidates] == frame]
        np.testing.assert_allclose(mine, expected, atol=1e-6)
        assert (np.diff(mine) < 0).all()
    assert (np.diff(regions.frames[selection.candidates]) >= 0).all()
    assert len(np.unique(selection.scores)) == len(selection.scores)


def test_the_winner_among_equal_scores_depends_on_the_recording_and_not_on_the_class_number():
    # Thirteen classes share one mask and score, as a class-agnostic decoder leaves them.
    classes = np.tile(np.arange(13, dtype=np.uint8), 400)
    regions = Regions(
        np.int64(400),
        np.repeat(np.arange(400), 13).astype(np.int32),
        np.full(5200, 0.5, np.float32),
        classes,
        one_hot(classes),
        np.repeat(np.arange(400), 13).astype(np.int32),
        np.arange(401),
        np.zeros(400, np.uint16),
        np.full(400, 255, np.uint8),
    )
    chosen = ExportSettings(detections_per_frame=1)
    p = np.ones((13, 400))
    winners = {}
    for name in ("a", "b"):
        selection = fuse_and_select(regions, p, keep_scores, chosen, name)
        winners[name] = regions.classes[selection.candidates]
        again = fuse_and_select(regions, p, keep_scores, chosen, name)
        np.testing.assert_array_equal(again.candidates, selection.candidates)
    assert (winners["a"] != winners["b"]).mean() > 0.8
    counts = np.bincount(winners["a"], minlength=13)
    # 400 draws from 13 equal classes: chi-square with 12 degrees of freedom stays below 33 (p = 0.001).
    assert ((counts - 400 / 13) ** 2 / (400 / 13)).sum() < 33


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.05, 0.3, 0.3 + 2e-9, 0.9, 1.0]) | st.floats(0.01, 1), max_size=30))
def test_untied_scores_differ_keep_their_order_and_move_by_less_than_a_millionth(values):
    scores = np.array(values)
    lots = np.random.default_rng(1).permutation(len(values)).astype(np.uint64)
    untied = untie(scores, lots)
    assert len(np.unique(untied)) == len(untied)
    assert np.abs(untied - scores).max(initial=0) < 1e-6
    for i in range(len(values)):
        for j in range(len(values)):
            if scores[i] > scores[j] + 1e-7:
                assert untied[i] > untied[j]


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (lambda s, c, f, p: s[:-1], "shape"),
        (lambda s, c, f, p: s * np.nan, "expected a number in \\[0, 1\\]"),
        (lambda s, c, f, p: s + 1, "expected a number in \\[0, 1\\]"),
        (lambda s, c, f, p: np.array(["x"] * len(s)), "expected numbers"),
    ],
)
def test_a_fusion_rule_that_breaks_its_contract_is_named(rule, says):
    with pytest.raises(ContractError, match=says):
        fuse_and_select(make_regions(np.random.default_rng(0)), ACTIVITY, rule, ExportSettings(), "a")


def test_an_activity_for_other_frames_is_refused():
    regions = make_regions(np.random.default_rng(0))
    with pytest.raises(ContractError, match=r"shape \(13, 7\)"):
        fuse_and_select(regions, np.ones((13, FRAMES + 1)), keep_scores, ExportSettings(), "a")


@pytest.mark.parametrize(
    "broken",
    [
        [],
        None,
        iter([np.array([[1.0, 2, 1]])]),
        [np.zeros((0, 3))],
        [np.zeros((2, 2))],
        [["left", "right"]],
        [np.array([[360.0, 0, 1]])],
        [np.array([[0.0, 179.5, 1]])],
        [np.array([[0.0, 0, np.nan]])],
        [np.array([[np.nan, 0, 1]])],
        [np.array([[1.0, 0, -0.5]])],
        [np.array([[1.0, 0, 1.5]])],
    ],
)
def test_a_compressor_that_breaks_its_contract_is_named(broken):
    with pytest.raises(ContractError, match="Compressor Broken"):
        checked_point_sets(broken, [np.array([[1.0, 2, 1]])], "Broken")


def test_a_compressor_may_return_lists_of_tuples():
    (points,) = checked_point_sets([[(1, 2, 0.5)]], [np.array([[1.0, 2, 1]])], "Listing")
    np.testing.assert_array_equal(points, [[1, 2, 0.5]])


def test_a_compressor_cannot_change_scores():
    regions = make_regions(np.random.default_rng(0))
    selection = fuse_and_select(regions, ACTIVITY, keep_scores, ExportSettings(), "a")
    before = selection.scores.copy()

    def greedy(point_sets, scores):
        scores /= 2
        return point_sets

    detections = detections_of(regions, selection, greedy, ExportSettings())
    np.testing.assert_array_equal([d.score for d in detections], before)


def test_single_precision_points_take_no_more_room():
    points = np.array([[1, 2, 0.102], [359.9999, 3, 0.5]])
    single, double = (
        encode_detections([Detection(0, 1, 0.5, points.astype(kind))]) for kind in (np.float32, np.float64)
    )
    assert len(single) == len(double)
    assert b"[0.0,3.0,0.5]" in encode_detections([Detection(0, 1, 0.5, points)])


def test_the_dense_size_is_what_writing_everything_would_take():
    regions = make_regions(np.random.default_rng(3))
    chosen = ExportSettings(mask_energy=0.3)
    selection = fuse_and_select(regions, ACTIVITY, keep_scores, chosen, "a")
    written = encode_detections(detections_of(regions, selection, Dense(DenseConfig()), chosen))
    assert dense_size_bytes(regions, selection, chosen) == len(written)


def test_joined_segments_keep_each_candidate_with_its_mask():
    rng = np.random.default_rng(5)
    parts = [make_regions(rng), Regions.empty(FRAMES), make_regions(rng)]
    whole = join(parts, [0, FRAMES, 2 * FRAMES], 3 * FRAMES)
    assert len(whole) == 120
    assert whole.frame_count == 18
    for part, first, offset in ((parts[0], 0, 0), (parts[2], 12, 60)):
        for i in range(60):
            assert whole.frames[offset + i] == part.frames[i] + first
            assert whole.classes[offset + i] == part.classes[i]
            np.testing.assert_array_equal(whole.points(whole.masks[offset + i]), part.points(part.masks[i]))
    again = Regions.from_arrays(whole.arrays())
    np.testing.assert_array_equal(again.pixels, whole.pixels)
    np.testing.assert_array_equal(again.classes, whole.classes)


def test_points_are_columns_rows_and_shares_of_the_peak():
    regions = Regions(
        np.int64(1),
        np.zeros(1, np.int32),
        np.ones(1, np.float32),
        np.array([3], np.uint8),
        one_hot([3]),
        np.zeros(1, np.int32),
        np.array([0, 3]),
        np.array([0, 361, 64799], np.uint16),
        np.array([255, 51, 10], np.uint8),
    )
    np.testing.assert_allclose(regions.points(0), [[0, 0, 1], [1, 1, 0.2], [359, 179, 10 / 255]])
    np.testing.assert_allclose(regions.points(0, 0.1), [[0, 0, 1], [1, 1, 0.2]])
