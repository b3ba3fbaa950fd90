"""The prior: which classes are heard when."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np
    import torch

    from sai_bench.config import ComponentConfig


@dataclass(frozen=True)
class Example:
    """One labelled recording as a fitted component sees it.

    Attributes:
        waveform: [M, S] float32, full scale 1.
        sample_rate_hz: its rate.
        activity: [K, N] bool, which classes sound in which label frame.
    """

    waveform: np.ndarray
    sample_rate_hz: int
    activity: np.ndarray


class Prior(ABC):
    """Waveform to class activity. Built as `cls(config)`."""

    needs_fit: ClassVar[bool] = False
    """Whether `fit` and `load_weights` must be called before the prior can be used."""

    needs_labels: ClassVar[bool] = False
    """Whether the prior is asked through `from_labels`, not through `__call__`. Only for diagnostics: such a
    prior cannot hear recordings without labels."""

    @classmethod
    def needs_fit_with(cls, config: ComponentConfig) -> bool:
        """Return whether `needs_fit` holds for a prior with this config."""
        return cls.needs_fit

    @abstractmethod
    def __call__(self, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Return how probable each class is in each label frame.

        Args:
            waveform: [M, S] float32, full scale 1, the whole recording.
            sample_rate_hz: its rate.

        Returns:
            p [K, N] float32 in [0, 1], N = sai_bench.sphere.frame_count(S, sample_rate_hz).
        """

    def from_labels(self, activity: np.ndarray) -> np.ndarray:
        """Return how probable each class is in each label frame (only if `needs_labels`).

        Args:
            activity: [K, N] bool, which classes the recording's labels have in which label frame.

        Returns:
            p [K, N] float32 in [0, 1].
        """
        raise TypeError(f"{type(self).__name__} has needs_labels = True, but no from_labels")

    def networks(self) -> Mapping[str, torch.nn.Module]:
        """Return the networks that it has so far, by name; `sai-bench describe` counts what is in them."""
        return {}

    def take_random_weights(self) -> bool:
        """Be as after a fit, but with random numbers: `sai-bench describe` counts what its networks cost.

        Returns:
            whether it did so; a prior without networks need not.
        """
        return False

    def notes(self) -> list[str]:
        """Return what the user must know before trusting numbers made with it, such as random weights.

        They are printed and stand in the run record and the summary; the same config gives the same notes.
        """
        return []

    def fit(self, examples: Collection[Example], seed: int) -> dict[str, np.ndarray]:
        """Return weights learned from labelled recordings (only if `needs_fit`).

        Must be deterministic: the same examples and seed give the same weights.

        Args:
            examples: the training recordings at their own rate, the MIC capsules only if the system says
                so. You can go through them as often as you like; each time they are read again, one by one.
            seed: for whatever is random.

        Returns:
            any names -> arrays of numbers, such as a network's state as NumPy arrays.
        """
        raise TypeError(f"{type(self).__name__} has no fit")

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take the weights that `fit` returned.

        Raises:
            sai_bench.errors.WeightsError: an array is missing or has another shape.
        """
        raise TypeError(f"{type(self).__name__} has no weights")
