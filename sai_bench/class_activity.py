"""What a prior says about a recording, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sai_bench.errors import ContractError
from sai_bench.sphere import CLASSES, frame_count

if TYPE_CHECKING:
    from sai_bench.interfaces import Prior


def class_activity(prior: Prior, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Return p [K, N] float64 in [0, 1] of a whole recording.

    Args:
        prior: ready to be used, that is, with its weights.
        waveform: [M, S] float32, full scale 1.
        sample_rate_hz: its rate.

    Raises:
        ContractError: the prior returned something else.
    """
    name = type(prior).__name__
    returned = prior(waveform, sample_rate_hz)
    try:
        p = np.asarray(returned).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ContractError(f"Prior {name} returned no array of numbers ({error}).") from error
    expected = (CLASSES, frame_count(waveform.shape[1], sample_rate_hz))
    if p.shape != expected:
        raise ContractError(
            f"Prior {name} returned shape {p.shape}, expected {expected}: a row for each class and a column "
            "for each label frame."
        )
    if not ((p >= 0) & (p <= 1)).all():
        raise ContractError(f"Prior {name} returned values outside [0, 1] or NaN. Expected probabilities.")
    return p
