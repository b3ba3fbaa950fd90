from __future__ import annotations

import numpy as np
import pydantic
import pytest
import torch

from sai_bench_builtin.configs.front_end import StftConfig
from sai_bench_builtin.front_ends.stft import Stft

CONFIG = StftConfig(sample_rate_hz=24000, n_fft=512, hop_samples=240)


def test_equals_windowed_dft_centred_on_the_middle_of_each_hop():
    waveform = np.random.default_rng(0).standard_normal((2, 3, 2500)).astype(np.float32)

    spectrum = Stft(CONFIG)(torch.from_numpy(waveform)).numpy()

    padded = np.pad(waveform.astype(float), ((0, 0), (0, 0), (256, 512)))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    for frame in (0, 1, 5, 10):
        centre = 256 + 120 + frame * 240
        expected = np.fft.rfft(padded[..., centre - 256 : centre + 256] * window)
        np.testing.assert_allclose(spectrum[:, :, frame], expected, atol=1e-4)


def test_shape_and_type_are_as_declared():
    spectrum = Stft(CONFIG)(torch.zeros(2, 4, 48000))

    assert spectrum.dtype == torch.complex64
    assert spectrum.shape == (2, 4, 48000 // 240, CONFIG.output().bins)
    assert CONFIG.output().representation == "complex_spectrum"
    assert CONFIG.output().hop_samples == 240
    assert CONFIG.output().first_centre_samples == 120


@pytest.mark.parametrize("samples", [1, 100, 255, 256, 257])
def test_segments_shorter_than_the_window_are_accepted(samples):
    assert Stft(CONFIG)(torch.ones(1, 4, samples)).shape == (1, 4, -(-samples // 240), 257)


def test_hop_must_divide_a_label_frame():
    with pytest.raises(pydantic.ValidationError, match=r"2400 samples; choose a divisor such as 240\b"):
        StftConfig(hop_samples=250)


def test_hop_beyond_the_window_is_refused():
    with pytest.raises(pydantic.ValidationError, match="skips samples"):
        StftConfig(n_fft=128, hop_samples=240)
