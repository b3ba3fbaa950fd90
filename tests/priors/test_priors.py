import numpy as np
import pytest
import torch
from pydantic import ValidationError

from sai_bench.errors import DatasetError, WeightsError
from sai_bench.interfaces import Example
from sai_bench_builtin.configs.prior import LogMelLinearConfig, UniformConfig
from sai_bench_builtin.priors.log_mel_linear import LogMelLinear
from sai_bench_builtin.priors.uniform import Uniform

torch.set_num_threads(1)
RATE = 24000
SOUNDING = (3, 5, 12)  # telephone: a tone pair; domestic: noise; knock: short bursts


def sound(category, rng, samples):
    time_s = np.arange(samples) / RATE
    if category == 3:
        return np.sin(2 * np.pi * rng.uniform(1200, 1400) * time_s) * (time_s % 0.2 < 0.1)
    if category == 5:
        return 0.5 * rng.standard_normal(samples)
    tone = np.sin(2 * np.pi * rng.uniform(150, 250) * time_s)
    return 3 * tone * np.exp(-30 * (time_s % rng.uniform(0.2, 0.3)))


def scene(seed, seconds=4):
    """A recording with two or three sounds, which may overlap."""
    rng = np.random.default_rng(seed)
    mono = np.zeros(seconds * RATE)
    active = np.zeros((13, seconds * 10), dtype=bool)
    for category in rng.permutation(SOUNDING)[: rng.integers(2, 4)]:
        start, length = rng.integers(0, 20), rng.integers(10, 20)
        frames = slice(start, start + length)
        active[category, frames] = True
        mono[start * 2400 : (start + length) * 2400] += 0.1 * sound(category, rng, length * 2400)
    waveform = mono + 0.005 * rng.standard_normal((4, len(mono)))
    return Example(waveform.astype(np.float32), RATE, active)


@pytest.fixture(scope="module")
def fitted():
    prior = LogMelLinear(LogMelLinearConfig())
    weights = prior.fit((scene(seed) for seed in range(20)), seed=0)
    return prior, weights


