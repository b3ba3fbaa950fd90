"""What the front ends of magnitudes and phases share: a centred STFT and the grid of their features."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from sai_bench.errors import AudioError
from sai_bench_builtin.configs.front_end import CentredStftConfig


def centred_stft(waveform: torch.Tensor, config: CentredStftConfig, microphones: int) -> torch.Tensor:
    """Return the Hann-windowed STFT; frame t is centred on sample t hop_samples.

    Args:
        waveform: [B, M, S] at `config.sample_rate_hz`.
        config: the grid.
        microphones: what M must be.

    Returns:
        [B, M, T, n_fft / 2] complex with T = S // hop_samples + 1, the bin at half the sample rate left out,
        multiplied by bins / (n_fft / 2) (see `pad_bins_to`); computed in float32 unless the waveform is
        float64.

    Raises:
        AudioError: another number of microphones, or too few samples to reflect.
    """
    _check_waveform(waveform, config, microphones)
    if waveform.dtype != torch.float64:
        waveform = waveform.float()
    window = torch.hann_window(config.n_fft, dtype=waveform.dtype, device=waveform.device)
    margin = config.n_fft // 2
    spectrum = torch.stft(
        F.pad(
            waveform.flatten(0, 1), (margin, margin), "reflect" if config.edges == "reflect" else "constant"
        ),
        config.n_fft,
        hop_length=config.hop_samples,
        window=window * (config.bins / config.bins_computed),
        center=False,
        return_complex=True,
    )
    return spectrum.transpose(1, 2).unflatten(0, waveform.shape[:2])[..., : config.bins_computed]


def directions_of(
    spectrum: torch.Tensor, magnitude: torch.Tensor, floor: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return sine and cosine of the phase of every bin, both 0 where it is silent, and which are silent.

    Args:
        spectrum: [...] complex.
        magnitude: [...] its absolute value.
        floor: bins of at most this magnitude are silent.
    """
    silent = magnitude <= floor
    divisor = magnitude.masked_fill(silent, math.inf)
    return spectrum.imag / divisor, spectrum.real / divisor, silent


def on_grid(
    magnitude: torch.Tensor,
    sine: torch.Tensor,
    cosine: torch.Tensor,
    config: CentredStftConfig,
    dtype: torch.dtype,
) -> torch.Tensor:
    """Return the features on the declared grid: silent bins above, the last frame repeated.

    Args:
        magnitude: [B, M, T, n_fft / 2].
        sine: [B, P, T, n_fft / 2] of the phases or phase differences.
        cosine: like `sine`.
        config: the grid.
        dtype: of the result.

    Returns:
        [B, M + 2 P, T', bins]: natural log of the magnitudes, sines, cosines; T' is T rounded up to a
        multiple of `config.frame_multiple`.
    """
    (batch, microphones, frames, computed), pairs = magnitude.shape, sine.shape[1]
    padded = -(-frames // config.frame_multiple) * config.frame_multiple
    features = magnitude.new_empty(batch, microphones + 2 * pairs, padded, config.bins, dtype=dtype)
    logarithm = magnitude.clamp(min=config.magnitude_floor).log()
    first = 0
    for values, silence in ((logarithm, math.log(config.magnitude_floor)), (sine, 0), (cosine, 1)):
        channels = slice(first, first + values.shape[1])
        features[:, channels, :frames, :computed] = values
        features[:, channels, :frames, computed:] = silence
        first = channels.stop
    features[:, :, frames:] = features[:, :, frames - 1 : frames]
    return features


def _check_waveform(waveform: torch.Tensor, config: CentredStftConfig, microphones: int) -> None:
    found, samples = waveform.shape[1:]
    if found != microphones:
        raise AudioError(
            f"The front end hears {found} microphones, expected {microphones}. Set "
            "system.front_end.microphones to the recordings' number, or system.microphones to 'mic' for four "
            "of 32."
        )
    if config.edges == "reflect" and samples <= config.n_fft // 2:
        raise AudioError(
            f"The front end got {samples} samples, too few to reflect at the edges: expected more than "
            f"n_fft / 2 = {config.n_fft // 2}. Give it longer segments or set edges to 'zeros'."
        )
