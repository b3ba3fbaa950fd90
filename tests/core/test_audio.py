import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sai_bench.audio import read_recording, resample
from sai_bench.errors import AudioError


def write(path, samples, rate=24000):
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return path


def noise(channels, samples=24000):
    return np.random.default_rng(0).uniform(-0.5, 0.5, (samples, channels)).astype(np.float32)


@pytest.mark.parametrize("channels", [4, 32])
def test_channels_are_rows_and_full_scale_is_one(tmp_path, channels):
    samples = noise(channels)
    waveform, rate = read_recording(write(tmp_path / "a.wav", samples))
    assert rate == 24000
    np.testing.assert_array_equal(waveform, samples.T)


def test_integer_files_are_scaled(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, np.full((4800, 4), 16384, np.int16), 48000)
    waveform, rate = read_recording(path)
    assert rate == 48000
    np.testing.assert_allclose(waveform, 0.5)


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (noise(1), "has 1 channel, expected 4 channels"),
        (noise(3), "has 3 channels, expected 4 channels"),
        (noise(4, 0), "shorter than one label frame"),
        (noise(4, 2399), "shorter than one label frame"),
    ],
)
def test_unusable_recordings_are_named_with_the_reason(tmp_path, samples, says):
    with pytest.raises(AudioError, match=rf"a\.wav: .*{says}"):
        read_recording(write(tmp_path / "a.wav", samples))


def test_nan_samples_are_located(tmp_path):
    samples = noise(4)
    samples[12000, 2] = np.nan
    samples[13000, 1] = np.inf
    with pytest.raises(
        AudioError, match=r"2 samples are NaN or infinite, the first in channel 2 at 0\.542 s"
    ):
        read_recording(write(tmp_path / "a.wav", samples))


def test_a_single_nan_sample_is_one_sample(tmp_path):
    samples = noise(4)
    samples[12000, 2] = np.nan
    with pytest.raises(AudioError, match=r"1 sample is NaN or infinite, in channel 3 at 0\.500 s"):
        read_recording(write(tmp_path / "a.wav", samples))


def test_absurdly_loud_samples_are_refused_and_integers_that_nobody_scaled_are_not(tmp_path):
    with pytest.raises(AudioError, match=r"a\.wav: its samples reach 5e\+29, where full scale is 1"):
        read_recording(write(tmp_path / "a.wav", np.full((2400, 4), -5e29)))
    waveform, _ = read_recording(write(tmp_path / "a.wav", np.full((2400, 4), 32767.0)))
    assert waveform.max() == 32767


def test_missing_and_foreign_files_are_told_apart(tmp_path):
    with pytest.raises(AudioError, match="no such file"):
        read_recording(tmp_path / "absent.wav")
    (tmp_path / "text.wav").write_text("hello")
    with pytest.raises(AudioError, match=r"text\.wav: cannot be read as audio"):
        read_recording(tmp_path / "text.wav")


def test_resampling_keeps_a_tone_and_its_length():
    rate, new = 48000, 24000
    t = np.arange(rate) / rate
    tone = np.tile(np.sin(2 * np.pi * 440 * t).astype(np.float32), (4, 1))
    resampled = resample(tone, rate, new)
    assert resampled.shape == (4, new)
    expected = np.sin(2 * np.pi * 440 * np.arange(new) / new)
    np.testing.assert_allclose(resampled[2, 200:-200], expected[200:-200], atol=2e-3)
    assert resample(tone, rate, rate) is tone


def test_an_odd_rate_is_resampled_without_a_huge_kernel():
    # 44101 and 24000 have no common divisor: the exact kernel would take gigabytes.
    rate, new = 44101, 24000
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)
    resampled = resample(np.tile(tone, (4, 1)), rate, new)
    assert abs(resampled.shape[1] - new) <= 1
    middle = np.arange(2000, 20000)
    np.testing.assert_allclose(resampled[0, middle], np.sin(2 * np.pi * 440 * middle / new), atol=5e-3)


def test_a_data_set_with_its_own_array_may_have_other_channel_counts(tmp_path):
    path = write(tmp_path / "a.wav", noise(6))
    waveform, _ = read_recording(path, 6)
    assert waveform.shape == (6, 24000)
    with pytest.raises(AudioError, match="has 6 channels, expected 4 channels, as the data set says"):
        read_recording(path, 4)


def test_a_name_that_is_no_text_can_be_read(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    soundfile.write(tmp_path / "plain.wav", noise(4), 24000)
    (tmp_path / "plain.wav").rename(path)
    waveform, _ = read_recording(path)
    assert waveform.shape == (4, 24000)
