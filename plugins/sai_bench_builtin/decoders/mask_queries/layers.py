"""One layer of the decoder: cells are read, queries exchange what they know, each thinks on its own."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from sai_bench_builtin.decoders.mask_queries.attention import CellAttention


class QuerySelfAttention(nn.Module):
    """Multi-head attention among the queries of a frame or segment."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query_key_projection = nn.Linear(channels, 2 * channels)
        self.value_projection = nn.Linear(channels, channels)
        self.output_projection = nn.Linear(channels, channels)
        for projection in (self.value_projection, self.output_projection):
            nn.init.xavier_uniform_(projection.weight)
        for weight in self.query_key_projection.weight.data.chunk(2):
            nn.init.xavier_uniform_(weight)

    def forward(self, states: torch.Tensor, identities: torch.Tensor) -> torch.Tensor:
        """Return [n, Q, d] for states [n, Q, d]; identities [Q, d] are added for query and key."""
        query, key = self.query_key_projection(states + identities).chunk(2, dim=-1)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (query, key, self.value_projection(states))
        )
        read = F.scaled_dot_product_attention(query, key, value)
        return self.output_projection(read.transpose(1, 2).flatten(2))


class DecoderLayer(nn.Module):
    """Cell attention, self-attention and feed-forward network, each with a residual and a norm after it.

    `first_attention` "cross" is Mask2Former's order, "self" that of DETR and MaskFormer.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        feed_forward_channels: int,
        cell_channels: int,
        position_channels: int,
        first_attention: Literal["cross", "self"],
    ):
        super().__init__()
        self.cross_first = first_attention == "cross"
        self.cross_attention = CellAttention(channels, heads, cell_channels, position_channels)
        self.cross_norm = nn.LayerNorm(channels)
        self.self_attention = QuerySelfAttention(channels, heads)
        self.self_norm = nn.LayerNorm(channels)
        self.expansion = nn.Linear(channels, feed_forward_channels)
        self.contraction = nn.Linear(feed_forward_channels, channels)
        self.feed_forward_norm = nn.LayerNorm(channels)
        for linear in (self.expansion, self.contraction):
            nn.init.xavier_uniform_(linear.weight)

    def forward(
        self,
        states: torch.Tensor,
        identities: torch.Tensor,
        cells: torch.Tensor,
        bias: torch.Tensor | None,
    ) -> torch.Tensor:
        """Return the new query states [n, Q, d].

        Args:
            states: [n, Q, d].
            identities: [Q, d], what tells the queries apart (the positional encoding of DETR's queries).
            cells: [n, G, C] float32 as `CellAttention` takes them.
            bias: [n, Q, G] float32, from `masked_attention_bias`; None: look everywhere.
        """
        if self.cross_first:
            states = self._read_cells(states, identities, cells, bias)
            states = self._exchange(states, identities)
        else:
            states = self._exchange(states, identities)
            states = self._read_cells(states, identities, cells, bias)
        return self.feed_forward_norm(states + self.contraction(F.relu(self.expansion(states))))

    def _read_cells(self, states, identities, cells, bias):
        return self.cross_norm(states + self.cross_attention(states + identities, cells, bias))

    def _exchange(self, states, identities):
        return self.self_norm(states + self.self_attention(states, identities))
