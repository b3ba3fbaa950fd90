"""What metrics keep of label files, so that the next system is scored sooner against the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sai_bench.errors import CacheError, OutputError
from sai_bench.files import encode_arrays, read_arrays, write_atomically
from sai_bench.stages.keys import component_identity, key_of, library_versions

if TYPE_CHECKING:
    import numpy as np

    from sai_bench.interfaces import Metric
    from sai_bench.predictions import Annotation
    from sai_bench.spec import ComponentSpec


@dataclass(frozen=True)
class LabelMemory:
    """A folder with a file for each content of a label file; for one metric, config and version of the code.

    Nothing depends on the files but time. Whoever writes one last wins; the others lose what they had added.
    """

    folder: Path

    @classmethod
    def of(cls, component: ComponentSpec, cache: Path) -> LabelMemory:
        """Return a metric's memory in the folder of all stored stage results."""
        key = key_of({"component": component_identity(component), "libraries": library_versions()})
        return cls(cache / f"labels.{component.name}" / key[:16])

    def score(
        self,
        metric: Metric,
        predictions: Sequence[Annotation],
        labels: Sequence[Annotation],
        labels_sha256: str,
    ) -> dict[str, np.ndarray]:
        """Return what `metric.score_recording` does; `labels_sha256` is of the file the labels are from."""
        path = self.folder / f"{labels_sha256}.npz"
        part, memory = metric.score_with_memory(predictions, labels, _read(path))
        if memory is not None:
            # Not compressed: that would take longer than is saved, and hardly makes random digits smaller.
            content = encode_arrays(memory, compressed=False)
            with suppress(OutputError):  # such as a full disk: the numbers do not need the file
                write_atomically(path, content)
        return part


def _read(path: Path) -> Mapping[str, np.ndarray]:
    """Return what is kept, nothing if that is damaged: the checksums in the file tell."""
    try:
        return read_arrays(path) if path.exists() else {}
    except CacheError:
        return {}
