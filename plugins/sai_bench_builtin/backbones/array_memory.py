"""What was computed for the arrays that were heard last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch

from sai_bench.sphere import ArrayGeometry

_ARRAYS_REMEMBERED = 4

Kept = TypeVar("Kept")


class ArrayMemory(Generic[Kept]):
    """Computes something for an array and device once, and remembers it for the last few of them."""

    def __init__(self, compute: Callable[..., Kept]):
        """Prepare.

        Args:
            compute: called as `compute(array, device=device)`; of the array only geometry and baffle count.
        """
        self._compute = compute
        self._kept: dict[tuple, Kept] = {}

    def __call__(self, array: ArrayGeometry, device: torch.device) -> Kept:
        """Return what belongs to an array on a device."""
        key = (array.positions_m.tobytes(), array.baffle, str(device))
        if key not in self._kept:
            if len(self._kept) >= _ARRAYS_REMEMBERED:
                self._kept.pop(next(iter(self._kept)))
            # What is first needed in inference must serve training, too.
            with torch.inference_mode(False):
                self._kept[key] = self._compute(array, device=device)
        return self._kept[key]
