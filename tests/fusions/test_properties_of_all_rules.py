"""What every fusion rule promises, and for which of them full activity changes nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sai_bench.plugin_loading import load_plugins

CLASSES, FRAMES = 13, 40

RULES = {
    "none": ("none", {}),
    "power": ("power", {"alpha": 0.5}),
    "power, ignoring": ("power", {"alpha": 0}),
    "log odds": ("log_odds", {}),
    "log odds, strong": ("log_odds", {"score_weight": 2, "alpha": 30, "neutral_activity": 0.1}),
    "geometric": ("geometric", {}),
    "geometric, prior only": ("geometric", {"weight": 1}),
    "rank average": ("rank_average", {}),
    "rank average, as ranks": ("rank_average", {"scale": "ranks"}),
    "noisy or": ("noisy_or", {}),
    "noisy or, full": ("noisy_or", {"strength": 1}),
    "presence": ("presence", {}),
    "presence, maximum": ("presence", {"top_share": 0}),
    "presence, mean": ("presence", {"top_share": 1, "alpha": 2}),
}
KEEP_SCORES_WHERE_ALL_ACTIVITY_IS_FULL = {
    "none",
    "power",
    "power, ignoring",
    "rank average",
    "presence",
    "presence, maximum",
    "presence, mean",
}
NEVER_RAISE = {"none", "power", "power, ignoring", "presence", "presence, maximum", "presence, mean"}
NEVER_LOWER = {"none", "power, ignoring", "noisy or", "noisy or, full"}

every_rule = pytest.mark.parametrize("label", RULES)
# A few values often, so that ties, zeros and ones are common.
unit = st.one_of(st.sampled_from([0.0, 5e-324, 0.25, 0.5, 1.0]), st.floats(0, 1))


def build(label):
    name, keys = RULES[label]
    registration = load_plugins().registry.get("fusion", name)
    return registration.load_class()(registration.load_config()(**keys))


BUILT = {label: build(label) for label in RULES}


@st.composite
def recordings(draw):
    """Scores, classes, frames and activity of a recording with up to 12 candidates."""
    n = draw(st.integers(0, 12))
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = np.array(draw(st.lists(unit, min_size=n, max_size=n)), dtype=float)
    p = numbers.choice(draw(st.lists(unit, min_size=1, max_size=6)), (CLASSES, FRAMES))
    return scores, numbers.integers(0, CLASSES, n), numbers.integers(0, FRAMES, n), p


def not_lower(high, low):
    """Whether high >= low, but for the rounding of logarithms and sums."""
    return np.all(high >= low - 1e-12)


def test_every_built_in_rule_is_tried_here():
    built_in = {r.name for r in load_plugins().registry if str(r.target).startswith("sai_bench_builtin.fus")}
    assert {name for name, _ in RULES.values()} == built_in


@every_rule
@given(recording=recordings())
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("error")
def test_results_are_probabilities_and_never_nan_nor_warn(label, recording):
    scores = recording[0].copy()
    fused = BUILT[label](*recording)
    assert fused.shape == scores.shape
    assert ((fused >= 0) & (fused <= 1)).all()
    np.testing.assert_array_equal(recording[0], scores)


@every_rule
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("score", [0.0, 1.0])
@pytest.mark.parametrize("activity", [0.0, 1.0])
def test_the_corners_of_score_and_activity_give_probabilities(label, score, activity):
    p = np.full((CLASSES, FRAMES), activity)
    fused = BUILT[label](np.array([score, 0.3]), np.array([0, 1]), np.array([2, 3]), p)
    assert ((fused >= 0) & (fused <= 1)).all()


@every_rule
@given(recording=recordings(), raised=unit, data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_higher_score_never_gives_its_candidate_less(label, recording, raised, data):
    scores, *rest = recording
    if not len(scores):
        return
    i = data.draw(st.integers(0, len(scores) - 1))
    higher = scores.copy()
    higher[i] = max(scores[i], raised)
    assert not_lower(BUILT[label](higher, *rest)[i], BUILT[label](scores, *rest)[i])


@every_rule
@given(recording=recordings(), raised=unit, data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_higher_activity_never_gives_its_candidate_less(label, recording, raised, data):
    scores, classes, frames, p = recording
    if not len(scores):
        return
    i = data.draw(st.integers(0, len(scores) - 1))
    others = (classes == classes[i]) & (frames == frames[i])
    others[i] = False
    higher = p.copy()
    higher[classes[i], frames[i]] = max(p[classes[i], frames[i]], raised)
    alone = [part[~others] for part in (scores, classes, frames)]
    at = i - int(others[:i].sum())
    assert not_lower(BUILT[label](*alone, higher)[at], BUILT[label](*alone, p)[at])


@every_rule
@given(recording=recordings(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_the_order_of_the_input_changes_nothing_ties_included(label, recording, seed):
    *candidates, p = recording
    shuffled = np.random.default_rng(seed).permutation(len(candidates[0]))
    fused = BUILT[label](*candidates, p)
    again = BUILT[label](*[part[shuffled] for part in candidates], p)
    np.testing.assert_array_equal(again, fused[shuffled])


@every_rule
def test_equal_candidates_get_equal_results(label):
    p = np.random.default_rng(1).random((CLASSES, FRAMES))
    scores, classes, frames = np.array([0.4, 0.9, 0.4, 0.1, 0.4]), np.array([3, 1, 3, 3, 3]), np.full(5, 7)
    fused = BUILT[label](scores, classes, frames, p)
    assert fused[0] == fused[2] == fused[4]


@every_rule
def test_no_candidates_give_no_scores_even_without_frames(label):
    nothing = np.zeros(0, dtype=np.int64)
    for frames in (0, FRAMES):
        assert BUILT[label](np.zeros(0), nothing, nothing, np.ones((CLASSES, frames))).shape == (0,)


@every_rule
def test_a_recording_of_one_frame_works(label):
    fused = BUILT[label](np.array([0.5]), np.array([4]), np.array([0]), np.full((CLASSES, 1), 0.5))
    assert fused.shape == (1,)


@pytest.mark.parametrize("label", sorted(KEEP_SCORES_WHERE_ALL_ACTIVITY_IS_FULL))
@given(scores=st.lists(unit, max_size=12))
def test_full_activity_keeps_the_scores_where_the_rule_claims_it(label, scores):
    n = len(scores)
    fused = BUILT[label](np.array(scores), np.arange(n), np.arange(n), np.ones((CLASSES, FRAMES)))
    np.testing.assert_allclose(fused, scores, rtol=1e-15, atol=0)


@pytest.mark.parametrize("label", sorted(set(RULES) - KEEP_SCORES_WHERE_ALL_ACTIVITY_IS_FULL))
def test_full_activity_raises_the_scores_of_the_rules_that_say_so(label):
    scores = np.array([0.1, 0.2, 0.3, 0.6])
    fused = BUILT[label](scores, np.arange(4), np.arange(4), np.ones((CLASSES, FRAMES)))
    if label == "rank average, as ranks":
        np.testing.assert_allclose(fused, [(k + 0.5 + 2) / 2 / 4 for k in range(4)])
    else:
        assert (fused > scores).all()


@pytest.mark.parametrize("label", sorted(NEVER_RAISE))
@given(recording=recordings())
def test_rules_that_only_doubt_never_raise_a_score(label, recording):
    assert (BUILT[label](*recording) <= recording[0]).all()


@pytest.mark.parametrize("label", sorted(NEVER_LOWER))
@given(recording=recordings())
def test_rules_that_only_support_never_lower_a_score(label, recording):
    assert (BUILT[label](*recording) >= recording[0]).all()
