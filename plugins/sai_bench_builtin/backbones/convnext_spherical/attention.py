"""Spherical cross-attention: each cell of a grid on the sphere attends to the frequencies of a frame.

The plain formula, for encoder frame t, head j, with queries q_g [D], tokens x_f [C] and projections W of head
width E, is

    map[t, g] = sum_j W_o,j sum_f softmax_f(q_g' W_q,j' W_k,j x_tf / sqrt(E)) W_v,j x_tf + b_o

followed by the mean over the encoder frames around a label frame. Its weights, at the report's size
101 x 4 x 4050 x (128 + 64 + 32) numbers, take 1.5 GB, and it is slow. Here, exactly equal:

- W_q,j' W_k,j is one [D, C] matrix: the queries of all heads are the D numbers themselves, and no projected
  query is formed. Likewise W_o,j W_v,j is one [D, C] matrix.
- The sums over heads, over the frames around a label frame and over frequencies are one sum, the inner axis
  of one matrix product: the maps at the encoder's frame rate are never formed. (Each frame keeps its own
  softmax; averaging before it would be another model.)
- Only a few cells at a time, so that the weights stay in the CPU's cache. The backward pass
  computes them again instead of keeping them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import FunctionCtx, once_differentiable

from sai_bench_builtin.backbones.convnext_spherical.label_windows import frames_in_window, label_windows
from sai_bench_builtin.configs.backbone import ConvNextSphericalConfig

_CPU_BYTES = 2**22
"""Attention weights that a CPU holds at a time, so that its caches hold them too."""

_MANY_BYTES = 2**28
"""Attention weights held at a time where few large products are better: on accelerators, and in compiled
code, which would unroll the many small ones."""

_SMALL_LOGIT = 40.0

_POSITION_BASE = 10_000.0


class SphericalCrossAttention(nn.Module):
    """Cross-attention block of one encoder stage: attention, residual, feed-forward network, residual.

    The feed-forward network is not linear, so it matters whether it comes before or after the averaging; the
    caller decides through `frames` (1: before).
    """

    def __init__(self, channels: int, tokens: int, token_bins: int, config: ConvNextSphericalConfig):
        """Build the block with random weights.

        Args:
            channels: C of the stage.
            tokens: F of the stage.
            token_bins: frequency bins per token.
            config: heads, widths, norms, positional encoding.
        """
        super().__init__()
        width, inner = config.embedding_channels, config.attention_heads * config.head_width
        self.heads, self.head_width = config.attention_heads, config.head_width
        self.query_norm = nn.LayerNorm(width) if config.attention_layer_norm else nn.Identity()
        self.feature_norm = nn.LayerNorm(channels) if config.attention_layer_norm else nn.Identity()
        self.query = nn.Linear(width, inner, bias=False)
        self.key = nn.Linear(channels, inner, bias=False)
        self.value = nn.Linear(channels, inner, bias=False)
        self.output = nn.Linear(inner, width)
        self.feed_forward = _feed_forward(width, config) if config.feed_forward_width else None
        self.frequency_encoding = _frequency_encoding(channels, tokens, token_bins, config.frequency_encoding)

    def forward(self, queries: torch.Tensor, features: torch.Tensor, frames: int) -> torch.Tensor:
        """Return a map of the sphere for each label frame.

        Args:
            queries: [G, D], one for each cell.
            features: [B, T, F, C] of the stage.
            frames: encoder frames averaged for a map; 1 gives a map for every encoder frame.

        Returns:
            [B, N, G, D], N = T / frames, rounded up.
        """
        maps = queries + self.attend(queries, features, frames)
        return maps if self.feed_forward is None else maps + self.feed_forward(maps)

    def attend(self, queries: torch.Tensor, features: torch.Tensor, frames: int) -> torch.Tensor:
        """Return what attention adds to the queries, [B, N, G, D]; arguments as in `forward`."""
        tokens = self.feature_norm(features)
        if self.frequency_encoding is not None:
            tokens = tokens + self.frequency_encoding.to(tokens.dtype)
        keys = F.linear(tokens, self._key_weight()).unflatten(3, (self.heads, -1))
        values = F.linear(tokens, self._value_weight()).unflatten(3, (self.heads, -1))
        maps = averaged_attention(self.query_norm(queries), keys, values, frames)
        return maps + self.output.bias

    def _key_weight(self) -> torch.Tensor:
        """Return W_q' W_k / sqrt(E) of all heads, [heads * D, C]."""
        query = self.query.weight.unflatten(0, (self.heads, -1))
        key = self.key.weight.unflatten(0, (self.heads, -1))
        return (query.mT @ key).flatten(0, 1) * self.head_width**-0.5

    def _value_weight(self) -> torch.Tensor:
        """Return W_o W_v of all heads, [heads * D, C]."""
        output = self.output.weight.unflatten(1, (self.heads, -1)).transpose(0, 1)
        value = self.value.weight.unflatten(0, (self.heads, -1))
        return (output @ value).flatten(0, 1)


