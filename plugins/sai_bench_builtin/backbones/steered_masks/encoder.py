"""Which bins belong to which event: levels and coherence -> soft masks, and what sounds when."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from sai_bench.sphere import CLASSES
from sai_bench_builtin.configs.backbone import SteeredMasksConfig

_EPSILON = 1e-6
_INITIAL_STD = 0.02
_INITIAL_SCALE = 0.2
_LEVEL_FLOOR = 1e-6
_LEVEL_SLOPE = 0.25
"""Natural logarithms of powers, full scale to silence, times this are a few units wide."""
_VARIANCE_FLOOR = 1e-4
_BAND_WIDTHS = (0.1, 0.2, 0.4)
"""Widths of the bands that masks begin with, as shares of the spectrum."""
_BAND_EDGE = 0.03
_BAND_LOGIT = 2.0


class MaskEncoder(nn.Module):
    """ConvNeXt-like blocks over time and groups of bins -> masks, and features of the label frames.

    Its input does not depend on which microphones there are or how they are numbered: the mean power over
    microphones of every bin, and of every group of bins the mean over pairs of how coherent their phases are
    (1 for a lone plane wave, less in reverberation and noise).
    """

    def __init__(self, groups: int, hops_per_frame: int, config: SteeredMasksConfig):
        """Build the encoder with random weights.

        Args:
            groups: groups of bins.
            hops_per_frame: STFT frames in a label frame.
            config: the backbone's keys.
        """
        super().__init__()
        self.hops_per_frame = hops_per_frame
        widths = config.stage_channels
        self.stem = nn.Conv2d(
            1,
            widths[0],
            (config.stem_time_kernel, config.bins_per_group),
            (1, config.bins_per_group),
            (config.stem_time_kernel // 2, 0),
        )
        self.coherence = nn.Linear(1, widths[0])
        self.stem_norm = nn.LayerNorm(widths[0], _EPSILON)
        self.strides = ((1, 1), *config.downsampling_strides)
        self.downsamplings = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(before, _EPSILON), _Downsampling(before, after, stride))
            for before, after, stride in zip(
                widths[:-1], widths[1:], config.downsampling_strides, strict=True
            )
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*[_Block(width, config.depthwise_kernel, config.expansion) for _ in range(depth)])
            for width, depth in zip(widths, config.stage_depths, strict=True)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width, _EPSILON) for width in widths)
        masks = config.masks + CLASSES * config.class_masks
        self.to_masks = nn.ModuleList(nn.Linear(width, masks) for width in widths)
        self.bands = nn.Parameter(_initial_masks(groups, config.masks, masks))
        tokens = groups
        for stride in config.downsampling_strides:
            tokens = -(-tokens // stride[1])
        self.pool = nn.Linear(tokens * widths[-1], config.context_channels)
        self.context_to_masks = nn.Linear(config.context_channels, masks)
        self.context = nn.Sequential(
            *[
                _TimeBlock(config.context_channels, config.context_kernel)
                for _ in range(config.context_blocks)
            ]
        )
        self.statistics = None
        if config.statistics_frames:
            self.statistics = LevelStatistics(
                groups * config.bins_per_group, hops_per_frame, config.statistics_frames
            )
            self.from_statistics = nn.Linear(self.statistics.size, config.context_channels)
        self.apply(_initialise)

    def forward(self, spectra: torch.Tensor, cross: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return masks and features of what sounds.

        Args:
            spectra: [B, M, T, F] complex, T a multiple of the STFT frames in a label frame.
            cross: [B, T, groups, 2 P] from `cross_spectra`.

        Returns:
            mask logits [B, T, groups, D] and context [B, N, C], one for each label frame.
        """
        x = self._stem(spectra, cross)
        logits, time, groups = self.bands, x.shape[1], x.shape[2]
        stride = (1, 1)
        for number, stage in enumerate(self.stages):
            if number:
                x = self.downsamplings[number - 1](x)
            stride = tuple(a * b for a, b in zip(stride, self.strides[number], strict=True))
            x = stage(x)
            normed = self.norms[number](x)
            logits = logits + _repeat(self.to_masks[number](normed), stride)[:, :time, :groups]
        pooled = F.gelu(self.pool(normed.flatten(2)))  # [B, T / stride, C]
        logits = logits + _repeat(self.context_to_masks(pooled)[:, :, None], (stride[0], 1))[:, :time]
        context = pooled.unflatten(1, (-1, self.hops_per_frame // stride[0])).mean(2)
        if self.statistics is not None:
            heard = F.gelu(self.from_statistics(self.statistics(spectra).to(context.dtype)))
            logits = logits + _repeat(self.context_to_masks(heard)[:, :, None], (self.hops_per_frame, 1))
            context = context + heard
        return logits, self.context(context.transpose(1, 2)).transpose(1, 2)

    def _stem(self, spectra, cross):
        """Return [B, T, groups, C] from levels and coherence."""
        dtype = self.stem.weight.dtype
        levels = _levels(spectra)
        coherence = cross.unflatten(3, (-1, 2)).square().sum(4).add(_EPSILON).sqrt().mean(3, keepdim=True)
        x = self.stem(levels[:, None].to(dtype)).permute(0, 2, 3, 1)
        return self.stem_norm(x + self.coherence(coherence.to(dtype)))


class LevelStatistics(nn.Module):
    """Mean and deviation of each bin's level around a label frame: what a class sounds like, at a glance.

    A level counts from the mean over the bins of its frame, which is told, too. Convolutions on short kernels
    take long to learn what these features say at once.
    """

    def __init__(self, bins: int, hops_per_frame: int, reaches: Sequence[int]):
        """Prepare.

        Args:
            bins: F.
            hops_per_frame: STFT frames in a label frame.
            reaches: over how many label frames on either side, once for each.
        """
        super().__init__()
        self.hops_per_frame = hops_per_frame
        self.reaches = tuple(reaches)
        self.size = len(self.reaches) * (2 * bins + 1)

    def forward(self, spectra: torch.Tensor) -> torch.Tensor:
        """Return the statistics [B, N, size] of spectra [B, M, T, F], N = T / hops per label frame."""
        with torch.autocast(spectra.device.type, enabled=False):  # a variance is a difference: float32
            return self._statistics(spectra)

    def _statistics(self, spectra):
        levels = _levels(spectra).unflatten(1, (-1, self.hops_per_frame))  # [B, N, H, F]
        loudness = levels.mean(3, keepdim=True)
        levels = levels - loudness
        first, second, loudness = levels.mean(2), levels.square().mean(2), loudness.mean(2)
        frame = torch.arange(levels.shape[1], device=levels.device)
        statistics = []
        for reach in self.reaches:
            window = ((frame[:, None] - frame).abs() <= reach).to(levels.dtype)
            window = window / window.sum(1, keepdim=True)
            mean = window @ first
            variance = (window @ second - mean.square()).clamp_min(0)
            statistics += [mean, (variance + _VARIANCE_FLOOR).sqrt(), window @ loudness]
        return torch.cat(statistics, dim=2)


class _Block(nn.Module):
    """x + scale * MLP(norm(depthwise convolution(x))) of [B, T, F, C] (Liu et al., CVPR 2022)."""

    def __init__(self, channels, kernel, expansion):
        super().__init__()
        self.depthwise = nn.Conv2d(
            channels, channels, tuple(kernel), padding=tuple(k // 2 for k in kernel), groups=channels
        )
        self.norm = nn.LayerNorm(channels, _EPSILON)
        self.expand = nn.Linear(channels, expansion * channels)
        self.reduce = nn.Linear(expansion * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), _INITIAL_SCALE))

    def forward(self, x):
        y = self.depthwise(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.scale * self.reduce(F.gelu(self.expand(self.norm(y))))


class _Downsampling(nn.Module):
    """Convolution of [B, T, F, C] with kernel = stride; zeros where the last tokens are not whole."""

    def __init__(self, before, after, stride):
        super().__init__()
        self.stride = tuple(stride)
        self.linear = nn.Linear(before * stride[0] * stride[1], after)

    def forward(self, x):
        time, frequency = self.stride
        x = F.pad(x, (0, 0, 0, -x.shape[2] % frequency, 0, -x.shape[1] % time))
        x = x.unflatten(2, (-1, frequency)).unflatten(1, (-1, time))
        return self.linear(x.transpose(2, 3).flatten(3))


class _TimeBlock(nn.Module):
    """x + convolution(GELU(norm(x))) over the label frames of [B, C, N]."""

    def __init__(self, channels, kernel):
        super().__init__()
        self.norm = nn.LayerNorm(channels, _EPSILON)
        self.convolution = nn.Conv1d(channels, channels, kernel, padding=kernel // 2)

    def forward(self, x):
        return x + self.convolution(F.gelu(self.norm(x.transpose(1, 2)).transpose(1, 2)))


def _repeat(x, stride):
    """Return x [B, T, F, C] with every value held over `stride` frames and tokens."""
    for axis, factor in zip((1, 2), stride, strict=True):
        if factor > 1:
            x = x.repeat_interleave(factor, axis)
    return x


def _levels(spectra):
    """Return how loud each bin is, [B, T, F], from spectra [B, M, T, F]: mean power of the microphones."""
    power = torch.view_as_real(spectra).square().sum(4).mean(1)
    return _LEVEL_SLOPE * (power + _LEVEL_FLOOR).log()


def _initial_masks(groups, bands, masks):
    """Return mask logits [groups, masks] to begin with: `bands` of a filter bank, then the whole spectrum.

    The bands are the whole spectrum and parts of it of various widths. So the first maps differ already, as
    those of a filter bank do, and learning need not begin with telling equal maps apart.
    """
    position = (torch.arange(groups) + 0.5) / groups
    number = torch.arange(1, bands)
    width = torch.tensor(_BAND_WIDTHS)[number % len(_BAND_WIDTHS)]
    middle = (number - 0.5) / max(bands - 1, 1)
    inside = (width / 2 - (position[:, None] - middle).abs()) / _BAND_EDGE
    whole = torch.ones(groups, 1 + masks - bands)
    return _BAND_LOGIT * torch.cat([whole[:, :1], inside.clamp(-1, 1), whole[:, 1:]], dim=1)


def _initialise(module):
    if isinstance(module, nn.Conv2d | nn.Linear | nn.Conv1d):
        nn.init.trunc_normal_(module.weight, std=max(_INITIAL_STD, module.weight[0].numel() ** -0.5 / 2))
        nn.init.zeros_(module.bias)
