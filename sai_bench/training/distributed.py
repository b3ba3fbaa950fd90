"""What processes that train together must agree on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed

_alone = False


@contextmanager
def alone() -> Iterator[None]:
    """Work on segments that the other processes do not take part in, such as a validation split."""
    global _alone
    _alone = True
    try:
        yield
    finally:
        _alone = False


def mean_count(count: torch.Tensor, least: float = 1.0) -> torch.Tensor:
    """Return the mean of a count [] over all processes, as float; without others the count itself.

    Whoever divides a sum of losses by it gets the gradient of all processes' segments together once DDP has
    averaged the gradients.

    Args:
        count: of this process, such as its number of targets.
        least: what all processes together count at least, so that nothing is divided by 0.
    """
    count, processes = count.detach().to(torch.get_default_dtype()), 1
    if not _alone and torch.distributed.is_available() and torch.distributed.is_initialized():
        count, processes = count.clone(), torch.distributed.get_world_size()
        torch.distributed.all_reduce(count)
    return count.clamp_min(least) / processes
