"""Label masks on disk: drawn once for each content of a label file, read a few frames at a time.

A file is named by the content of its label file and lies in a folder named by the rule and by the code that
draws. Several processes may make the same file at once: they write the same bytes, each file atomically.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sai_bench.code_fingerprint import code_fingerprint
from sai_bench.errors import AnnotationError, CacheError, DatasetError
from sai_bench.files import sha256_of
from sai_bench.parallel import in_processes
from sai_bench.predictions import read_annotations
from sai_bench.progress import Reporter
from sai_bench.stages.keys import key_of, library_versions
from sai_bench.stages.stored import is_stored, store
from sai_bench.training.label_regions import LabelRegions, draw_regions
from sai_bench.training.mask_drawing import Rule

if TYPE_CHECKING:
    from sai_bench.interfaces import Recording

_DRAWN_BY = "sai_bench.training.label_regions", "sai_bench.predictions"
_FORMAT = 1
_TYPES = {
    "frames": np.int32,
    "classes": np.uint8,
    "instances": np.int32,
    "masks": np.int32,
    "pixels": np.uint16,
    "energies": np.uint8,
}


def prepare_label_masks(
    recordings: Sequence[Recording],
    rule: Rule,
    cache: Path,
    workers: int = 1,
    reporter: Reporter | None = None,
) -> list[Path]:
    """Return the file of masks of each recording; make those that are missing or damaged.

    Args:
        recordings: all with labels.
        rule: how points become an image.
        cache: folder of label masks.
        workers: how many processes may work at once.
        reporter: told how far it is.

    Raises:
        DatasetError: recordings have no labels, or none that can be read; all such are named.
    """
    _require_labels(recordings)
    folder = cache / f"{rule}-{_code_key()[:16]}"
    paths = [folder / f"{sha256_of(r.labels_path)}.safetensors" for r in recordings]
    missing = {path: r.labels_path for path, r in zip(paths, recordings, strict=True) if not is_stored(path)}
    if missing:
        problems = []
        with (reporter or Reporter()).task("label masks") as progress:
            progress(0, len(missing))
            tasks = [(labels, rule, path) for path, labels in missing.items()]
            for done, problem in enumerate(in_processes(_make, tasks, workers), start=1):
                problems += [problem] if problem else []
                progress(done, len(missing))
        if problems:
            raise DatasetError("\n".join(sorted(problems)))
    return paths


def read_occurrences(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return frame [n] and class [n] of all regions in a file of masks, by frame."""
    with _opened(path) as file:
        return file.get_tensor("frames"), file.get_tensor("classes")


def read_regions(path: Path, first: int, stop: int) -> LabelRegions:
    """Return the regions in label frames first ... stop - 1, their frames counted from `first`.

    Only what belongs to them is read.
    """
    with _opened(path) as file:
        first_row, last_row = _rows(file, first, stop)
        frames, classes, instances, masks = (
            _part(file, name, first_row, last_row) for name in ("frames", "classes", "instances", "masks")
        )
        used, masks = np.unique(masks, return_inverse=True)
        parts = [_read_masks(file, 0, 0), *(_read_masks(file, run[0], run[-1] + 1) for run in _runs(used))]
    lengths, pixels, energies = (np.concatenate(p) for p in zip(*parts, strict=True))
    starts = np.cumsum(np.append(0, lengths), dtype=np.int64)
    return LabelRegions(
        frames - np.int32(first), classes, instances, masks.astype(np.int32), starts, pixels, energies
    )


def _require_labels(recordings: Sequence[Recording]) -> None:
    unlabelled = [r.name for r in recordings if r.labels_path is None or not r.labels_path.is_file()]
    if unlabelled:
        names = ", ".join(unlabelled[:8]) + (" ..." if len(unlabelled) > 8 else "")
        raise DatasetError(
            f"{len(unlabelled)} of {len(recordings)} recordings have no label file: {names}. Expected labels "
            "for all that a detector learns from or is validated on; choose another split or add the files."
        )


@functools.cache
def _code_key() -> str:
    return key_of({"format": _FORMAT, "code": code_fingerprint(*_DRAWN_BY), "libraries": library_versions()})


def _make(labels: Path, rule: Rule, path: Path) -> str | None:
    """Draw and store the masks of a label file; return what is wrong with it."""
    from safetensors.numpy import save

    if is_stored(path):  # another process has made it meanwhile
        return None
    start = time.perf_counter()
    try:
        regions = draw_regions(read_annotations(labels), rule)
    except AnnotationError as error:
        text = str(error)
        return text if str(labels) in text else f"{labels}: {text}"
    frame_count = int(regions.frames[-1]) + 1 if len(regions) else 0
    rows = np.searchsorted(regions.frames, np.arange(frame_count + 1)).astype(np.int64)
    store(path, save({**vars(regions), "frame_rows": rows}), time.perf_counter() - start)
    return None


def _opened(path: Path):
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework="numpy")
    except (OSError, SafetensorError) as error:
        raise CacheError(
            f"{path}: label masks cannot be read ({error}). They were changed from outside while in use; run "
            "the same command again, only this file is made anew."
        ) from error


def _rows(file, first: int, stop: int) -> tuple[int, int]:
    """Return the first row that belongs to label frames first ... stop - 1, and the one after the last."""
    frame_count = file.get_slice("frame_rows").get_shape()[0] - 1
    first, stop = min(first, frame_count), min(stop, frame_count)
    rows = _part(file, "frame_rows", first, stop + 1)
    return int(rows[0]), int(rows[-1])


def _runs(numbers: np.ndarray) -> list[np.ndarray]:
    """Cut ascending numbers into runs of neighbours."""
    return np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1) if len(numbers) else []


def _read_masks(file, first: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pixel counts, pixels and energies of successive masks."""
    starts = _part(file, "mask_starts", first, stop + 1)
    return np.diff(starts), *(
        _part(file, name, int(starts[0]), int(starts[-1])) for name in ("pixels", "energies")
    )


def _part(file, name: str, first: int, stop: int) -> np.ndarray:
    part = file.get_slice(name)
    if first < stop:
        return part[int(first) : int(stop)]
    # An empty slice behind the last entry is out of bounds for safetensors.
    return part[0:0] if part.get_shape()[0] else file.get_tensor(name)
