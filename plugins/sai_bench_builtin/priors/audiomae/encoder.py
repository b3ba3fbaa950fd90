"""The AudioMAE encoder: a plain vision transformer on 16 x 16 patches of the log-mel spectrogram.

Parameters are named as in the published files. A. Dosovitskiy et al., "An image is worth 16x16 words", ICLR
2021; P.-Y. Huang et al., "Masked autoencoders that listen", NeurIPS 2022.
"""

from __future__ import annotations

import torch
from torch import nn

from sai_bench_builtin.priors.audiomae.patch_grid import MEL_PATCHES, PATCH, TIME_PATCHES

_NORM_EPS = 1e-6


class AudioMaeEncoder(nn.Module):
    """Log-mel spectrogram to one embedding: patches, blocks, mean over the patches that hold sound.

    Attributes:
        norm_after_pool: whether the last norm comes after the mean (`fc_norm` of the fine-tuned model) or is
            applied to each token before it (`norm` of the pretrained one).
    """

    def __init__(self, width: int = 768, depth: int = 12, heads: int = 12):
        super().__init__()
        self.norm_after_pool = False
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.pos_embed = nn.Parameter(sine_cosine_grid(width))
        self.patch_embed = _PatchEmbedding(width)
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=_NORM_EPS)

    def forward(self, log_mel: torch.Tensor, valid_rows: int) -> torch.Tensor:
        """Return the embeddings [B, width], float32.

        Args:
            log_mel: [B, 16 r, 128] padded and normalised, r <= 64.
            valid_rows: how many of the r rows of patches hold sound and not padding alone; only those enter
                the mean. The padding takes part in the attention.
        """
        tokens = self.tokens(log_mel)[:, 1 : 1 + valid_rows * MEL_PATCHES]
        if self.norm_after_pool:
            return self.norm(tokens.float().mean(dim=1).to(tokens.dtype)).float()
        return self.norm(tokens).float().mean(dim=1)

    def tokens(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return the tokens [B, 1 + 8 r, width] after the last block, before the last norm; cls first."""
        patches = self.patch_embed(log_mel)
        position = self.pos_embed[:, : 1 + patches.shape[1]]  # time-major: fewer rows are its beginning
        cls = (self.cls_token + position[:, :1]).expand(len(patches), -1, -1)
        tokens = torch.cat([cls, patches + position[:, 1:]], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens


class _PatchEmbedding(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.proj = nn.Conv2d(1, width, kernel_size=PATCH, stride=PATCH)

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return patches [B, 8 r, width], time before mel, of log_mel [B, 16 r, 128]."""
        return self.proj(log_mel[:, None]).flatten(2).transpose(1, 2)


class _Block(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=_NORM_EPS)
        self.attn = _Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=_NORM_EPS)
        self.mlp = _Mlp(width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        batch, count, width = tokens.shape
        qkv = self.qkv(tokens).view(batch, count, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(batch, count, width))


class _Mlp(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.fc2(nn.functional.gelu(self.fc1(tokens)))


def sine_cosine_grid(width: int) -> torch.Tensor:
    """Return a fixed positional embedding [1, 513, width] of the 64 x 8 patch grid; zero for cls.

    One half of the width encodes the mel row, the other the time row: sin and cos of position / 10000^(i/n).
    """
    count = width // 4
    frequency = 10_000.0 ** (-torch.arange(count, dtype=torch.float64) / count)

    def waves(positions: int) -> torch.Tensor:
        angle = torch.arange(positions, dtype=torch.float64)[:, None] * frequency
        return torch.cat([angle.sin(), angle.cos()], dim=1)

    mel = waves(MEL_PATCHES)[None].expand(TIME_PATCHES, -1, -1)
    time = waves(TIME_PATCHES)[:, None].expand(-1, MEL_PATCHES, -1)
    grid = torch.cat([mel, time], dim=2).flatten(0, 1)
    return torch.cat([torch.zeros_like(grid[:1]), grid])[None].float()
