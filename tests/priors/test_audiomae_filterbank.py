"""The filterbank is Kaldi's, as torchaudio computes it with the options of the published recipe."""

import pytest
import torch
from torchaudio.compliance import kaldi

from sai_bench_builtin.priors.audiomae.filterbank import Filterbank, padded_and_normalised

torch.set_num_threads(1)


def published(samples):
    """The recipe of the AudioMAE repository for one window."""
    return kaldi.fbank(
        (samples - samples.mean())[None], htk_compat=True, sample_frequency=16_000, use_energy=False,
        window_type="hanning", num_mel_bins=128, dither=0.0, frame_shift=10,
    )  # fmt: skip


@pytest.mark.parametrize(("samples", "frames"), [(32_000, 198), (1_600, 8), (400, 1)])
def test_each_row_of_a_batch_equals_torchaudio(samples, frames):
    generator = torch.Generator().manual_seed(samples)
    time = torch.arange(samples) / 16_000
    noise = 0.1 * torch.randn(samples, generator=generator)
    tone = 0.5 * torch.sin(2 * torch.pi * 440 * time) + 0.2  # with an offset that has to go
    got = Filterbank()(torch.stack([noise, tone]))
    assert got.shape == (2, frames, 128)
    for row, samples_of_row in zip(got, (noise, tone), strict=True):
        torch.testing.assert_close(row, published(samples_of_row), rtol=1e-4, atol=1e-3)


def test_silence_is_the_floor_and_finite():
    silence = torch.zeros(1, 32_000)
    got = Filterbank()(silence)
    torch.testing.assert_close(got[0], published(silence[0]))
    assert got.isfinite().all()


def test_padding_is_normalised_like_sound():
    log_mel = torch.full((1, 198, 128), -4.2677393)
    got = padded_and_normalised(log_mel, 208)
    assert got.shape == (1, 208, 128)
    assert (got[:, :198] == 0).all()
    torch.testing.assert_close(got[:, 198:], torch.full((1, 10, 128), 4.2677393 / (2 * 4.5689974)))
