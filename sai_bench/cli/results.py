"""How `run` and `evaluate` show what came out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sai_bench.results.record import RunRecord


def print_results(record: RunRecord, out: Path) -> None:
    """Print the summary tables and where everything lies."""
    from rich.console import Console

    from sai_bench.results.summary import print_summary

    # A file or pipe has no width of its own: let tables be as wide as they are.
    print_summary(record, Console(width=None if sys.stdout.isatty() else 160))
    print(out)
