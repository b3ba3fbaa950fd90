"""What a metric says when weak detections are left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sai_bench.metrics.diagnosing.oracles import ranking_score

if TYPE_CHECKING:
    from sai_bench.predictions import Annotation

KEPT_SHARES = (1.0, 0.75, 0.5, 0.25, 0.1)


def thresholds_that_keep(scores: Iterable[float], shares: Sequence[float] = KEPT_SHARES) -> list[float]:
    """Return the score thresholds that keep (at least) these shares of the detections, without repetition.

    Args:
        scores: of all detections of all recordings, from `ranking_score`.
        shares: in (0, 1].
    """
    ordered = np.sort(np.fromiter(scores, dtype=float))
    if not len(ordered):
        return []
    dropped = [int(len(ordered) * (1 - share) + 1e-9) for share in shares]
    return sorted({float(ordered[count]) for count in dropped})


def at_least(predictions: Sequence[Annotation], threshold: float) -> list[Annotation]:
    """Return the predictions whose score is the threshold or more; a missing score is 0."""
    return [prediction for prediction in predictions if ranking_score(prediction) >= threshold]
