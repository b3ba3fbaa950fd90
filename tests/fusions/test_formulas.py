"""Each rule against its formula, written out candidate by candidate, and the special cases it names."""

import math
from statistics import mean

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sai_bench_builtin.configs.fusion import (
    GeometricConfig,
    LogOddsConfig,
    NoisyOrConfig,
    PowerConfig,
    PresenceConfig,
    RankAverageConfig,
)
from sai_bench_builtin.fusions.geometric import Geometric
from sai_bench_builtin.fusions.log_odds import LogOdds
from sai_bench_builtin.fusions.noisy_or import NoisyOr
from sai_bench_builtin.fusions.power import Power
from sai_bench_builtin.fusions.presence import Presence
from sai_bench_builtin.fusions.rank_average import RankAverage

unit = st.floats(0, 1)
inside = st.floats(1e-6, 1 - 1e-6)


@pytest.fixture
def recording():
    """Forty candidates, some alike, of a recording of 31 frames."""
    numbers = np.random.default_rng(5)
    scores = np.round(numbers.random(40), 1)
    return scores, numbers.integers(0, 13, 40), numbers.integers(0, 31, 40), numbers.random((13, 31)) ** 3


def one(rule, score, activity):
    p = np.full((13, 3), 0.123)
    p[4, 2] = activity
    return float(rule(np.array([score]), np.array([4]), np.array([2]), p)[0])


@given(s=inside, p=inside, weight=st.floats(0.1, 5), alpha=st.floats(0, 5), neutral=st.floats(0.01, 0.99))
def test_log_odds_adds_the_logits(s, p, weight, alpha, neutral):
    rule = LogOdds(
        LogOddsConfig(score_weight=weight, alpha=alpha, neutral_activity=neutral, activity_margin=1e-6)
    )
    logit = scipy.special.logit
    expected = scipy.special.expit(weight * logit(s) + alpha * (logit(p) - logit(neutral)))
    assert one(rule, s, p) == pytest.approx(expected, rel=1e-9)


def test_log_odds_with_weights_one_is_bayes_rule_for_independent_evidence():
    # A class sounds in 10% of all cases. Two independent tests, each positive 8 times as often when it does.
    neutral, ratio = 0.1, 8.0
    single = ratio * neutral / (ratio * neutral + 1 - neutral)
    both = ratio**2 * neutral / (ratio**2 * neutral + 1 - neutral)
    rule = LogOdds(LogOddsConfig(score_weight=1, alpha=1, neutral_activity=neutral))
    assert one(rule, single, single) == pytest.approx(both, rel=1e-12)


@given(s=unit, neutral=st.floats(0.01, 0.99))
def test_neutral_activity_and_alpha_zero_keep_the_score(s, neutral):
    config = LogOddsConfig(neutral_activity=neutral)
    assert one(LogOdds(config), s, neutral) == pytest.approx(s, rel=1e-12, abs=1e-300)
    assert one(LogOdds(LogOddsConfig(alpha=0)), s, 0.9) == pytest.approx(s, rel=1e-12, abs=1e-300)


@given(s=st.sampled_from([0.0, 1.0]), p=unit)
def test_log_odds_never_moves_a_certain_score(s, p):
    assert one(LogOdds(LogOddsConfig(alpha=100)), s, p) == s


@given(s=inside)
def test_log_odds_goes_no_further_than_the_margin(s):
    config = LogOddsConfig(activity_margin=0.01)
    assert one(LogOdds(config), s, 1.0) == one(LogOdds(config), s, 0.99) > s
    assert 0 < one(LogOdds(config), s, 0.0) == one(LogOdds(config), s, 0.01) < s


def test_a_neutral_activity_that_the_margin_hides_is_refused():
    with pytest.raises(ValidationError, match="lower the margin"):
        LogOddsConfig(neutral_activity=0.005, activity_margin=0.01)


@given(s=unit, p=unit, weight=unit)
def test_geometric_equals_its_formula_and_lies_between_score_and_activity(s, p, weight):
    fused = one(Geometric(GeometricConfig(weight=weight)), s, p)
    assert fused == pytest.approx(math.pow(s, 1 - weight) * math.pow(p, weight), rel=1e-12)
    assert min(s, p) * (1 - 1e-12) <= fused <= max(s, p) * (1 + 1e-12)


@given(s=unit, p=unit)
def test_geometric_at_its_ends_and_in_the_middle(s, p):
    assert one(Geometric(GeometricConfig(weight=0)), s, p) == s
    assert one(Geometric(GeometricConfig(weight=1)), s, p) == p
    assert one(Geometric(GeometricConfig()), s, p) == pytest.approx(math.sqrt(s) * math.sqrt(p), rel=1e-12)


def test_geometric_ranks_like_the_reports_power_at_weight_one_third(recording):
    power = Power(PowerConfig(alpha=0.5))(*recording)
    geometric = Geometric(GeometricConfig(weight=1 / 3))(*recording)
    np.testing.assert_allclose(geometric, power ** (2 / 3), rtol=1e-12)


