"""What AudioMAE hears: 128 log-mel energies every 10 ms, as Kaldi computes them, padded and normalised.

The published encoders were trained on `torchaudio.compliance.kaldi.fbank` with `htk_compat=True,
use_energy=False, window_type="hanning", num_mel_bins=128, dither=0, frame_shift=10`; here the same numbers
come for whole batches.
"""

from __future__ import annotations

import torch
import torchaudio

from sai_bench_builtin.priors.audiomae.patch_grid import (
    HOP_SAMPLES,
    MEL_BANDS,
    SAMPLE_RATE_HZ,
    WINDOW_SAMPLES,
)

MEAN, DEVIATION = -4.2677393, 4.5689974
"""Of the log-mel energies of AudioSet, as published with the encoder."""

_FFT = 512
_PREEMPHASIS = 0.97
_LOWEST_HZ = 20.0
_FLOOR = torch.finfo(torch.float32).eps


class Filterbank:
    """Turns mono samples at 16 kHz into log-mel energies."""

    def __init__(self):
        banks, _ = torchaudio.compliance.kaldi.get_mel_banks(
            MEL_BANDS, _FFT, SAMPLE_RATE_HZ, _LOWEST_HZ, 0.0, 100.0, -500.0, 1.0
        )
        self._banks = torch.nn.functional.pad(banks, (0, 1)).T.contiguous()  # [257, 128]; no band at Nyquist
        self._window = torch.hann_window(WINDOW_SAMPLES, periodic=False)

    def __call__(self, samples: torch.Tensor) -> torch.Tensor:
        """Return log-mel energies [B, T, 128], T = 1 + (S - 400) // 160.

        Args:
            samples: [B, S] float32, full scale 1, S >= 400; each row's mean is taken off first.
        """
        samples = samples - samples.mean(dim=1, keepdim=True)
        frames = samples.unfold(1, WINDOW_SAMPLES, HOP_SAMPLES)
        frames = frames - frames.mean(dim=2, keepdim=True)
        previous = torch.cat([frames[..., :1], frames[..., :-1]], dim=2)
        spectrum = torch.fft.rfft((frames - _PREEMPHASIS * previous) * self._window, n=_FFT)
        power = spectrum.real.square() + spectrum.imag.square()
        return (power @ self._banks).clamp(min=_FLOOR).log()


def padded_and_normalised(log_mel: torch.Tensor, frames: int) -> torch.Tensor:
    """Return log-mel energies [B, T, 128] with zeros appended up to `frames`, then normalised.

    The zeros are normalised, too, as they were when the encoder was trained.
    """
    padded = torch.nn.functional.pad(log_mel, (0, 0, 0, frames - log_mel.shape[1]))
    return (padded - MEAN) / (2 * DEVIATION)
