"""The data set: named splits of recordings, on disk or rendered on demand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np

    from sai_bench.predictions import Annotation
    from sai_bench.progress import Reporter
    from sai_bench.sphere import ArrayGeometry


@dataclass(frozen=True)
class Recording:
    """One recording of a data set.

    Attributes:
        name: unique within the data set, without suffix, such as `fold4_room23_mix001`.
        audio_path: the audio file.
        labels_path: the DCASE label JSON, None if unlabelled.
        array: where the capsules of the channels are.
        content_sha256: changes whenever audio or labels do; part of the stage keys.
    """

    name: str
    audio_path: Path
    labels_path: Path | None
    array: ArrayGeometry
    content_sha256: str


@dataclass(frozen=True)
class RenderedRecording:
    """A recording that was rendered on demand and lies nowhere.

    Attributes:
        waveform: [M, S] float32, full scale 1.
        sample_rate_hz: its rate.
        array: where the capsules of the channels are.
        annotations: its labels.
    """

    waveform: np.ndarray
    sample_rate_hz: int
    array: ArrayGeometry
    annotations: Sequence[Annotation]


class Dataset(ABC):
    """Split names to recordings. Built as `cls(config)`."""

    renders_online: ClassVar[bool] = False
    """Whether `rendered` makes recordings without end."""

    @abstractmethod
    def prepare(self, workers: int = 1, reporter: Reporter | None = None) -> None:
        """Make the data ready: render, or check what was downloaded. Safe to call again and after a kill.

        Args:
            workers: how many processes may work at once; the data do not depend on it.
            reporter: told what is going on and how far it is.

        Raises:
            sai_bench.errors.DatasetError: something is missing or contradicts the manifest.
        """

    @property
    @abstractmethod
    def root(self) -> Path:
        """Return the folder that holds the data (STAIRS26 layout)."""

    @property
    @abstractmethod
    def manifest_sha256(self) -> str:
        """Return a hash of everything in the data set (after `prepare`), for the run record."""

    @abstractmethod
    def splits(self) -> tuple[str, ...]:
        """Return the names of the splits, such as `("train", "test")`."""

    @abstractmethod
    def recordings(self, split: str) -> list[Recording]:
        """Return the recordings of a split in sorted name order (after `prepare`).

        Raises:
            sai_bench.errors.DatasetError: unknown split; the message lists the splits.
        """

    def rendered(self, split: str, number: int, duration_s: float) -> RenderedRecording:
        """Return recording `number` (0, 1, 2 ... without end) of a split (only if `renders_online`).

        The same number gives the same recording; none of them is one of `recordings`.

        Args:
            split: whose rooms and sounds are used.
            number: which one.
            duration_s: its length.
        """
        raise TypeError(f"{type(self).__name__} cannot render online")
