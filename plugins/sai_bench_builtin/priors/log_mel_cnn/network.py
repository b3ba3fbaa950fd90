"""The network of `log_mel_cnn`."""

from __future__ import annotations

import torch
from torch import nn

from sai_bench.sphere import CLASSES
from sai_bench_builtin.configs.prior import LogMelCnnConfig
from sai_bench_builtin.priors.log_mel import STFT_FRAMES_PER_LABEL_FRAME


class LogMelNetwork(nn.Module):
    """Log-mel spectrogram to one logit for each class and label frame.

    Three convolutions (batch norm, ReLU); the first two are followed by max pooling over 2 bands and over
    5 STFT frames x 4 bands; mean and maximum over the bands that remain; dilated convolutions along time,
    each added to its input; a linear layer.
    """

    def __init__(self, config: LogMelCnnConfig):
        super().__init__()
        first = config.channels_first
        width = 8 * first
        self.register_buffer("mean", torch.zeros(config.mel_bands))
        self.register_buffer("deviation", torch.ones(config.mel_bands))
        self.local = nn.Sequential(
            *_convolution(1, first),
            nn.MaxPool2d((1, 2)),
            *_convolution(first, 2 * first),
            nn.MaxPool2d((STFT_FRAMES_PER_LABEL_FRAME, 4)),
            *_convolution(2 * first, 4 * first),
        )
        self.temporal = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation, bias=False),
                nn.BatchNorm1d(width),
                nn.ReLU(),
            )
            for dilation in config.dilations
        )
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(width, CLASSES)

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return logits [B, K, N] of log-mel spectrograms [B, 5 N, bands]."""
        maps = self.local(((log_mel - self.mean) / self.deviation)[:, None])  # [B, C, N, bands / 8]
        features = torch.cat([maps.mean(dim=3), maps.amax(dim=3)], dim=1)
        for layer in self.temporal:
            features = features + layer(features)
        return self.output(self.dropout(features).transpose(1, 2)).transpose(1, 2)


def _convolution(channels_in: int, channels_out: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(channels_out), nn.ReLU()
