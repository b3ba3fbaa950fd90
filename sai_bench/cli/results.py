"""How `run` and `evaluate` show what came out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sai_bench.results.record import RunRecord


def print_results(record: RunRecord, out: Path) -> None:
    """Print the summary tables and where everything lies."""
    from rich.console import Console

    from sai_bench.results.summary import print_summary

    print_summary(record, Console())
    print(out)
