"""Attention of queries to the cells of the sphere, in a form that never projects the cells."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

_GRAIN = 16
_NOWHERE = 1e30


class CellAttention(nn.Module):
    """Multi-head attention of queries to many cells with few channels, folded.

    Plain multi-head attention (Vaswani et al., 2017) projects each of the G cells to d channels for K and
    again for V. With C channels a cell, C much smaller than d, two rewritings are exact and cheaper:
    (W_q x) . (W_k m) = (W_k' W_q x) . m folds W_k into the query, and sum a W_v m = W_v sum a m applies W_v
    after the sum. A bias of K would add the same number to all logits of a query, so there is none.
    """

    def __init__(self, channels: int, heads: int, cell_channels: int, position_channels: int):
        """Set up the projections.

        Args:
            channels: d, of the queries; a multiple of `heads`.
            heads: number of heads.
            cell_channels: channels of a cell that are summed up as values.
            position_channels: channels after those, which only decide where to look.
        """
        super().__init__()
        self.heads, self.cell_channels = heads, cell_channels
        self.query_projection = nn.Linear(channels, channels)
        self.key_projection = nn.Linear(cell_channels + position_channels, channels, bias=False)
        self.value_projection = nn.Linear(cell_channels, channels)
        self.output_projection = nn.Linear(channels, channels)
        for projection in self.children():
            nn.init.xavier_uniform_(projection.weight)

    def forward(
        self, queries: torch.Tensor, cells: torch.Tensor, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return what each query reads, [n, Q, d].

        Logits, softmax and sum are float32 whatever the model's precision: they cost little in this form.

        Args:
            queries: [n, Q, d].
            cells: [n, G, C] float32 from `aligned`: cell channels, position channels, padding.
            bias: [n, Q, G] float32, added to the logits; None: nothing.
        """
        split = (self.heads, queries.shape[-1] // self.heads)
        projected = self.query_projection(queries).unflatten(-1, split)
        folded = torch.einsum("nqhe,hec->nhqc", projected, self.key_projection.weight.unflatten(0, split))
        folded = F.pad(folded.float(), (0, cells.shape[-1] - folded.shape[-1]))
        memory = cells[:, None].expand(-1, self.heads, -1, -1)
        with torch.autocast(cells.device.type, enabled=False):
            read = F.scaled_dot_product_attention(
                folded,
                memory,
                memory,
                attn_mask=None if bias is None else bias[:, None],
                scale=split[1] ** -0.5,
            )
        read = read[..., : self.cell_channels].to(projected.dtype)
        values = torch.einsum("nhqc,hec->nqhe", read, self.value_projection.weight.unflatten(0, split))
        return self.output_projection(values.flatten(2) + self.value_projection.bias)


def aligned(cells: torch.Tensor) -> torch.Tensor:
    """Return cells [n, G, C] as float32, with zeros up to a multiple of 16 channels for fast kernels."""
    return F.pad(cells.float(), (0, -cells.shape[-1] % _GRAIN))


def masked_attention_bias(mask_logits: torch.Tensor) -> torch.Tensor:
    """Return 0 where queries may look and a number below all logits elsewhere: [n, Q, G] float32.

    A query looks at the cells that its predicted mask covers (probability at least 0.5), everywhere if the
    mask is empty (Mask2Former, section 3.2.1). No gradient flows.

    Args:
        mask_logits: [n, Q, G] float32; lower precision would flip cells near the threshold.
    """
    mask_logits = mask_logits.detach()
    is_empty = mask_logits.amax(-1, keepdim=True) < 0
    least = torch.zeros_like(is_empty, dtype=mask_logits.dtype).masked_fill(is_empty, -torch.inf)
    # Arithmetic, because torch.where with a mask of bools takes longer than the softmax.
    return ((mask_logits >= least).float() - 1) * _NOWHERE
