"""A prior that reads the labels: what perfect recognition would be worth."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from sai_bench.errors import DatasetError
from sai_bench.interfaces import Prior
from sai_bench_builtin.configs.prior import OracleConfig


class Oracle(Prior):
    """Class activity from the labels of the recording itself. For diagnostics; no system may use it."""

    needs_labels: ClassVar[bool] = True

    def __init__(self, config: OracleConfig):
        self.config = config

    def __call__(self, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Refuse: nothing can be heard.

        Raises:
            DatasetError: always.
        """
        raise DatasetError("prior 'oracle' hears nothing; it reads labels: call from_labels.")

    def from_labels(self, activity: np.ndarray) -> np.ndarray:
        """Return p [K, N] float32: `active` where a class is labelled, `inactive` elsewhere.

        Args:
            activity: [K, N] bool, the labels.
        """
        return np.where(activity, self.config.active, self.config.inactive).astype(np.float32)

    def notes(self) -> list[str]:
        """Return that the labels were used."""
        return ["IT READS THE LABELS of the evaluated recordings: what perfect recognition would be worth."]
