"""ConvNeXt over time and frequency.

Liu et al., "A ConvNet for the 2020s", CVPR 2022 (https://arxiv.org/abs/2201.03545), with strides that differ
between time and frequency. Tensors are [B, T, F, C] throughout: layer norms and MLPs work on the last axis,
and convolutions see the same memory as channels-last images.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from sai_bench_builtin.configs.backbone import ConvNextSphericalConfig, same_padding

_EPSILON = 1e-6
_INITIAL_STD = 0.02

_HIDDEN_BYTES = 2**22
"""MLP features, four times wider than the others, that a CPU holds at a time in inference: its caches hold
them too, and memory is reused instead of fetched anew. Stage 1 is twice as fast that way. Training keeps all
of them anyway, and compiled code would unroll the parts."""


class ConvNextEncoder(nn.Module):
    """Stem and four stages of ConvNeXt blocks, each stage after the first behind a downsampling."""

    def __init__(self, in_channels: int, config: ConvNextSphericalConfig):
        """Build the encoder with random weights.

        Args:
            in_channels: C of the features.
            config: depths, widths and strides.
        """
        super().__init__()
        widths = config.stage_channels
        self.stem = _ConvolutionLast(in_channels, widths[0], config.stem_kernel, config.stem_stride)
        self.stem_norm = nn.LayerNorm(widths[0], _EPSILON)
        self.downsamplings = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(before, _EPSILON), _ConvolutionLast(before, after, tuple(stride), tuple(stride))
            )
            for before, after, stride in zip(widths, widths[1:], config.downsampling_strides, strict=False)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*[_Block(width, config) for _ in range(depth)])
            for width, depth in zip(widths, config.stage_depths, strict=True)
        )
        self.apply(_initialise)

    def forward(self, features: torch.Tensor) -> list[torch.Tensor]:
        """Return the output of each stage, without a final norm.

        Args:
            features: [B, C, T, F].

        Returns:
            four tensors [B, T_i, F_i, C_i].
        """
        x = self.stem_norm(self.stem(features.permute(0, 2, 3, 1).contiguous()))
        outputs = [self.stages[0](x)]
        for downsampling, stage in zip(self.downsamplings, self.stages[1:], strict=True):
            outputs.append(stage(downsampling(outputs[-1])))
        return outputs


class _ConvolutionLast(nn.Conv2d):
    """A convolution of [B, T, F, C]; zero-padded by half of what the kernel exceeds the stride."""

    def __init__(
        self, before: int, after: int, kernel: tuple[int, int], stride: tuple[int, int], groups: int = 1
    ):
        padding = tuple(same_padding(k, s) for k, s in zip(kernel, stride, strict=True))
        super().__init__(before, after, kernel, stride, padding, groups=groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class _Block(nn.Module):
    """x + scale * MLP(norm(depthwise convolution(x)))."""

    def __init__(self, channels: int, config: ConvNextSphericalConfig):
        super().__init__()
        kernel = (config.depthwise_kernel,) * 2
        self.depthwise = _ConvolutionLast(channels, channels, kernel, (1, 1), groups=channels)
        self.norm = nn.LayerNorm(channels, _EPSILON)
        self.expand = nn.Linear(channels, config.expansion * channels)
        self.reduce = nn.Linear(config.expansion * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), config.layer_scale))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = self.norm(self.depthwise(x)).flatten(0, 2)
        few = rows.device.type == "cpu" and not (torch.is_grad_enabled() or torch.compiler.is_compiling())
        change = self._mlp_in_parts(rows) if few else self._mlp(rows)
        return torch.addcmul(x, change.view(x.shape), self.scale)

    def _mlp(self, rows: torch.Tensor) -> torch.Tensor:
        return self.reduce(F.gelu(self.expand(rows)))

    def _mlp_in_parts(self, rows: torch.Tensor) -> torch.Tensor:
        at_once = max(1, _HIDDEN_BYTES // (self.expand.out_features * rows.element_size()))
        changes = torch.empty_like(rows)
        for part, change in zip(rows.split(at_once), changes.split(at_once), strict=True):
            change.copy_(self._mlp(part))
        return changes


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=_INITIAL_STD)
        nn.init.zeros_(module.bias)
