"""What every source bank can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np


class SourceBank(ABC):
    """Dry sounds by class. What a split gets to hear, no other split does."""

    content_sha256: str | None = None
    """Changes whenever the bank's files do; None for a bank without files."""

    notes: tuple[str, ...] = ()
    """What a user should know before sounds are rendered, such as speakers that are left out."""

    @abstractmethod
    def categories(self, split: str) -> tuple[int, ...]:
        """Return the classes that there are sounds of, in ascending order."""

    @abstractmethod
    def sound(
        self, split: str, category: int, variation: int, samples: int, sample_rate_hz: int
    ) -> np.ndarray:
        """Return the dry sound of one event, [samples] float64 with peak 1.

        Args:
            split: which part of the bank is used.
            category: class 0 ... 12.
            variation: seed; the same one gives the same sound.
            samples: its length.
            sample_rate_hz: its rate, at least 8000.

        Raises:
            sai_bench.errors.DatasetError: a file turns out to be of no use.
        """

    def origin(self, split: str, category: int, variation: int) -> str | None:
        """Return the file that a sound is made from, relative to the bank's folder; None: there is none."""
        return None

    def check(self, splits: Iterable[str]) -> None:
        """Look through all files of some splits before they are used.

        Raises:
            sai_bench.errors.DatasetError: some cannot be used, or a split has none; it names all of them.
        """
        return
