"""What a prior says about a recording, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sai_bench.errors import ContractError, DatasetError
from sai_bench.sphere import CLASSES, frame_count

if TYPE_CHECKING:
    from sai_bench.interfaces import Prior


def class_activity(
    prior: Prior, waveform: np.ndarray, sample_rate_hz: int, activity: np.ndarray | None = None
) -> np.ndarray:
    """Return p [K, N] float64 in [0, 1] of a whole recording.

    Args:
        prior: ready to be used, that is, with its weights.
        waveform: [M, S] float32, full scale 1.
        sample_rate_hz: its rate.
        activity: [K, N] bool from the recording's labels, None if it has none; handed on only to a prior that
            needs labels.

    Raises:
        ContractError: the prior returned something else.
        DatasetError: the prior needs labels and there are none.
    """
    name = type(prior).__name__
    if prior.needs_labels:
        require_labels(type(prior), activity is not None)
        returned = prior.from_labels(activity[:, : frame_count(waveform.shape[1], sample_rate_hz)])
    else:
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


def require_labels(prior: type[Prior], available: bool) -> None:
    """Raise DatasetError if a class of priors needs labels and there are none."""
    if prior.needs_labels and not available:
        raise DatasetError(
            f"Prior {prior.__name__} reads the labels of the recording, and this one has none. Use it for "
            "diagnostics on labelled data (sai-bench run), or take one that listens, such as log_mel_linear."
        )
