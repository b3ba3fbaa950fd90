import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from sai_bench_builtin.configs.fusion import NoFusionConfig, PowerConfig
from sai_bench_builtin.fusions.none import NoFusion
from sai_bench_builtin.fusions.power import Power

unit = st.floats(0, 1)
alphas = st.floats(0, 20)


def fuse_one(alpha, score, activity):
    rule = Power(PowerConfig(alpha=alpha))
    p = np.full((13, 3), 0.123)
    p[4, 2] = activity
    return float(rule(np.array([score]), np.array([4]), np.array([2]), p)[0])


@given(
    scores=arrays(float, 6, elements=unit),
    p=arrays(float, (13, 4), elements=unit),
    classes=arrays(np.int64, 6, elements=st.integers(0, 12)),
    frames=arrays(np.int64, 6, elements=st.integers(0, 3)),
    alpha=alphas,
)
def test_power_equals_the_formula_written_out_candidate_by_candidate(scores, p, classes, frames, alpha):
    expected = [
        s * math.pow(p[c, t], alpha)
        for s, c, t in zip(scores.tolist(), classes.tolist(), frames.tolist(), strict=True)
    ]
    fused = Power(PowerConfig(alpha=alpha))(scores, classes, frames, p)
    np.testing.assert_allclose(fused, expected, rtol=1e-12, atol=1e-300)


@given(alpha=alphas, scores=st.tuples(unit, unit), activities=st.tuples(unit, unit))
def test_power_never_ranks_more_score_or_more_activity_lower(alpha, scores, activities):
    low = fuse_one(alpha, min(scores), min(activities))
    assert low <= fuse_one(alpha, max(scores), min(activities))
    assert low <= fuse_one(alpha, min(scores), max(activities))


@given(alpha=alphas, score=unit, activity=unit)
def test_power_stays_between_zero_and_the_detector_score(alpha, score, activity):
    assert 0 <= fuse_one(alpha, score, activity) <= score


@given(alpha=alphas, score=unit)
def test_full_activity_leaves_the_score_alone(alpha, score):
    assert fuse_one(alpha, score, 1.0) == score


@given(score=unit, activity=st.sampled_from([0.0, 5e-324, 0.5, 1.0]))
def test_alpha_zero_ignores_the_prior_even_where_it_is_zero(score, activity):
    assert fuse_one(0.0, score, activity) == score


@given(alpha=st.floats(0.01, 20), score=unit)
def test_zero_activity_gives_score_zero_and_never_nan(alpha, score):
    assert fuse_one(alpha, score, 0.0) == 0.0


def test_default_alpha_is_the_reports_one_half():
    config = PowerConfig()
    fused = Power(config)(np.array([0.8]), np.array([0]), np.array([0]), np.array([[0.25]]))
    assert fused[0] == pytest.approx(0.4, abs=1e-15)


def test_negative_alpha_is_refused():
    with pytest.raises(ValidationError, match="alpha"):
        PowerConfig(alpha=-0.1)


@pytest.mark.parametrize("rule", [Power(PowerConfig()), NoFusion(NoFusionConfig())])
def test_no_candidates_give_no_scores(rule):
    nothing = np.empty(0, dtype=np.int64)
    assert rule(np.empty(0), nothing, nothing, np.ones((13, 2))).shape == (0,)


def test_no_fusion_returns_equal_scores_in_an_array_of_its_own():
    scores = np.array([0.0, 0.3, 1.0])
    fused = NoFusion(NoFusionConfig())(scores, np.array([0, 1, 2]), np.zeros(3, int), np.zeros((13, 1)))
    np.testing.assert_array_equal(fused, scores)
    fused[0] = 9
    assert scores[0] == 0
