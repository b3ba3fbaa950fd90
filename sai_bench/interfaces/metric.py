"""The metric: predictions and labels to named numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    import numpy as np

    from sai_bench.predictions import Annotation

AnnotationRole = Literal["prediction", "label"]


class Metric(ABC):
    """Predictions and labels to named numbers. Built as `cls(config)`. Needs no torch.

    Scoring has two steps so that the costly one runs in parallel and is cached per recording.
    """

    headline: ClassVar[tuple[str, ...]] = ()
    """The names of the numbers that a summary table shows."""

    prediction_suffixes: ClassVar[tuple[str, ...] | None] = None
    """What may stand between the recording's name and `.json` for the official evaluator to find a
    prediction file (`""`: nothing); None: anything. Files with other names are scored here all the same,
    with a warning."""

    label_suffixes: ClassVar[tuple[str, ...] | None] = None
    """Likewise for label files."""

    prediction_folders: ClassVar[tuple[str, ...] | None] = None
    """Where below the prediction folder the official evaluator looks for files: `""` in the folder itself,
    `"x"` in a folder x in it, `"*"` one level down; None: everywhere. Others are scored with a warning."""

    label_folders: ClassVar[tuple[str, ...] | None] = None
    """Likewise for label files."""

    file_lists: ClassVar[tuple[str, str] | None] = None
    """Under which names the official report lists prediction files with and without labels; None: it lists
    none. Scoring folders adds the lists to the numbers."""

    def read(self, path: Path, role: AnnotationRole) -> list[Annotation]:
        """Return the annotations of a prediction or label file, by the metric's own reading rules.

        The default is `sai_bench.predictions.read_annotations`. An annotation may have a class that
        `score_recording` leaves out.

        Raises:
            sai_bench.errors.AnnotationError: the file is not valid; the message names file and position.
        """
        from sai_bench.predictions import read_annotations

        return read_annotations(path)

    @abstractmethod
    def score_recording(
        self, predictions: Sequence[Annotation], labels: Sequence[Annotation]
    ) -> dict[str, np.ndarray]:
        """Return everything the metric needs to know about one recording, as plain arrays."""

    def score_with_memory(
        self,
        predictions: Sequence[Annotation],
        labels: Sequence[Annotation],
        memory: Mapping[str, np.ndarray],
    ) -> tuple[dict[str, np.ndarray], Mapping[str, np.ndarray] | None]:
        """Do `score_recording` with labels that another system may have been scored against before.

        Override it if work on the labels is worth keeping. It must not change a number, and not take longer
        the first time. The default keeps nothing.

        Args:
            predictions: as for `score_recording`.
            labels: likewise.
            memory: what an earlier call returned for a label file of the same content; empty if none did.

        Returns:
            What `score_recording` returns, and what the next call should get; None: nothing new.
        """
        return self.score_recording(predictions, labels), None

    @abstractmethod
    def combine(self, recordings: Sequence[Mapping[str, np.ndarray]]) -> dict[str, object]:
        """Return the metric's numbers from the parts of all recordings, in the order of their files' paths.

        The result is JSON-ready: numbers, None for "not defined", text, lists and dicts of those.
        """

    def warnings(self, recordings: Sequence[Mapping[str, np.ndarray]]) -> list[str]:
        """Return what the user should know before trusting the numbers, from the parts of all recordings."""
        return []

    def overlap(self, predictions: Sequence[Annotation], labels: Sequence[Annotation]) -> np.ndarray | None:
        """Return how much regions of one frame overlap, whatever their classes: [P, G] in [0, 1], 1 is equal.

        Diagnostics ask for it; None (the default) means that the metric has no such measure.
        """
        return None

    def combine_weighted(
        self, recordings: Sequence[Mapping[str, np.ndarray]], weights: np.ndarray
    ) -> dict[str, np.ndarray] | None:
        """Return the headline numbers for many resamples at once; None (the default): only `combine` can.

        Args:
            recordings: as for `combine`.
            weights: [R, recordings] integers >= 0, how often each recording counts in each resample.

        Returns:
            headline name -> [R] what `combine` gives for the parts repeated so often, NaN where not defined.
        """
        return None
