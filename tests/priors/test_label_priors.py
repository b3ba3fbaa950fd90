"""Priors that do not listen: counted labels, and the labels themselves."""

import numpy as np
import pytest

from sai_bench.class_activity import class_activity
from sai_bench.errors import DatasetError, WeightsError
from sai_bench.interfaces import Example, Prior
from sai_bench_builtin.configs.prior import LabelFrequencyConfig, OracleConfig
from sai_bench_builtin.priors.label_frequency import LabelFrequency
from sai_bench_builtin.priors.oracle import Oracle

RATE = 24_000
SILENCE = np.zeros((4, 50_000), np.float32)  # 21 label frames


def labelled(*active_frames, frames=30):
    """Return an example with class k active in the first active_frames[k] frames."""
    activity = np.zeros((13, frames), bool)
    for category, count in enumerate(active_frames):
        activity[category, :count] = True
    return Example(np.zeros((4, frames * 2400), np.float32), RATE, activity)


def test_label_frequency_is_the_share_of_labelled_frames_in_every_frame():
    prior = LabelFrequency(LabelFrequencyConfig(pseudo_frames=0))
    prior.fit([labelled(30, 3), labelled(0, 7, frames=70)], seed=0)
    p = prior(SILENCE, RATE)
    assert p.shape == (13, 21)
    assert p.dtype == np.float32
    expected = np.zeros(13)
    expected[:2] = 30 / 100, 10 / 100
    np.testing.assert_allclose(p, np.repeat(expected[:, None], 21, axis=1), rtol=1e-6)


def test_pseudo_frames_keep_frequencies_off_0_and_1():
    prior = LabelFrequency(LabelFrequencyConfig(pseudo_frames=0.5))
    prior.fit([labelled(30, frames=30)], seed=0)
    np.testing.assert_allclose(prior(SILENCE, RATE)[:2, 0], [30.5 / 31, 0.5 / 31], rtol=1e-6)


def test_loaded_counts_give_the_same_frequencies():
    fitted, loaded = (LabelFrequency(LabelFrequencyConfig()) for _ in range(2))
    loaded.load_weights(fitted.fit([labelled(3, 5)], seed=0))
    np.testing.assert_array_equal(loaded(SILENCE, RATE), fitted(SILENCE, RATE))


@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"active_frames": np.zeros(13)},
        {"active_frames": np.zeros(12), "frames": np.ones(1)},
        {"active_frames": np.full(13, 2.0), "frames": np.ones(1)},
        {"active_frames": np.full(13, np.nan), "frames": np.ones(1)},
        {"active_frames": np.zeros(13), "frames": np.zeros(1)},
    ],
)
def test_other_weights_than_counts_are_refused(weights):
    with pytest.raises(WeightsError, match="are no counts"):
        LabelFrequency(LabelFrequencyConfig()).load_weights(weights)


def test_label_frequency_without_counts_or_labels_says_so():
    with pytest.raises(WeightsError, match="Fit it"):
        LabelFrequency(LabelFrequencyConfig())(SILENCE, RATE)
    with pytest.raises(DatasetError, match="no labelled frame"):
        LabelFrequency(LabelFrequencyConfig()).fit([], seed=0)


def test_oracle_gives_the_labels():
    activity = np.random.default_rng(0).random((13, 21)) < 0.3
    p = class_activity(Oracle(OracleConfig()), SILENCE, RATE, activity)
    np.testing.assert_array_equal(p, activity.astype(float))
    p = class_activity(Oracle(OracleConfig(active=0.9, inactive=0.2)), SILENCE, RATE, activity)
    np.testing.assert_allclose(p, np.where(activity, 0.9, 0.2), rtol=1e-6)


def test_oracle_cannot_be_asked_what_it_hears():
    with pytest.raises(DatasetError, match="hears nothing; it reads labels"):
        Oracle(OracleConfig())(SILENCE, RATE)


def test_a_prior_that_promises_to_read_labels_and_does_not_is_named():
    class Forgetful(Oracle):
        from_labels = Prior.from_labels

    with pytest.raises(TypeError, match="Forgetful has needs_labels = True, but no from_labels"):
        class_activity(Forgetful(OracleConfig()), SILENCE, RATE, np.zeros((13, 40), bool))


def test_oracle_without_labels_says_what_to_do():
    with pytest.raises(DatasetError, match=r"Oracle reads the labels .* take one that listens"):
        class_activity(Oracle(OracleConfig()), SILENCE, RATE)


def test_only_a_prior_that_asks_gets_labels():
    class Deaf(LabelFrequency):
        def __call__(self, waveform, sample_rate_hz):
            return np.zeros((13, 21))

    activity = np.ones((13, 21), bool)
    assert not class_activity(Deaf(LabelFrequencyConfig()), SILENCE, RATE, activity).any()
