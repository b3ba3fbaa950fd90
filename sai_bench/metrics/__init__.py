"""What metrics are made of, and scoring with them. Needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sai_bench.metrics.scoring import Scores, score

__all__ = ["Scores", "score"]


def __getattr__(name: str):
    """Import scoring when it is first asked for: metrics themselves need none of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sai_bench.metrics import scoring

    return getattr(scoring, name)
