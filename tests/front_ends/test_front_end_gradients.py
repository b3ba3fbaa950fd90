"""Gradients through the front ends: a loss on the features can train what makes the waveform."""

import pytest
import torch

from sai_bench_builtin.configs.front_end import StftLogMagnitudePhaseConfig, StftPhaseDifferenceConfig
from sai_bench_builtin.front_ends.stft_log_magnitude_phase import StftLogMagnitudePhase
from sai_bench_builtin.front_ends.stft_phase_difference import StftPhaseDifference

SMALL = {"sample_rate_hz": 1000, "n_fft": 16, "hop_samples": 10, "microphones": 2, "pad_bins_to": 12}
each_front_end = pytest.mark.parametrize(
    ("front_end", "config"),
    [
        (StftLogMagnitudePhase, StftLogMagnitudePhaseConfig),
        (StftPhaseDifference, StftPhaseDifferenceConfig),
    ],
)


@each_front_end
@pytest.mark.parametrize("samples", [40, 50])  # 5 frames and a repeated one; 6 frames
def test_gradients_are_those_of_small_changes_of_the_waveform(front_end, config, samples):
    waveform = torch.randn(1, 2, samples, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    assert torch.autograd.gradcheck(front_end(config(**SMALL)), waveform.requires_grad_())


@each_front_end
def test_silence_has_finite_gradients(front_end, config):
    waveform = torch.zeros(1, 2, 60)
    waveform[:, :, 40:] = torch.randn(20, generator=torch.Generator().manual_seed(0))

    front_end(config(**SMALL))(waveform.requires_grad_()).square().sum().backward()

    assert waveform.grad.isfinite().all()
    assert waveform.grad.abs().max() > 0
