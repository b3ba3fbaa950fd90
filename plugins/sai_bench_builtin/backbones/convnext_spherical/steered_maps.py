"""Steered maps beside the learned attention: SRP-PHAT in bands of frequency, for each label frame."""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from sai_bench.errors import AudioError
from sai_bench.interfaces import FeatureSpec, SphereSpec
from sai_bench.sphere import ArrayGeometry, grid_directions, unit_vectors
from sai_bench_builtin.backbones.array_memory import ArrayMemory
from sai_bench_builtin.backbones.convnext_spherical.label_windows import label_windows
from sai_bench_builtin.backbones.cross_spectra import cross_spectra, steering_of
from sai_bench_builtin.configs.backbone import ConvNextSphericalConfig

_MOST_PAIRS = 48
"""Microphone pairs that are used at most; of more, those with the most different baselines."""


class SteeredEmbedding(nn.Module):
    """What the steered maps add to the embedding: a learned linear map of those of a direction.

    Without a bias: silence adds nothing, and what a direction is apart from sound the queries say.
    """

    def __init__(self, config: ConvNextSphericalConfig, features: FeatureSpec, sphere: SphereSpec):
        """Build it with random weights; arguments as for `SteeredMaps`."""
        super().__init__()
        self.maps = SteeredMaps(config, features, sphere)
        self.gain = nn.Parameter(torch.full((config.steered_bands,), config.steered_gain))
        self.mix = nn.Linear(config.steered_bands, sphere.channels, bias=False)

    def forward(self, features: torch.Tensor, array: ArrayGeometry | None) -> torch.Tensor:
        """Return what is added, [B, N, G, D]; arguments and errors as for `SteeredMaps`."""
        return self.mix(self.maps(features, array).to(self.gain.dtype) * self.gain)


class SteeredMaps(nn.Module):
    """Steered response power with phase transform, a map for each band of frequencies; nothing is learned.

    For a label frame n, a band b and a direction g, with x the phases of the microphones (magnitude 1, 0
    where silent), a those of the steering vectors, f the bins of the band and t the STFT frames under those
    encoder frames of stage 2 that the backbone averages for this label frame:

        map[n, g, b] = mean over pairs i < j, t and f of Re(x_i x_j* a_i*[g] a_j[g])

    The cross-spectra are averaged over t first. They turn with frequency, so each bin is steered for itself,
    and only then a band is summed: one matrix product for each band.
    """

    def __init__(self, config: ConvNextSphericalConfig, features: FeatureSpec, sphere: SphereSpec):
        """Prepare.

        Args:
            config: bands and strides.
            features: what the front end promises.
            sphere: the grid.

        Raises:
            sai_bench.errors.WiringError: see `ConvNextSphericalConfig.steered_bins`.
        """
        super().__init__()
        bands = config.steered_bins(features)
        self.microphones = features.channels // 3
        self.bins = slice(bands[0].start, bands[-1].stop)
        self.bins_of_bands = [len(band) for band in bands]
        self.config = config
        self.hops_per_stage_frame = config.time_strides()[1]
        self.stage_frames_per_label_frame = config.frames_per_label_frame(features)[0]
        azimuth, elevation = grid_directions(sphere.height, sphere.width)
        frequencies_hz = np.arange(self.bins.start, self.bins.stop) * features.sample_rate_hz / features.n_fft
        self._steering_of = ArrayMemory(
            functools.partial(
                steering_of,
                directions=unit_vectors(azimuth[None, :], elevation[:, None]).reshape(-1, 3),
                groups_hz=list(frequencies_hz[:, None]),
                most_pairs=_MOST_PAIRS,
            )
        )

    @torch.no_grad()
    def forward(self, features: torch.Tensor, array: ArrayGeometry | None) -> torch.Tensor:
        """Return the maps.

        Args:
            features: [B, 3 M, T, F]: log magnitudes, sines and cosines of the phases of M microphones.
            array: the M capsules.

        Returns:
            [B, N, G, bands] float32 in [-1, 1]; N is that of stage 2.

        Raises:
            ValueError: there is no array, or it has another number of capsules.
            AudioError: the channels are ambisonic components, no capsules.
        """
        self._check(array)
        steering = self._steering_of(array, features.device)
        cross = cross_spectra(self._phases(features), steering.pairs, bins_per_group=1)  # [B, T, F, 2 P]
        cross = self._of_label_frames(cross)
        parts = zip(
            cross.split(self.bins_of_bands, dim=2),
            steering.table.split([2 * len(steering.pairs) * bins for bins in self.bins_of_bands]),
            self.bins_of_bands,
            strict=True,
        )
        with torch.autocast(features.device.type, enabled=False):
            return torch.stack([part.flatten(2) @ table / bins for part, table, bins in parts], dim=3)

    def _phases(self, features):
        """Return the phases [B, M, T, bins] as complex numbers, 0 where silent."""
        _, sine, cosine = features[..., self.bins].float().unflatten(1, (3, -1)).unbind(1)
        # The front end says 0 and 1 of a silent bin, which would be in phase with every other one.
        return torch.complex(cosine.masked_fill((sine == 0) & (cosine == 1), 0), sine)

    def _of_label_frames(self, cross):
        """Return the mean [B, N, ...] of [B, T, ...] over the STFT frames of each label frame."""
        counts = self._sums(cross.new_ones(1, cross.shape[1], 1, 1)).clamp_min(1)
        return self._sums(cross) / counts

    def _sums(self, x):
        stage_frames = self.config.time_frames(x.shape[1])[1]
        missing = stage_frames * self.hops_per_stage_frame - x.shape[1]
        x = F.pad(x, (0, 0, 0, 0, 0, missing))  # negative: the encoder leaves the last frames out
        x = x.unflatten(1, (-1, self.hops_per_stage_frame)).sum(2)
        return label_windows(x, self.stage_frames_per_label_frame).sum(2)

    def _check(self, array):
        if array is None:
            raise ValueError(
                "convnext_spherical with steered_bands needs the array geometry: call it with `array`, the "
                f"{self.microphones} capsules that the features come from"
            )
        if array.microphones != self.microphones:
            raise ValueError(
                f"features of {self.microphones} microphones, array '{array.name}' of {array.microphones}"
            )
        if array.baffle == "ambisonic":
            raise AudioError(
                f"array '{array.name}' has ambisonic channels, and steered maps need capsules at known "
                "positions. Use recordings of capsules (starss23: `format: mic`) or set "
                "system.backbone.steered_bands to 0."
            )
