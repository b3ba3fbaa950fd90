"""The recordings of a split that something can be learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sai_bench.errors import DatasetError

if TYPE_CHECKING:
    from sai_bench.interfaces import Dataset, Recording
    from sai_bench.progress import Reporter


def labelled_recordings(
    dataset: Dataset, split: str, reporter: Reporter, *, needed_by: str, instead: str
) -> tuple[Recording, ...]:
    """Return the recordings of a split that have labels; say how many have none.

    Args:
        dataset: ready to be used.
        split: one of its splits.
        reporter: told what is left out.
        needed_by: who learns from them, such as `prior 'log_mel_linear' must be fitted`, for the message.
        instead: what to do without any, likewise.

    Raises:
        DatasetError: none has labels.
    """
    everything = dataset.recordings(split)
    labelled = tuple(recording for recording in everything if recording.labels_path is not None)
    if not labelled:
        raise DatasetError(
            f"{dataset.root}: {needed_by}, but split '{split}' has no labelled recordings. {instead}"
        )
    if len(labelled) < len(everything):
        reporter.line(f"{len(everything) - len(labelled)} {split} recordings without labels are left out")
    return labelled
