"""Backbone `steered_power`: SRP-PHAT maps from the array's geometry, without training.

DiBiase, "A high-accuracy, low-latency technique for talker localization in reverberant environments using
microphone arrays", PhD thesis, Brown University, 2000.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F

from sai_bench.interfaces import Backbone, FeatureSpec
from sai_bench.sphere import FRAMES_PER_S, ArrayGeometry, grid_directions, unit_vectors
from sai_bench_builtin.backbones.array_memory import ArrayMemory
from sai_bench_builtin.backbones.steering import steering_vectors
from sai_bench_builtin.configs.backbone import SteeredPowerConfig

_TABLE_BYTES = 256 * 2**20
"""Largest table of pair phases that is kept; beyond it beams are formed instead."""

_BEAM_BYTES = 64 * 2**20
"""Size of the beams that are held at once."""

_STEADY_SHARE = 0.03
"""What sound that does not rise counts, so that a steady source is still found where nothing rises."""

_TINY = torch.finfo(torch.float32).tiny


class SteeredPower(Backbone):
    """Mean agreement of all microphone pairs with a plane wave from each direction of a grid.

    For a label frame n and a direction g, with x the spectra scaled to magnitude 1 (0 where silent), a the
    phases of the steering vectors and w the weights of the STFT bins (t, f) of that label frame, sum 1:

        power[n, g] = mean over pairs i < j of sum over t, f of w[t, f] Re(x_i x_j* a_i*[g] a_j[g])

    1 is a lone plane wave from g, 0 independent noise or silence. The weights are a power of the magnitude by
    which a bin rises above its recent past: what rises comes straight from a source, what falls is mostly
    reverberation (the precedence effect). Maps of neighbouring label frames are then averaged with weights
    that fall linearly: symmetric, so that a source that moves steadily stays in place, and short.
    """

    def __init__(self, config: SteeredPowerConfig, features: FeatureSpec):
        self.config = config
        self.sphere = config.output(features)
        bins = config.bins(features)
        self.band = slice(bins.start, bins.stop)
        self.frequencies_hz = np.array(bins) * features.sample_rate_hz / features.n_fft
        self.hops_per_frame = features.sample_rate_hz // (FRAMES_PER_S * features.hop_samples)
        self.memory = round(config.onset_memory_s * features.sample_rate_hz / features.hop_samples)
        azimuth, elevation = grid_directions(config.grid_height, config.grid_width)
        self.directions = unit_vectors(azimuth[None, :], elevation[:, None]).reshape(-1, 3)
        self._steering_of = ArrayMemory(
            functools.partial(_Steering, directions=self.directions, frequencies_hz=self.frequencies_hz)
        )

    def __call__(self, features: torch.Tensor, array: ArrayGeometry) -> torch.Tensor:
        """Return steered power maps.

        Args:
            features: [B, M, T, F] complex spectra; STFT frame t belongs to the label frame in which its
                centre lies.
            array: the M capsules.

        Returns:
            [B, N, 1, h, w] float32 in [-1, 1], N = T / (STFT frames per label frame), rounded up.
        """
        batch, microphones = features.shape[:2]
        if microphones != array.microphones:
            raise ValueError(
                f"features of {microphones} channels, array '{array.name}' of {array.microphones}"
            )
        if microphones < 2:
            raise ValueError(f"steered_power needs at least 2 microphones, got {microphones}")
        spectra = features[..., self.band]
        weights = self._by_label_frame(self._weights(spectra)[:, None])  # [B * N, F, 1, H]
        weights = weights / weights.sum((1, 3), keepdim=True).clamp_min(_TINY)
        phases = torch.sgn(self._by_label_frame(spectra))
        power = self._steering_of(array, features.device).power(phases * weights.sqrt())
        power = _smooth(power.unflatten(0, (batch, -1)), self.config.smoothing_frames)
        return power.clamp(-1, 1).unflatten(2, (1, self.sphere.height, self.sphere.width))

    def _weights(self, spectra):
        """Return how much each bin [B, T, F] of spectra [B, M, T, F] counts, 0 where it is silent."""
        magnitudes = spectra.abs().mean(1)
        # Powers of the magnitudes of a very quiet recording would leave the range of float32.
        magnitudes = magnitudes / magnitudes.amax((1, 2), keepdim=True).clamp_min(_TINY)
        if self.memory:
            recent = F.pad(magnitudes.mT, (self.memory, 0), mode="replicate")[..., :-1]
            recent = F.max_pool1d(recent, self.memory, stride=1).mT
            magnitudes = (magnitudes - recent).clamp_min(0) + _STEADY_SHARE * magnitudes
        return torch.where(magnitudes > 0, magnitudes**self.config.magnitude_exponent, 0)

    def _by_label_frame(self, spectra):
        """Return [B, M, T, F] as [B * N, F, M, STFT frames of a label frame]; missing ones are silent."""
        missing = -spectra.shape[2] % self.hops_per_frame
        spectra = F.pad(spectra, (0, 0, 0, missing)).unflatten(2, (-1, self.hops_per_frame))
        return spectra.permute(0, 2, 4, 1, 3).flatten(0, 1)


class _Steering:
    """The phases of one array towards one grid, and the steered power of spectra.

    Few microphones: cross-spectra of all pairs times one table of the pairs' phase differences, a single real
    matrix product that is independent of the number of STFT frames. Many microphones (496 pairs for 32): that
    table would take gigabytes, so the beams themselves are formed and squared, in parts of bounded size:
    2 sum over i < j of Re(x_i x_j* a_i* a_j) = |sum over i of a_i* x_i|^2 - sum over i of |x_i|^2.
    """

    def __init__(self, array, directions, frequencies_hz, device):
        phases = torch.sgn(torch.from_numpy(steering_vectors(array, directions, frequencies_hz))).to(device)
        microphones = array.microphones
        self.first, self.second = torch.triu_indices(microphones, microphones, 1, device=device)
        fits = len(self.first) * phases.shape[0] * phases.shape[2] * 8 <= _TABLE_BYTES
        self.table = self._table_of_pairs(phases) if fits else None
        self.conjugates = None if fits else phases.conj().resolve_conj()  # [F, M, G]

    def power(self, phases):
        """Return the steered power [n, G] of weighted phases [n, F, M, H]."""
        total = self._by_beams(phases) if self.table is None else self._cross_spectra(phases) @ self.table
        return total / len(self.first)

    def _table_of_pairs(self, phases):
        """Return the phase differences of the pairs, real and imaginary, [F * P * 2, G]."""
        table = phases[:, self.first] * phases[:, self.second].conj()  # [F, P, G]
        return torch.view_as_real(table).transpose(2, 3).flatten(0, 2).contiguous()

    def _cross_spectra(self, phases):
        """Return real and imaginary parts of the pairs' cross-spectra [n, F * P * 2]."""
        cross = phases @ phases.mH  # [n, F, M, M]
        return torch.view_as_real(cross[:, :, self.first, self.second]).flatten(1)

    def _by_beams(self, phases):
        """Return the sum over pairs [n, G] from the power of the beams."""
        directions = self.conjugates.shape[2]
        rows_at_once = max(1, _BEAM_BYTES // (phases.shape[3] * directions * 8))
        return torch.cat([self._beam_power(part) for part in phases.split(rows_at_once)])

    def _beam_power(self, phases):
        frames, _, _, hops = phases.shape
        power = phases.new_zeros(frames, self.conjugates.shape[2], dtype=torch.float32)
        for spectrum, conjugates in zip(phases.transpose(2, 3).unbind(1), self.conjugates, strict=True):
            beams = spectrum.flatten(0, 1) @ conjugates  # [n * H, G]
            power += torch.view_as_real(beams).square_().sum(2).unflatten(0, (frames, hops)).sum(1)
        alone = phases.abs().square().sum((1, 2, 3))
        return (power - alone[:, None]) / 2


def _smooth(power, reach):
    """Average maps [B, N, G] over +-`reach` frames with weights that fall linearly; shorter at the ends."""
    if reach == 0:
        return power
    frames = torch.arange(power.shape[1], device=power.device)
    kernel = (reach + 1 - (frames[:, None] - frames).abs()).clamp_min(0).to(power.dtype)
    return (kernel / kernel.sum(1, keepdim=True)) @ power
