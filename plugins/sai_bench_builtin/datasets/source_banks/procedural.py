"""Source bank `procedural`: every class has a synthesiser."""

from __future__ import annotations

import numpy as np

from sai_bench.sphere import CLASSES
from sai_bench_builtin.datasets.source_banks.interface import SourceBank


class ProceduralBank(SourceBank):
    """Sounds of all 13 classes without end; two splits share none, since each event has a seed of its own."""

    def categories(self, split: str) -> tuple[int, ...]:
        """Return all classes."""
        return tuple(range(CLASSES))

    def sound(
        self, split: str, category: int, variation: int, samples: int, sample_rate_hz: int
    ) -> np.ndarray:
        """Return a synthesised sound."""
        from sai_bench_builtin.datasets.procedural_sources import synthesise

        return synthesise(category, variation, samples, sample_rate_hz)
