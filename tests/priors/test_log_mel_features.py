import numpy as np
import pytest
import torch
from pydantic import ValidationError

from sai_bench_builtin.configs.prior import LogMelLinearConfig
from sai_bench_builtin.priors.log_mel_features import LogMelStatistics

torch.set_num_threads(1)
RATE = 24000
BANDS = 40


def features_of(waveform, rate=RATE, **keys):
    return LogMelStatistics(LogMelLinearConfig(**keys))(waveform, rate)


def noise(seconds=2.0, microphones=4, rate=RATE, seed=0):
    samples = round(seconds * rate)
    return (0.1 * np.random.default_rng(seed).standard_normal((microphones, samples))).astype(np.float32)


def direct_log_mel(waveform, n_fft=1024, hop=480, low=50.0, high=12000.0, floor=1e-7):
    """HTK mel filters on a periodic Hann window's power spectrum, written out frame by frame."""

    def mel(f):
        return 2595 * np.log10(1 + f / 700)

    edges = 700 * (10 ** (np.linspace(mel(low), mel(high), BANDS + 2) / 2595) - 1)
    frequency = np.arange(n_fft // 2 + 1) * RATE / n_fft
    filters = np.stack(
        [
            np.clip(np.minimum((frequency - a) / (b - a), (c - frequency) / (c - b)), 0, None)
            for a, b, c in zip(edges, edges[1:], edges[2:], strict=False)
        ]
    )
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    padded = np.pad(waveform.astype(np.float64), ((0, 0), ((n_fft - hop) // 2, n_fft)))
    rows = []
    for start in range(0, waveform.shape[1], hop):
        spectrum = np.fft.rfft(padded[:, start : start + n_fft] * window)
        rows.append(filters @ (np.abs(spectrum) ** 2).mean(axis=0))
    return np.log(np.array(rows) + floor)


def test_log_mel_equals_the_direct_formula():
    waveform = noise(1.0)
    got = LogMelStatistics(LogMelLinearConfig()).log_mel(waveform, RATE)
    expected = direct_log_mel(waveform)
    assert got.shape == expected.shape == (50, BANDS)
    np.testing.assert_allclose(got, expected, atol=2e-3)


def test_mean_of_waveforms_equals_the_direct_formula_on_their_mean():
    waveform = noise(0.5)
    got = LogMelStatistics(LogMelLinearConfig(channels="mean")).log_mel(waveform, RATE)
    expected = direct_log_mel(waveform.mean(axis=0, keepdims=True))
    np.testing.assert_allclose(got, expected, atol=2e-3)


def test_pooled_statistics_equal_loops_over_the_windows():
    waveform = noise(3.0)
    waveform[:, RATE : 2 * RATE] *= 8
    got = features_of(waveform, level_free=False)
    log_mel = direct_log_mel(waveform)
    change = np.abs(np.diff(log_mel, axis=0, prepend=log_mel[:1]))
    edge = np.pad(log_mel, ((0, 0), (3, 3)), mode="edge")
    contrast = (log_mel - np.mean([edge[:, i : i + BANDS] for i in range(7)], axis=0)) ** 2
    # 1 s around a frame: five frames to either side; 0.3 s: one.
    for frame in (0, 3, 14, 29):
        long = slice(max(0, frame - 5) * 5, (frame + 6) * 5)
        short = slice(max(0, frame - 1) * 5, (frame + 2) * 5)
        row = got[frame]
        np.testing.assert_allclose(row[:BANDS], log_mel[long].mean(axis=0), atol=5e-3)
        np.testing.assert_allclose(row[BANDS : 2 * BANDS], log_mel[long].std(axis=0), atol=5e-3)
        np.testing.assert_allclose(row[2 * BANDS : 3 * BANDS], log_mel[long].max(axis=0), atol=5e-3)
        np.testing.assert_allclose(row[3 * BANDS : 4 * BANDS], change[long].mean(axis=0), atol=5e-3)
        np.testing.assert_allclose(row[4 * BANDS : 5 * BANDS], contrast[long].mean(axis=0), atol=5e-3)
        np.testing.assert_allclose(row[-BANDS:], log_mel[short].mean(axis=0), atol=5e-3)


@pytest.mark.parametrize(("modulation_hz", "strongest"), [(3.0, 0), (7.0, 1), (16.0, 2)])
def test_modulation_features_peak_in_the_range_of_the_modulation(modulation_hz, strongest):
    waveform = noise(4.0)
    time_s = np.arange(waveform.shape[1]) / RATE
    waveform *= np.exp(np.sin(2 * np.pi * modulation_hz * time_s)).astype(np.float32)
    still, modulated = features_of(noise(4.0)), features_of(waveform)
    ranges = slice(5 * BANDS, 5 * BANDS + 24)
    rise = (modulated - still)[20, ranges].reshape(3, 8).mean(axis=1)
    assert rise.argmax() == strongest


def test_gain_does_not_matter_unless_levels_are_asked_for():
    waveform = noise()
    np.testing.assert_allclose(features_of(waveform), features_of(0.25 * waveform), atol=1e-2)
    louder, softer = (features_of(w, level_free=False) for w in (waveform, 0.25 * waveform))
    np.testing.assert_allclose((louder - softer)[:, :BANDS], 2 * np.log(4), atol=1e-2)


@pytest.mark.parametrize(
    ("samples", "rate", "frames"),
    [
        (2400, 24000, 1),
        (2401, 24000, 1),
        (48001, 24000, 20),
        (50000, 24000, 21),
        (4800, 48000, 1),
        (100, 8000, 1),
    ],
)
def test_one_finite_row_for_each_label_frame_at_any_length_and_rate(samples, rate, frames):
    rows = features_of(noise(3.0)[:, :samples], rate)
    assert rows.shape == (frames, 6 * BANDS + 24)
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()


def test_digital_silence_and_no_samples_are_harmless():
    assert np.isfinite(features_of(np.zeros((4, 24000), np.float32))).all()
    assert features_of(np.zeros((4, 0), np.float32)).shape[0] == 0


def test_another_rate_gives_nearly_the_same_features():
    time_s = np.arange(96000) / 48000
    tone = sum(np.sin(2 * np.pi * f * time_s) for f in (300, 1100, 4000))
    fine = np.tile((0.1 * tone).astype(np.float32), (4, 1))
    bands = slice(0, 25)  # well below the resampler's transition band
    at_48, at_24 = features_of(fine, 48000, power_floor=1e-3), features_of(fine[:, ::2], power_floor=1e-3)
    np.testing.assert_allclose(at_48[5:15, bands], at_24[5:15, bands], atol=0.05)


def test_large_arrays_use_channels_spread_over_the_array():
    waveform = noise(0.5, microphones=32)
    got = LogMelStatistics(LogMelLinearConfig()).log_mel(waveform, RATE)
    np.testing.assert_allclose(got, direct_log_mel(waveform[[0, 8, 16, 24]]), atol=2e-3)


@pytest.mark.parametrize("keys", [{"f_max_hz": 13000}, {"f_min_hz": 12000}, {"sample_rate_hz": 22051}])
def test_bands_that_do_not_fit_the_rate_are_refused(keys):
    with pytest.raises(ValidationError):
        LogMelLinearConfig(**keys)
