"""Confidence intervals, against SciPy's and against the share of intervals that hold the truth."""

import numpy as np
import pytest
from scipy import stats

from sai_bench.errors import ContractError
from sai_bench.interfaces import Metric
from sai_bench.metrics.diagnosing.bootstrap import bootstrap_difference, bootstrap_interval, draw_weights


class Mean(Metric):
    """The mean of one value per recording."""

    headline = ("mean",)

    def score_recording(self, predictions, labels):
        raise NotImplementedError

    def combine(self, recordings):
        values = np.concatenate([recording["value"] for recording in recordings])
        return {"mean": float(values.mean()) if len(values) else None, "extra": {"n": len(values)}}


class WeightedMean(Mean):
    """The same, for all resamples at once."""

    def combine_weighted(self, recordings, weights):
        values = np.concatenate([recording["value"] for recording in recordings])
        return {"mean": weights @ values / weights.sum(axis=1)}


def parts_of(values):
    return [{"value": np.array([value])} for value in values]


def share_of_intervals_with(truth, intervals):
    return np.mean([one["low"] <= truth <= one["high"] for one in intervals])


def test_interval_is_scipys_percentile_interval():
    values = np.random.default_rng(1).gamma(2.0, 3.0, 25)
    reference = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    own = bootstrap_interval(WeightedMean(), parts_of(values), resamples=20_000)["mean"]
    width = reference.high - reference.low
    assert own["value"] == pytest.approx(values.mean())
    assert own["low"] == pytest.approx(reference.low, abs=0.03 * width)
    assert own["high"] == pytest.approx(reference.high, abs=0.03 * width)
    assert own["undefined"] == 0


def test_paired_interval_is_scipys():
    rng = np.random.default_rng(4)
    a = rng.normal(0, 1, 30)
    b = a - rng.gamma(2.0, 0.2, 30)
    reference = stats.bootstrap(
        (a, b),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(2),
    ).confidence_interval
    own = bootstrap_difference(WeightedMean(), parts_of(a), parts_of(b), resamples=20_000)["mean"]
    width = reference.high - reference.low
    assert own["low"] == pytest.approx(reference.low, abs=0.03 * width)
    assert own["high"] == pytest.approx(reference.high, abs=0.03 * width)
    assert own["share_above_zero"] == 1


@pytest.mark.parametrize(("level", "least", "most"), [(0.95, 0.90, 0.975), (0.5, 0.42, 0.56)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(level, least, most):
    rng = np.random.default_rng(7)
    intervals = [
        bootstrap_interval(WeightedMean(), parts_of(rng.normal(3, 2, 30)), 400, seed, level)["mean"]
        for seed in range(500)
    ]
    assert least <= share_of_intervals_with(3, intervals) <= most


def test_paired_intervals_hold_the_true_difference_and_are_narrow():
    rng = np.random.default_rng(8)
    paired, single = [], []
    for seed in range(300):
        hardness = rng.normal(0, 5, 30)
        a, b = hardness + rng.normal(0.5, 0.3, 30), hardness + rng.normal(0, 0.3, 30)
        paired.append(bootstrap_difference(WeightedMean(), parts_of(a), parts_of(b), 300, seed)["mean"])
        single.append(bootstrap_interval(WeightedMean(), parts_of(a), 300, seed)["mean"])
    assert 0.90 <= share_of_intervals_with(0.5, paired) <= 0.975
    assert (
        np.mean([p["high"] - p["low"] for p in paired]) < np.mean([s["high"] - s["low"] for s in single]) / 5
    )


def test_a_metric_without_weights_gives_the_same_interval():
    parts = parts_of(np.random.default_rng(1).random(12))
    slow, fast = (
        bootstrap_interval(metric, parts, 200, seed=3)["mean"] for metric in (Mean(), WeightedMean())
    )
    assert slow == pytest.approx(fast)
    assert slow["low"] < slow["high"]


def test_equal_seeds_give_equal_intervals_and_other_seeds_others():
    parts = parts_of(np.random.default_rng(1).random(12))
    first, again, other = (bootstrap_interval(WeightedMean(), parts, 100, seed) for seed in (1, 1, 2))
    assert first == again != other


def test_every_resample_has_as_many_recordings_as_there_are():
    weights = draw_weights(9, 4000, seed=0)
    assert (weights.sum(axis=1) == 9).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.08)
    assert np.mean(weights == 0) == pytest.approx((8 / 9) ** 9, abs=0.01)


def test_resamples_without_a_value_are_left_out_and_counted():
    parts = [{"value": np.zeros(0)}, {"value": np.zeros(0)}, {"value": np.array([5.0])}]
    result = bootstrap_interval(Mean(), parts, 2000)["mean"]
    assert (result["value"], result["low"], result["high"]) == (5, 5, 5)
    assert result["undefined"] == pytest.approx(2000 * (2 / 3) ** 3, rel=0.15)
    nothing = bootstrap_interval(Mean(), parts[:2], 10)["mean"]
    assert nothing == {"value": None, "low": None, "high": None, "undefined": 10}
    difference = bootstrap_difference(Mean(), parts[:2], parts[1:], 10)["mean"]
    assert difference["value"] is difference["share_above_zero"] is None


def test_equal_systems_differ_by_nothing():
    parts = parts_of([1.0, 2.0, 4.0])
    result = bootstrap_difference(WeightedMean(), parts, parts)["mean"]
    assert (result["value"], result["low"], result["high"], result["share_above_zero"]) == (0, 0, 0, 0.5)


@pytest.mark.parametrize(
    ("recordings", "options"),
    [(0, {}), (3, {"resamples": 0}), (3, {"level": 1.0}), (3, {"level": 95})],
)
def test_what_cannot_be_resampled_is_refused(recordings, options):
    with pytest.raises(ValueError, match="Expected"):
        bootstrap_interval(Mean(), parts_of([1.0] * recordings), **options)


@pytest.mark.parametrize("drawn", [{"mean": np.zeros(3)}, {"other": np.zeros(10)}, {}])
def test_weighted_numbers_that_are_not_the_headline_are_a_broken_contract(drawn):
    class Wrong(Mean):
        def combine_weighted(self, recordings, weights):
            return drawn

    with pytest.raises(ContractError, match=r"Wrong\.combine_weighted"):
        bootstrap_interval(Wrong(), parts_of([1.0, 2.0]), resamples=10)


def test_systems_on_different_recordings_are_refused():
    with pytest.raises(ValueError, match="2 and 3 recordings"):
        bootstrap_difference(Mean(), parts_of([1, 2]), parts_of([1, 2, 3]))


def test_metrics_interval_of_the_cases_holds_its_value(april, case_files):
    from sai_bench.predictions import read_annotations

    parts = [april.score_recording(*map(read_annotations, files[::-1])) for files in case_files("sparse")]
    result = bootstrap_interval(april, parts)
    single = [april.combine([part]) for part in parts]
    for name in april.headline:
        # Two recordings: every resample is one of them twice, or both.
        ends = sorted(one[name] for one in single)
        assert [result[name]["low"], result[name]["high"]] == pytest.approx(ends, rel=1e-9)
        assert result[name]["value"] == april.combine(parts)[name]