def averaged_attention(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, frames: int
) -> torch.Tensor:
    """Return the mean over label windows of softmax attention, summed over heads.

    Args:
        queries: [G, D], the same for every head and frame.
        keys: [B, T, F, heads, D], already divided by the square root of the head width.
        values: [B, T, F, heads, D].
        frames: encoder frames per label window (see `label_windows`).

    Returns:
        [B, N, G, D].
    """
    batch, total, tokens = keys.shape[:3]
    counts = frames_in_window(total, frames, keys.device).to(values.dtype)
    # A frame that does not exist has values of zero, so that its weights do not matter.
    keys = label_windows(keys, frames).permute(0, 1, 4, 2, 3, 5).flatten(2, 4).flatten(0, 1)
    values = label_windows(values, frames) / counts.view(-1, 1, 1, 1, 1)
    values = values.permute(0, 1, 5, 4, 2, 3).flatten(3, 5).flatten(0, 1)
    maps = _SoftmaxAttention.apply(queries.mT.to(keys.dtype), keys, values, tokens)
    return maps.mT.unflatten(0, (batch, -1))


class _SoftmaxAttention(torch.autograd.Function):
    """Softmax attention, some maps or some cells of a map at a time, forward and backward.

    The backward pass computes the weights again, so that those of a part only are ever held.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, tokens: int
    ) -> torch.Tensor:
        """Return [n, D, G]; queries [D, G], keys [n, R, D], values [n, D, R]; `tokens` weights sum to 1."""
        ctx.save_for_backward(queries, keys, values)
        ctx.tokens = tokens
        maps = values.new_empty(len(keys), values.shape[1], queries.shape[1])
        if _logits_are_small(queries, keys):
            values_and_ones = _with_row_of_ones(values, tokens)
            for rows, cells in _parts(keys, queries):
                maps[rows, :, cells] = _unshifted(queries[:, cells], keys[rows], values_and_ones[rows])
        else:
            for rows, cells in _parts(keys, queries):
                maps[rows, :, cells] = values[rows] @ _weights(queries[:, cells], keys[rows], tokens)
        return maps

    @staticmethod
    @once_differentiable
    def backward(
        ctx: FunctionCtx, gradient: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None]:
        """Return the gradients; those of many parts are summed in at least single precision."""
        queries, keys, values = ctx.saved_tensors
        precise = torch.promote_types(keys.dtype, torch.float32)
        of_queries, of_keys, of_values = (torch.zeros_like(x, dtype=precise) for x in ctx.saved_tensors)
        for rows, cells in _parts(keys, queries):
            weights = _weights(queries[:, cells], keys[rows], ctx.tokens)
            of_values[rows] += gradient[rows, :, cells] @ weights.mT
            of_weights = values[rows].mT @ gradient[rows, :, cells]
            of_logits = _through_softmax(of_weights, weights, ctx.tokens)
            of_keys[rows] += of_logits @ queries[:, cells].mT
            of_queries[:, cells] += (keys[rows].mT @ of_logits).sum(0)
        return of_queries.to(queries.dtype), of_keys.to(keys.dtype), of_values.to(values.dtype), None


def _weights(queries: torch.Tensor, keys: torch.Tensor, tokens: int) -> torch.Tensor:
    """Return the attention weights [n, R, g] of queries [D, g] and keys [n, R, D]."""
    return (keys @ queries).unflatten(1, (-1, tokens)).softmax(2).flatten(1, 2)


def _logits_are_small(queries: torch.Tensor, keys: torch.Tensor) -> bool:
    """Return whether no exponential of a logit can overflow or vanish (Cauchy-Schwarz inequality)."""
    if queries.is_meta:  # shapes without numbers
        return True
    largest = queries.float().norm(dim=0).amax() * keys.float().norm(dim=2).amax()
    return bool(largest < _SMALL_LOGIT)


def _with_row_of_ones(values: torch.Tensor, tokens: int) -> torch.Tensor:
    """Return values [n, D, R] as [n, R / tokens, D + 1, tokens]; the last row sums up what it is given."""
    blocks = values.unflatten(2, (-1, tokens)).transpose(1, 2)
    return torch.cat([blocks, torch.ones_like(blocks[:, :, :1])], dim=2).contiguous()


def _unshifted(queries: torch.Tensor, keys: torch.Tensor, values_and_ones: torch.Tensor) -> torch.Tensor:
    """Return [n, D, g] with exponentials of the logits as they are, divided by their sums at the end.

    A softmax first subtracts the largest logit and divides every weight: two more passes over the weights.
    """
    exponentials = (keys @ queries).exp_().unflatten(1, (-1, values_and_ones.shape[3]))
    sums = values_and_ones @ exponentials
    sums = sums.to(torch.promote_types(sums.dtype, torch.float32))
    return (sums[:, :, :-1] / sums[:, :, -1:]).sum(1).to(queries.dtype)


def _through_softmax(of_weights: torch.Tensor, weights: torch.Tensor, tokens: int) -> torch.Tensor:
    """Return the gradient of the logits from that of the weights, all [n, R, g]."""
    product = weights * of_weights
    sums = product.unflatten(1, (-1, tokens)).sum(2, keepdim=True)
    return product - (weights.unflatten(1, (-1, tokens)) * sums).flatten(1, 2)


def _parts(keys: torch.Tensor, queries: torch.Tensor) -> Iterator[tuple[slice, slice]]:
    """Yield slices of maps and of their cells whose weights are held at a time; keys [n, R, D]."""
    few = keys.device.type == "cpu" and not torch.compiler.is_compiling()
    limit = _CPU_BYTES if few else _MANY_BYTES
    maps, cells = len(keys), queries.shape[1]
    column_bytes = keys.shape[1] * keys.element_size()
    maps_at_once, cells_at_once = max(1, limit // (column_bytes * cells)), max(1, limit // column_bytes)
    for first_map in range(0, maps, maps_at_once):
        for first_cell in range(0, cells, cells_at_once):
            yield slice(first_map, first_map + maps_at_once), slice(first_cell, first_cell + cells_at_once)


def _feed_forward(width: int, config: ConvNextSphericalConfig) -> nn.Sequential:
    norm = [nn.LayerNorm(width)] if config.attention_layer_norm else []
    hidden = config.feed_forward_width
    return nn.Sequential(*norm, nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


def _frequency_encoding(
    channels: int, tokens: int, token_bins: int, kind: Literal["none", "sinusoidal", "learned"]
) -> torch.Tensor | None:
    """Return what is added to the tokens, [F, C], None if nothing is.

    Sines and cosines of a token's middle bin, as they are or to begin with (Vaswani et al., "Attention is
    all you need", 2017, section 3.5).
    """
    if kind == "none":
        return None
    middle = (torch.arange(tokens)[:, None] + 0.5) * token_bins
    channel = torch.arange(channels)
    angle = middle * _POSITION_BASE ** (-(channel - channel % 2) / channels)
    encoding = torch.where(channel % 2 == 0, angle.sin(), angle.cos())
    return nn.Parameter(encoding) if kind == "learned" else nn.Buffer(encoding, persistent=False)
