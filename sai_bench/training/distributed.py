"""What processes that train together must agree on."""

from __future__ import annotations

import torch
import torch.distributed


def mean_count(count: torch.Tensor) -> torch.Tensor:
    """Return the mean of a count [] over all processes, as float; without others the count itself.

    Whoever divides a sum of losses by it gets the gradient of all processes' segments together once DDP has
    averaged the gradients.
    """
    count = count.detach().to(torch.get_default_dtype())
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        count = count.clone()
        torch.distributed.all_reduce(count)
        count = count / torch.distributed.get_world_size()
    return count
