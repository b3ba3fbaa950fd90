"""Front end `stft`: the complex short-time spectrum of every microphone."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from sai_bench.interfaces import FrontEnd
from sai_bench_builtin.configs.front_end import StftConfig


class Stft(FrontEnd):
    """Hann-windowed STFT; frame t is centred on the middle of its hop, sample (t + 1/2) hop_samples.

    So the STFT frames of a label frame lie evenly within it.
    """

    def __init__(self, config: StftConfig):
        self.config = config
        self.window = torch.hann_window(config.n_fft)

    def __call__(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return the complex spectrum.

        Samples before the start and after the end count as zero, so segments of any length work.

        Args:
            waveform: [B, M, S] float32 at `sample_rate_hz`.

        Returns:
            [B, M, T, F] complex64 with T = S / hop_samples, rounded up, F = n_fft // 2 + 1. A delay of tau
            seconds turns bin f by exp(-2 pi i tau f sample_rate_hz / n_fft).
        """
        config = self.config
        if self.window.device != waveform.device:
            self.window = self.window.to(waveform.device)
        frames = -(-waveform.shape[2] // config.hop_samples)
        before = config.n_fft // 2 - config.hop_samples // 2
        after = (frames - 1) * config.hop_samples + config.n_fft - before - waveform.shape[2]
        spectrum = torch.stft(
            F.pad(waveform.flatten(0, 1), (before, after)),
            config.n_fft,
            hop_length=config.hop_samples,
            window=self.window,
            center=False,
            return_complex=True,
        )
        return spectrum.transpose(1, 2).unflatten(0, waveform.shape[:2])
