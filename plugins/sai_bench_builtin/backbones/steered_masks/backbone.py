"""Backbone `steered_masks`: the network decides which bins count, physics where they come from."""

from __future__ import annotations

import functools
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from sai_bench.interfaces import Backbone, FeatureSpec
from sai_bench.sphere import ArrayGeometry, grid_directions, unit_vectors
from sai_bench_builtin.backbones.array_memory import ArrayMemory
from sai_bench_builtin.backbones.cross_spectra import cross_spectra, steering_of
from sai_bench_builtin.backbones.steered_masks.encoder import MaskEncoder
from sai_bench_builtin.backbones.steered_masks.sphere_blocks import SphereBlock
from sai_bench_builtin.configs.backbone import SteeredMasksConfig

_MASS_FLOOR = 0.02
"""What an empty mask is taken to let through of each bin: it then gives a map near 0, not noise."""


class SteeredMasks(nn.Module, Backbone):
    """Learned masks over time and frequency weight the pairs' phases, fixed steering vectors project them.

    For a label frame n, a mask d and a direction g, with x the spectra scaled to magnitude 1, a the phases of
    the steering vectors, m the masks in [0, 1] and (t, f) the bins around the label frame:

        map[n, d, g] = mean over pairs of sum over t, f of m_d[t, f] Re(x_i x_j* a_i*[g] a_j[g]) / sum of m_d

    That is steered response power (`steered_power`) with D learned weightings instead of one fixed one. The
    maps are then read by convolutions on the sphere, told by the encoder what is heard.

    Nothing learned depends on the array: it is given with each call, and its geometry is in a only. For a
    sum over bins around a label frame, masks and cross-spectra are summed per label frame first, then over
    neighbouring label frames, and only the sums are projected: one product with a constant matrix.

    With `class_masks`, the last K masks are one for each class, and their maps the result's last channels.
    """

    chooses_frames: ClassVar[bool] = True

    def __init__(self, config: SteeredMasksConfig, features: FeatureSpec):
        """Build the backbone with random weights.

        Args:
            config: the backbone's keys.
            features: what the front end promises.

        Raises:
            sai_bench.errors.WiringError: see `SteeredMasksConfig.output`.
        """
        super().__init__()
        self.config = config
        self.sphere = config.output(features)
        bins = config.bins(features)
        self.band = slice(bins.start, bins.stop)
        spacing_hz = features.sample_rate_hz / features.n_fft
        self.groups_hz = np.array(bins).reshape(-1, config.bins_per_group) * spacing_hz
        self.hops_per_frame = config.hops_per_frame(features)
        azimuth, elevation = grid_directions(config.grid_height, config.grid_width)
        self.directions = unit_vectors(azimuth[None, :], elevation[:, None]).reshape(-1, 3)
        self.encoder = MaskEncoder(len(self.groups_hz), self.hops_per_frame, config)
        self.gain = nn.Parameter(torch.full((config.masks, 1, 1), config.map_gain))
        self.mix = nn.Linear(config.masks + 2, config.embedding_channels)
        self.blocks = nn.ModuleList(
            SphereBlock(
                config.embedding_channels,
                config.context_channels,
                config.sphere_kernel,
                config.sphere_expansion,
            )
            for _ in range(config.sphere_blocks)
        )
        self.norm = nn.LayerNorm(config.embedding_channels)
        self.heard = nn.Linear(config.context_channels, config.embedding_channels)
        sine = torch.from_numpy(np.sin(np.radians(elevation))).float()
        position = torch.stack([sine, sine.square()])[:, :, None].expand(-1, -1, config.grid_width)
        self.register_buffer("position", position.contiguous(), persistent=False)
        self._steering_of = ArrayMemory(
            functools.partial(
                steering_of,
                directions=self.directions,
                groups_hz=list(self.groups_hz),
                most_pairs=config.most_pairs,
            )
        )

    def compile(self, *args, **kwargs) -> None:
        """Compile the learned blocks in place (arguments as for `torch.compile`); the rest stays as is."""
        for block in (*self.encoder.stages, *self.blocks):
            block.compile(*args, **kwargs)

    def forward(
        self, features: torch.Tensor, array: ArrayGeometry, frames: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the embedding.

        Args:
            features: [B, M, T, F] complex spectra; STFT frame t belongs to the label frame in which its
                centre lies.
            array: the M capsules.
            frames: [n] label frames that are wanted; None: all.

        Returns:
            [B, n, C, h, w] as the config's output says; n = T / (STFT frames per label frame), rounded up,
            without `frames`.

        Raises:
            ValueError: there are fewer than two microphones, or not as many as capsules.
        """
        maps, context = self._maps_and_context(features, array, frames)
        maps, context = maps.flatten(0, 1), context.flatten(0, 1)
        embedding = self._read(maps[:, : self.config.masks], context)
        of_classes = maps[:, self.config.masks :].to(embedding.dtype)
        return torch.cat([embedding, of_classes], dim=1).unflatten(0, (len(features), -1))

    def _maps_and_context(self, features, array, frames):
        """Return maps [B, n, masks, h, w] in [-1, 1] and context [B, n, channels] of the label frames."""
        self._check(features, array)
        missing = -features.shape[2] % self.hops_per_frame
        spectra = F.pad(features[..., self.band], (0, 0, 0, missing))
        steering = self._steering_of(array, features.device)
        cross = cross_spectra(spectra, steering.pairs, self.config.bins_per_group)
        mask_logits, context = self.encoder(spectra, cross)
        if frames is None:
            frames = torch.arange(context.shape[1], device=features.device)
        with torch.autocast(features.device.type, enabled=False):
            maps = self._steered(mask_logits.float().sigmoid(), cross, frames, steering.table)
        return maps, context[:, frames]

    def _steered(self, masks, cross, frames, table):
        """Return maps [B, n, D, h, w] of masks [B, T, groups, D] and cross-spectra [B, T, groups, 2 P]."""
        masks = masks.unflatten(1, (-1, self.hops_per_frame))  # [B, N, H, groups, D]
        cross = cross.unflatten(1, (-1, self.hops_per_frame))
        sums = masks.permute(0, 1, 3, 4, 2) @ cross.transpose(2, 3)  # [B, N, groups, D, 2 P]
        mass = masks.sum((2, 3))  # [B, N, D]
        nearby = self._nearby(frames, masks.shape[1])  # [n, N]
        sums = torch.einsum("nk,bkgdp->bndgp", nearby, sums).flatten(3)
        bins = masks.shape[2] * masks.shape[3] * nearby.sum(1)[:, None]
        mass = nearby @ mass + _MASS_FLOOR * bins
        maps = (sums / mass[..., None]) @ table
        return maps.unflatten(3, (self.sphere.height, self.sphere.width))

    def _nearby(self, frames, total):
        """Return which of `total` label frames are summed for which of `frames`, [n, total] of 0 and 1."""
        distance = frames[:, None] - torch.arange(total, device=frames.device)
        return (distance.abs() <= self.config.pooling_frames).float()

    def _read(self, maps, context):
        """Return the embedding [n, C, h, w] of maps [n, masks, h, w] and context [n, channels]."""
        dtype = self.mix.weight.dtype
        position = self.position.expand(len(maps), -1, -1, -1)
        seen = torch.cat([maps.to(dtype) * self.gain, position.to(dtype)], dim=1)
        x = self.mix(seen.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        for block in self.blocks:
            x = block(x, context)
        # What is heard is the same in all directions: said once more, so that it need not survive the norm.
        x = self.norm(x.permute(0, 2, 3, 1)) + self.heard(context)[:, None, None]
        return x.permute(0, 3, 1, 2)

    def _check(self, features, array):
        microphones = features.shape[1]
        if microphones != array.microphones:
            raise ValueError(
                f"features of {microphones} channels, array '{array.name}' of {array.microphones}"
            )
        if microphones < 2:
            raise ValueError(f"steered_masks needs at least 2 microphones, got {microphones}")
