"""What a metric makes of one recording's prediction and label file: the stage work of `sai-bench score`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sai_bench.errors import AnnotationError
from sai_bench.files import encode_arrays, sha256_of
from sai_bench.predictions import check_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sai_bench.interfaces import Metric
    from sai_bench.metrics.pairing import FilePair
    from sai_bench.predictions import Annotation
    from sai_bench.stages.label_memory import LabelMemory
    from sai_bench.stages.portable import PortableComponent

INPUT_COUNTS = "input_counts"
"""The array [4] beside a metric's own: labels, labels with score, predictions, predictions with score."""


@dataclass(frozen=True)
class IdentifiedPair:
    """The files of one recording and a hash of their content.

    Attributes:
        name: of the recording.
        predictions: its prediction file, None if it counts as empty.
        labels: its label file.
        content_sha256: of both files.
        labels_sha256: of the label file alone.
        size_bytes: of both files together.
    """

    name: str
    predictions: Path | None
    labels: Path
    content_sha256: str
    labels_sha256: str
    size_bytes: int


def identify(pair: FilePair) -> IdentifiedPair:
    """Return a pair with the hash and size of its files.

    Raises:
        AnnotationError: a file cannot be read or is too large.
    """
    paths = pair.predictions, pair.labels
    size_bytes = sum(check_size(path) for path in paths if path is not None)
    hashes = [sha256_of(path) if path else "none" for path in paths]
    combined = hashlib.sha256("".join(hashes).encode()).hexdigest()
    return IdentifiedPair(pair.name, *paths, combined, hashes[1], size_bytes)


@dataclass
class ScorePair:
    """One metric's part for one recording."""

    metric: PortableComponent
    memory: LabelMemory

    def build(self) -> object:
        """Build the metric."""
        return self.metric.build()

    def __call__(self, pair: IdentifiedPair) -> bytes:
        """Return the metric's arrays and `INPUT_COUNTS`.

        Raises:
            AnnotationError: a file is not valid for this metric; the message names it.
        """
        metric = self.metric.build()
        predictions, labels = read_pair(metric, pair)
        try:
            part = self.memory.score(metric, predictions, labels, pair.labels_sha256)
        except AnnotationError as error:
            raise AnnotationError(f"{pair.predictions} or {pair.labels}: {error}") from error
        return encode_arrays({**part, INPUT_COUNTS: _input_counts(predictions, labels)})


def read_pair(metric: Metric, pair: FilePair | IdentifiedPair) -> tuple[list[Annotation], list[Annotation]]:
    """Return a recording's predictions (none if it has no file) and labels as the metric reads them."""
    predictions = metric.read(pair.predictions, "prediction") if pair.predictions else []
    return predictions, metric.read(pair.labels, "label")


def own_arrays(stored: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what the metric itself stored for a recording."""
    return {name: array for name, array in stored.items() if name != INPUT_COUNTS}


def _input_counts(predictions: Sequence[Annotation], labels: Sequence[Annotation]) -> np.ndarray:
    counts = []
    for side in (labels, predictions):
        counts += [len(side), sum(annotation.score is not None for annotation in side)]
    return np.array(counts, dtype=np.int64)
