"""The small network learns what counting labels cannot, the same each time."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from sai_bench.errors import DatasetError, WeightsError
from sai_bench.interfaces import Example
from sai_bench_builtin.configs.prior import LabelFrequencyConfig, LogMelCnnConfig
from sai_bench_builtin.priors.label_frequency import LabelFrequency
from sai_bench_builtin.priors.log_mel_cnn.prior import LogMelCnn

torch.set_num_threads(1)
RATE = 8_000
HERTZ = {1: 400.0, 4: 1000.0, 9: 2500.0}
SMALL = {
    "sample_rate_hz": RATE, "n_fft": 256, "f_max_hz": 4000.0, "mel_bands": 16, "channels_first": 4,
    "dilations": (1, 2), "steps": 250, "batch_size": 8, "crop_s": 2.0, "learning_rate": 1e-2,
}  # fmt: skip


def config(**keys):
    return LogMelCnnConfig(**{**SMALL, **keys})


def scene(seed, frames=40):
    """Tones of three pitches, each a class of its own, on and off at label frames."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(frames * RATE // 10) / RATE
    active = np.zeros((13, frames), bool)
    mono = 0.01 * rng.standard_normal(len(time_s))
    for category, hertz in HERTZ.items():
        start, length = rng.integers(0, frames - 10), rng.integers(5, frames // 2)
        active[category, start : start + length] = True
        gate = np.repeat(active[category], RATE // 10)
        mono += 0.2 * gate * np.sin(2 * np.pi * hertz * rng.uniform(0.95, 1.05) * time_s)
    return Example(np.tile(mono, (4, 1)).astype(np.float32), RATE, active)


EXAMPLES = [scene(seed) for seed in range(12)]


@pytest.fixture(scope="module")
def fitted():
    prior = LogMelCnn(config())
    weights = prior.fit(EXAMPLES, seed=1)
    return prior, weights


def log_loss(p, active):
    p = np.clip(p.astype(float), 1e-6, 1 - 1e-6)
    return -np.where(active, np.log(p), np.log(1 - p)).mean()


def test_it_recognises_held_out_tones_frame_by_frame_far_better_than_label_frequency(fitted):
    counted = LabelFrequency(LabelFrequencyConfig())
    counted.fit(EXAMPLES, seed=0)
    losses = {"cnn": [], "counted": []}
    for held_out in (scene(seed) for seed in range(100, 106)):
        p = fitted[0](held_out.waveform, RATE)
        assert ((p[list(HERTZ)] > 0.5) == held_out.activity[list(HERTZ)]).mean() > 0.9
        losses["cnn"].append(log_loss(p, held_out.activity))
        losses["counted"].append(log_loss(counted(held_out.waveform, RATE), held_out.activity))
    assert np.mean(losses["cnn"]) < 0.4 * np.mean(losses["counted"])


def test_a_sound_is_heard_in_its_own_label_frames(fitted):
    held_out = scene(200)
    waveform, hertz = np.zeros_like(held_out.waveform), HERTZ[4]
    rng = np.random.default_rng(0)
    waveform += 0.01 * rng.standard_normal(waveform.shape).astype(np.float32)
    time_s = np.arange(RATE) / RATE
    waveform[:, RATE : 2 * RATE] += 0.2 * np.sin(2 * np.pi * hertz * time_s).astype(np.float32)
    p = fitted[0](waveform, RATE)[4]
    assert p[12:18].min() > 0.5 > max(p[:7].max(), p[23:].max())


def test_fitting_again_gives_the_same_bytes_whatever_the_threads_and_another_seed_others():
    short = config(steps=10)
    expected = LogMelCnn(short).fit(EXAMPLES[:4], seed=1)
    torch.set_num_threads(2)
    try:
        again = LogMelCnn(short).fit(EXAMPLES[:4], seed=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    for name, array in expected.items():
        assert array.tobytes() == again[name].tobytes(), name
    other = LogMelCnn(short).fit(EXAMPLES[:4], seed=2)
    assert not np.array_equal(other["output.weight"], expected["output.weight"])


def test_fitting_leaves_the_random_numbers_of_others_alone():
    torch.manual_seed(5)
    LogMelCnn(config(steps=1)).fit(EXAMPLES[:1], seed=1)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), drawn)


def test_loaded_weights_predict_what_fitted_ones_do(fitted):
    loaded = LogMelCnn(config())
    loaded.load_weights(fitted[1])
    np.testing.assert_array_equal(loaded(EXAMPLES[0].waveform, RATE), fitted[0](EXAMPLES[0].waveform, RATE))


@pytest.mark.parametrize(
    ("samples", "rate", "frames"), [(800, RATE, 1), (96_000, 48_000, 20), (17_000, RATE, 22)]
)
def test_output_covers_every_label_frame_of_any_rate(fitted, samples, rate, frames):
    noise = np.random.default_rng(0).standard_normal((4, samples)).astype(np.float32)
    p = fitted[0](0.1 * noise, rate)
    assert p.shape == (13, frames)
    assert p.dtype == np.float32
    assert ((p >= 0) & (p <= 1)).all()


def test_recordings_shorter_than_a_crop_and_labels_of_another_length_are_learned_from():
    short, long = scene(0, frames=12), scene(1, frames=30)
    examples = [
        Example(short.waveform, RATE, short.activity[:, :11]),
        Example(long.waveform, RATE, np.pad(long.activity, ((0, 0), (0, 2)))),
    ]
    weights = LogMelCnn(config(steps=3)).fit(examples, seed=0)
    assert all(np.isfinite(array).all() for array in weights.values())


def test_a_class_without_examples_stays_unlikely(fitted):
    silent = [k for k in range(13) if k not in HERTZ]
    assert fitted[0](EXAMPLES[0].waveform, RATE)[silent].max() < 0.1


def test_weights_of_another_size_are_refused_key_by_key(fitted):
    with pytest.raises(WeightsError, match=r"mean has shape \[16\], expected \[32\]"):
        LogMelCnn(config(mel_bands=32)).load_weights(fitted[1])
    with pytest.raises(WeightsError, match=r"temporal\.1\.0\.weight is not part of it"):
        LogMelCnn(config(dilations=(1,))).load_weights(fitted[1])


def test_predicting_before_fitting_and_fitting_on_nothing_say_so():
    with pytest.raises(WeightsError, match="Fit it"):
        LogMelCnn(config())(EXAMPLES[0].waveform, RATE)
    with pytest.raises(DatasetError, match="no labelled frame"):
        LogMelCnn(config()).fit([], seed=0)


def test_a_dilation_of_zero_is_refused():
    with pytest.raises(ValidationError, match="dilations"):
        config(dilations=(1, 0))