def average_precision(labels, scores):
    hits = labels[np.argsort(-scores)]
    return (np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean()


def test_held_out_scenes_are_recognised_far_above_chance(fitted):
    scenes = [scene(seed) for seed in range(100, 108)]
    p = np.concatenate([fitted[0](s.waveform, RATE) for s in scenes], axis=1)
    active = np.concatenate([s.activity for s in scenes], axis=1)
    for category in SOUNDING:
        assert active[category].mean() < 0.5
        assert average_precision(active[category], p[category]) > 0.85


def test_probabilities_are_calibrated_on_held_out_scenes(fitted):
    scenes = [scene(seed) for seed in range(200, 208)]
    p = np.concatenate([fitted[0](s.waveform, RATE) for s in scenes], axis=1)[list(SOUNDING)]
    active = np.concatenate([s.activity for s in scenes], axis=1)[list(SOUNDING)]
    np.testing.assert_allclose(p.mean(axis=1), active.mean(axis=1), atol=0.08)
    squared_error = ((p - active) ** 2).mean()
    assert squared_error < 0.5 * (active.mean() * (1 - active.mean()))


def test_several_classes_may_be_active_at_once(fitted):
    rng = np.random.default_rng(0)
    both = 0.1 * (sound(3, rng, 2 * RATE) + sound(12, rng, 2 * RATE))
    quiet = np.zeros(RATE)
    waveform = np.concatenate([quiet, both, quiet]) + 0.005 * rng.standard_normal((4, 4 * RATE))
    p = fitted[0](waveform.astype(np.float32), RATE)
    assert p[[3, 12], 15:25].mean(axis=1).min() > 0.5
    assert p[5, 15:25].mean() < 0.5


def test_a_class_without_examples_is_all_but_impossible(fitted):
    p = fitted[0](scene(1).waveform, RATE)
    silent = [k for k in range(13) if k not in SOUNDING]
    assert p[silent].max() < 2e-3


@pytest.mark.parametrize(
    ("samples", "rate", "frames"), [(2400, RATE, 1), (96000, 48000, 20), (50000, RATE, 21)]
)
def test_output_covers_every_label_frame_of_any_rate(fitted, samples, rate, frames):
    noise = np.random.default_rng(0).standard_normal((4, samples)).astype(np.float32)
    p = fitted[0](0.1 * noise, rate)
    assert p.shape == (13, frames)
    assert p.dtype == np.float32
    assert ((p >= 0) & (p <= 1)).all()


def test_32_channels_and_silence_are_taken(fitted):
    p = fitted[0](np.zeros((32, RATE), np.float32), RATE)
    assert np.isfinite(p).all()


def test_equal_examples_give_equal_weights(fitted):
    again = LogMelLinear(LogMelLinearConfig()).fit([scene(seed) for seed in range(20)], seed=7)
    for name, array in fitted[1].items():
        assert array.tobytes() == again[name].tobytes(), name


def test_loaded_weights_predict_what_fitted_ones_do(fitted):
    prior, weights = fitted
    loaded = LogMelLinear(LogMelLinearConfig())
    loaded.load_weights(weights)
    waveform = scene(5).waveform
    np.testing.assert_array_equal(loaded(waveform, RATE), prior(waveform, RATE))


def test_a_single_class_in_the_training_data_is_learned_alone():
    examples = []
    for seed in range(4):
        active = np.zeros((13, 20), bool)
        active[5, 5:15] = True
        rng = np.random.default_rng(seed)
        waveform = 0.01 * rng.standard_normal((4, 48000))
        waveform[:, 12000:36000] *= 20
        examples.append(Example(waveform.astype(np.float32), RATE, active))
    prior = LogMelLinear(LogMelLinearConfig(window_s=0.3))
    prior.fit(examples, seed=0)
    p = prior(examples[0].waveform, RATE)
    assert p[5, 7:13].min() > 0.5 > p[5, [0, 1, 18, 19]].max()


def test_labels_longer_or_shorter_than_the_audio_are_cut_to_the_common_part():
    short, long = scene(0), scene(1)
    cut = Example(short.waveform, RATE, short.activity[:, :33])
    padded = Example(long.waveform, RATE, np.pad(long.activity, ((0, 0), (0, 3))))
    weights = LogMelLinear(LogMelLinearConfig(fit_frame_step=1)).fit([cut, padded], seed=0)
    assert weights["frames"][0] == 33 + 40
    np.testing.assert_array_equal(
        weights["positive_frames"], cut.activity.sum(axis=1) + padded.activity.sum(axis=1)
    )


def test_predicting_before_fitting_says_so():
    with pytest.raises(WeightsError, match="Fit it"):
        LogMelLinear(LogMelLinearConfig())(np.zeros((4, 2400), np.float32), RATE)


def test_fitting_on_nothing_says_so():
    with pytest.raises(DatasetError, match="no labelled frame"):
        LogMelLinear(LogMelLinearConfig()).fit([], seed=0)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda w: w.pop("coefficients"), r"'coefficients': expected finite \(13, 264\), got nothing"),
        (
            lambda w: w.update(intercept=np.zeros(12)),
            r"'intercept': expected finite \(13,\), got shape \(12,\)",
        ),
        (lambda w: w["feature_mean"].fill(np.nan), "'feature_mean'.*NaN"),
    ],
)
def test_damaged_weights_are_refused_with_the_array_and_its_shape(fitted, damage, message):
    weights = {name: array.copy() for name, array in fitted[1].items()}
    damage(weights)
    with pytest.raises(WeightsError, match=message):
        LogMelLinear(LogMelLinearConfig()).load_weights(weights)


def test_weights_of_another_number_of_bands_are_refused(fitted):
    with pytest.raises(WeightsError, match=r"feature_mean.*\(408,\).*\(264,\)"):
        LogMelLinear(LogMelLinearConfig(mel_bands=64)).load_weights(fitted[1])


def test_uniform_gives_one_probability_for_all_classes_and_frames():
    p = Uniform(UniformConfig(probability=0.25))(np.zeros((4, 50000), np.float32), RATE)
    assert p.shape == (13, 21)
    assert p.dtype == np.float32
    assert (p == 0.25).all()


def test_uniform_is_one_by_default_and_stays_a_probability():
    assert (Uniform(UniformConfig())(np.zeros((4, 2400)), RATE) == 1).all()
    with pytest.raises(ValidationError, match="probability"):
        UniformConfig(probability=1.5)
