"""Source banks: where the dry sounds of simulated scenes come from.

`procedural` synthesises them, `folder` takes your own files, `vctk` speech of the VCTK corpus.
"""

from __future__ import annotations

from sai_bench_builtin.datasets.source_banks.interface import SourceBank
from sai_bench_builtin.datasets.source_banks.opening import open_source_bank

__all__ = ["SourceBank", "open_source_bank"]
