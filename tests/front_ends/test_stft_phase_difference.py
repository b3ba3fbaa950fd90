import math

import numpy as np
import pydantic
import pytest
import torch

from sai_bench.errors import AudioError
from sai_bench_builtin.configs.front_end import StftPhaseDifferenceConfig
from sai_bench_builtin.front_ends.stft_phase_difference import StftPhaseDifference

SMALL = {"sample_rate_hz": 8000, "n_fft": 256, "hop_samples": 80, "frame_multiple": 1}


def features_of(waveform, **keys):
    return StftPhaseDifference(StftPhaseDifferenceConfig(**keys))(torch.as_tensor(waveform)).numpy()


def noise(*shape):
    return np.random.default_rng(0).standard_normal(shape)


@pytest.mark.parametrize(
    ("keys", "pairs"),
    [
        ({}, [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]),
        ({"pairs": "reference"}, [(0, 1), (0, 2), (0, 3)]),
        ({"pairs": "reference", "reference_microphone": 2}, [(2, 0), (2, 1), (2, 3)]),
        ({"microphones": 2}, [(0, 1)]),
    ],
)
def test_pairs_and_shape_are_as_declared(keys, pairs):
    config = StftPhaseDifferenceConfig(**keys)
    features = StftPhaseDifference(config)(torch.zeros(2, config.microphones, 96000))

    assert config.microphone_pairs == pairs
    assert config.output().channels == config.microphones + 2 * len(pairs)
    assert config.output().representation == "phase_difference"
    assert features.shape == (2, config.output().channels, 202, config.output().bins)


@pytest.mark.parametrize("keys", [{}, {"pairs": "reference", "reference_microphone": 1}])
def test_equals_magnitudes_and_phase_differences_of_the_windowed_dft(keys):
    waveform = noise(2, 4, 1000)
    features = features_of(waveform, **SMALL, **keys)

    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    pairs = StftPhaseDifferenceConfig(**keys).microphone_pairs
    for frame in (2, 5, 10):
        centre = 80 * frame
        spectrum = np.fft.rfft(waveform[..., centre - 128 : centre + 128] * window)[..., :128]
        phase = np.angle(spectrum)
        np.testing.assert_allclose(features[:, :4, frame], np.log(np.abs(spectrum)), atol=1e-9)
        for number, (i, j) in enumerate(pairs):
            difference = phase[:, j] - phase[:, i]
            sine, cosine = features[:, 4 + number, frame], features[:, 4 + len(pairs) + number, frame]
            np.testing.assert_allclose(sine, np.sin(difference), atol=1e-9)
            np.testing.assert_allclose(cosine, np.cos(difference), atol=1e-9)


def test_a_later_arrival_turns_the_phase_back_by_frequency_times_delay():
    tone_hz, delays_s = 1000.0, np.array([0.0, 1e-4, 2.5e-4])
    times = np.arange(1600) / 8000
    waveform = np.cos(2 * np.pi * tone_hz * (times - delays_s[:, None]))[None]
    features = features_of(waveform, **SMALL, microphones=3, pairs="reference")

    bin_of_tone = round(tone_hz * 256 / 8000)
    expected = -2 * np.pi * tone_hz * delays_s[1:, None]
    inside = slice(2, -2)
    np.testing.assert_allclose(
        features[0, 3:5, inside, bin_of_tone], np.sin(expected) + np.zeros(17), atol=1e-6
    )
    np.testing.assert_allclose(
        features[0, 5:7, inside, bin_of_tone], np.cos(expected) + np.zeros(17), atol=1e-6
    )


def test_levels_and_polarity_common_to_all_microphones_leave_the_differences_alone():
    waveform = noise(1, 4, 1000)
    np.testing.assert_allclose(
        features_of(-0.01 * waveform, **SMALL)[:, 4:], features_of(waveform, **SMALL)[:, 4:], atol=1e-9
    )


def test_a_dead_microphone_has_no_phase_difference_with_anyone():
    waveform = noise(1, 3, 1000)
    waveform[:, 1] = 0
    features = features_of(waveform, **SMALL, microphones=3)  # pairs 01, 02, 12

    assert np.isfinite(features).all()
    np.testing.assert_array_equal(features[:, 1], math.log(1e-5))
    for pair in (0, 2):
        np.testing.assert_array_equal(features[:, 3 + pair], 0)
        np.testing.assert_array_equal(features[:, 6 + pair], 1)
    assert np.abs(features[:, 4]).max() > 0.9


def test_the_upper_half_of_the_24_khz_form_is_silence():
    features = features_of(
        noise(1, 4, 4800), sample_rate_hz=24000, n_fft=1024, hop_samples=240, pad_bins_to=1024
    )
    assert features.shape == (1, 16, 22, 1024)
    assert (features[:, :4, :, 512:] == math.log(1e-5)).all()
    assert (features[:, 4:10, :, 512:] == 0).all()
    assert (features[:, 10:, :, 512:] == 1).all()


def test_another_number_of_microphones_is_named():
    with pytest.raises(AudioError, match="hears 3 microphones, expected 4"):
        features_of(noise(1, 3, 1000), **SMALL)


def test_a_reference_that_does_not_exist_is_refused():
    with pytest.raises(pydantic.ValidationError, match=r"they are 0 \.\.\. 3"):
        StftPhaseDifferenceConfig(pairs="reference", reference_microphone=4)
