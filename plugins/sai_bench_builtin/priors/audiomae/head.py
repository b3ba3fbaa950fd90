"""The trained part of the AudioMAE prior: a small network from embedding to class activity."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from sai_bench.network_state import one_torch_thread, seeded
from sai_bench.sphere import CLASSES
from sai_bench_builtin.configs.prior import AudioMaeConfig


class Head(nn.Module):
    """Layer norm, one hidden layer with GELU, a logit for each class."""

    def __init__(self, config: AudioMaeConfig):
        super().__init__()
        self.norm = nn.LayerNorm(config.encoder_width)
        self.hidden = nn.Linear(config.encoder_width, config.hidden)
        self.output = nn.Linear(config.hidden, CLASSES)

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return logits [n, K] of embeddings [n, D]."""
        return self.output(nn.functional.gelu(self.hidden(self.norm(embeddings))))

    @torch.inference_mode()
    def probabilities(self, embeddings: np.ndarray) -> np.ndarray:
        """Return class activities [n, K] float32 in [0, 1] of embeddings [n, D]."""
        return self(torch.from_numpy(embeddings)).sigmoid().numpy()


def new_head(config: AudioMaeConfig, seed: int) -> Head:
    """Return a head with random weights."""
    with seeded(seed):
        return Head(config).eval()


def fitted_head(embeddings: np.ndarray, targets: np.ndarray, config: AudioMaeConfig, seed: int) -> Head:
    """Return a head trained with AdamW and multi-label binary cross entropy (report, table 1).

    Each pass goes through the windows in a new random order. One thread: at this size more are slower, and
    the weights do not depend on how many there are.

    Args:
        embeddings: [n, D] float32, n >= 1.
        targets: [n, K] bool.
        config: steps, batch size, learning rate.
        seed: of weights and order.
    """
    head = new_head(config, seed).train()
    optimizer = torch.optim.AdamW(
        head.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    inputs, wanted = torch.from_numpy(embeddings), torch.from_numpy(targets.astype(np.float32))
    order = torch.Generator().manual_seed(seed)
    rows = torch.empty(0, dtype=torch.long)
    with one_torch_thread():
        for _ in range(config.fit_steps):
            while len(rows) < config.fit_batch_size:
                rows = torch.cat([rows, torch.randperm(len(inputs), generator=order)])
            batch, rows = rows[: config.fit_batch_size], rows[config.fit_batch_size :]
            loss = nn.functional.binary_cross_entropy_with_logits(head(inputs[batch]), wanted[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return head.eval()
