"""Front end `stft_phase_difference`: log magnitudes and the phase differences between microphones."""

from __future__ import annotations

import torch

from sai_bench.interfaces import FrontEnd
from sai_bench_builtin.configs.front_end import StftPhaseDifferenceConfig
from sai_bench_builtin.front_ends.centred_stft import centred_stft, directions_of, on_grid


class StftPhaseDifference(FrontEnd):
    """Log magnitude of every microphone, sine and cosine of the phase difference of microphone pairs.

    With X the centred Hann STFT: log(max(|X|, magnitude_floor)), and for each pair (i, j) imaginary and real
    part of X_j conj(X_i) / |X_j X_i|, whose phase is that of j minus that of i: -2 pi f tau where j hears a
    plane wave tau seconds after i. If either bin is silent, sine is 0 and cosine 1.

    Unlike single phases, the differences do not depend on what the source emits or on where the window lies.
    """

    def __init__(self, config: StftPhaseDifferenceConfig):
        self.config = config

    def __call__(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return the features.

        Args:
            waveform: [B, M, S] at `sample_rate_hz`, full scale 1.

        Returns:
            [B, M + 2 P, T, bins] in the waveform's dtype: M log magnitudes, then sines and cosines of the P
            pairs in the order of `config.microphone_pairs`. T is S // hop_samples + 1, rounded up to a
            multiple of `frame_multiple`.

        Raises:
            AudioError: another number of microphones, or too few samples to reflect.
        """
        config = self.config
        spectrum = centred_stft(waveform, config, config.microphones)
        magnitude = spectrum.abs()
        sine, cosine, silent = directions_of(spectrum, magnitude, config.phase_floor)
        differences = [_difference(sine, cosine, silent, *pair) for pair in config.microphone_pairs]
        sine, cosine = (torch.stack(part, dim=1) for part in zip(*differences, strict=True))
        return on_grid(magnitude, sine, cosine, config, waveform.dtype)


def _difference(
    sine: torch.Tensor, cosine: torch.Tensor, silent: torch.Tensor, i: int, j: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return sine and cosine [B, T, F] of the phase of microphone j minus that of i, (0, 1) where silent."""
    difference = sine[:, j] * cosine[:, i] - cosine[:, j] * sine[:, i]
    alike = cosine[:, j] * cosine[:, i] + sine[:, j] * sine[:, i]
    return difference, alike.masked_fill_(silent[:, i] | silent[:, j], 1)