@given(s=unit, p=unit, strength=unit)
def test_noisy_or_equals_its_formula(s, p, strength):
    fused = one(NoisyOr(NoisyOrConfig(strength=strength)), s, p)
    assert fused == pytest.approx(1 - (1 - s) * (1 - strength * p), rel=1e-12, abs=1e-15)


@given(s=unit, p=unit)
def test_noisy_or_at_its_ends(s, p):
    assert one(NoisyOr(NoisyOrConfig(strength=0)), s, p) == s
    assert one(NoisyOr(NoisyOrConfig()), s, 0.0) == s
    assert one(NoisyOr(NoisyOrConfig(strength=1)), 0.0, p) == p
    assert one(NoisyOr(NoisyOrConfig()), 1.0, p) == 1.0


@pytest.mark.parametrize(
    ("share", "frames_counted"), [(0, 1), (0.01, 1), (0.1, 4), (0.5, 16), (20 / 31, 20), (1, 31)]
)
def test_presence_is_the_mean_of_the_top_share_of_the_whole_recording(recording, share, frames_counted):
    scores, classes, _, p = recording
    fused = Presence(PresenceConfig(alpha=0.7, top_share=share))(*recording)
    presence = [mean(sorted(row)[-frames_counted:]) for row in p.tolist()]
    expected = [s * presence[c] ** 0.7 for s, c in zip(scores.tolist(), classes.tolist(), strict=True)]
    np.testing.assert_allclose(fused, expected, rtol=1e-12)


def test_a_top_share_that_rounding_puts_above_a_whole_number_counts_that_number():
    p = np.zeros((13, 100))
    p[0, :7] = 1
    assert 0.07 * 100 > 7
    assert Presence(PresenceConfig(top_share=0.07))(np.ones(1), np.zeros(1, int), np.zeros(1, int), p) == 1


def test_presence_ignores_when_the_class_sounds():
    p = np.zeros((13, 100))
    p[2, 40:60] = 1
    fused = Presence(PresenceConfig())(np.array([0.3, 0.3]), np.array([2, 2]), np.array([0, 50]), p)
    np.testing.assert_array_equal(fused, [0.3, 0.3])


@given(s=unit, p=st.floats(0.001, 1), alpha=st.floats(0, 5))
def test_presence_of_a_steady_activity_is_power(s, p, alpha):
    steady = np.full((13, 20), p)
    arguments = (np.array([s]), np.array([4]), np.array([2]), steady)
    np.testing.assert_allclose(
        Presence(PresenceConfig(alpha=alpha, top_share=0.35))(*arguments),
        Power(PowerConfig(alpha=alpha))(*arguments),
        rtol=1e-12,
    )


@pytest.mark.parametrize("weight", [0, 0.3, 0.5, 1])
def test_average_ranks_are_those_of_scipy(recording, weight):
    scores, classes, frames, p = recording
    fused = RankAverage(RankAverageConfig(weight=weight, scale="ranks"))(*recording)
    ranks = [(scipy.stats.rankdata(values) - 0.5) / 40 for values in (scores, p[classes, frames])]
    np.testing.assert_allclose(fused, (1 - weight) * ranks[0] + weight * ranks[1], rtol=1e-12)


def test_dealt_scores_follow_the_average_ranks_and_ties_share_the_mean():
    # Ranks of the scores 1 2 3 4, of the activities 1 4 3 2: sums 2 6 6 6, so three candidates tie.
    p = np.zeros((13, 4))
    p[0] = [0.1, 0.9, 0.8, 0.5]
    fused = RankAverage(RankAverageConfig())(
        np.array([0.2, 0.3, 0.5, 0.7]), np.zeros(4, int), np.arange(4), p
    )
    np.testing.assert_allclose(fused, [0.2, 0.5, 0.5, 0.5], rtol=1e-15)


def test_dealt_scores_are_the_detectors_in_the_order_of_the_activities_at_weight_one():
    p = np.zeros((13, 3))
    p[7] = [0.5, 0.9, 0.1]
    rule = RankAverage(RankAverageConfig(weight=1))
    fused = rule(np.array([0.9, 0.1, 0.4]), np.full(3, 7), np.arange(3), p)
    np.testing.assert_array_equal(fused, [0.4, 0.9, 0.1])


@pytest.mark.parametrize("scale", ["scores", "ranks"])
def test_only_the_order_of_the_activities_counts(recording, scale):
    *candidates, p = recording
    rule = RankAverage(RankAverageConfig(weight=0.3, scale=scale))
    np.testing.assert_array_equal(rule(*candidates, p), rule(*candidates, 0.2 + 0.5 * p**2))


def test_weight_zero_and_equal_scores_keep_the_scores(recording):
    scores, *rest = recording
    kept = RankAverage(RankAverageConfig(weight=0))(scores, *rest)
    np.testing.assert_allclose(kept, scores, rtol=1e-15)
    equal = RankAverage(RankAverageConfig())(np.full(40, 0.3), *rest)
    np.testing.assert_allclose(equal, 0.3, rtol=1e-15)
