"""Front end `stft`: the complex short-time spectrum of every microphone."""

from __future__ import annotations

import torch

from sai_bench.interfaces import FrontEnd
from sai_bench_builtin.configs.front_end import StftConfig


class Stft(FrontEnd):
    """Hann-windowed STFT; frame t is centred on sample t * hop_samples."""

    def __init__(self, config: StftConfig):
        self.config = config
        self.window = torch.hann_window(config.n_fft)

    def __call__(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return the complex spectrum.

        Samples before the start and after the end count as zero, so segments of any length work.

        Args:
            waveform: [B, M, S] float32 at `sample_rate_hz`.

        Returns:
            [B, M, T, F] complex64 with T = 1 + S // hop_samples, F = n_fft // 2 + 1. A delay of tau seconds
            turns bin f by exp(-2 pi i tau f sample_rate_hz / n_fft).
        """
        config = self.config
        if self.window.device != waveform.device:
            self.window = self.window.to(waveform.device)
        spectrum = torch.stft(
            waveform.flatten(0, 1),
            config.n_fft,
            hop_length=config.hop_samples,
            window=self.window,
            center=True,
            pad_mode="constant",  # reflection would refuse segments shorter than half a window
            return_complex=True,
        )
        return spectrum.transpose(1, 2).unflatten(0, waveform.shape[:2])
