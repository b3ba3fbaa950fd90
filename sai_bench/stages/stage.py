"""Running one stage over recordings: what is there is reused, what is missing is computed and stored."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sai_bench.errors import component_errors
from sai_bench.files import safe_name, write_atomically
from sai_bench.parallel import in_processes
from sai_bench.stages.keys import key_of, library_versions, recording_identity
from sai_bench.stages.stored import is_stored, read_note, store
from sai_bench.threads import one_blas_thread

if TYPE_CHECKING:
    from sai_bench.progress import Reporter


class Named(Protocol):
    """A recording of a data set, or something else that a stage can make one file of."""

    @property
    def name(self) -> str:
        """Return a name that no other has."""


class Work(Protocol):
    """What a stage does with one recording."""

    def build(self) -> object:
        """Build the components that all recordings share; costs time that is not the recordings'."""

    def __call__(self, recording: Named) -> bytes:
        """Return the content of the recording's file."""


@dataclass(frozen=True)
class Context:
    """What every stage of a run shares.

    Attributes:
        cache: folder of all stored stage results.
        workers: how many processes may work at once; results do not depend on it.
        reporter: told about progress.
    """

    cache: Path
    workers: int
    reporter: Reporter


@dataclass(frozen=True)
class StageFiles:
    """The results of one stage.

    Attributes:
        stage: its name.
        key: hash of everything that determines the results, apart from the recording itself.
        paths: recording name -> file.
        reused: how many files were there before.
        seconds: computing time of all files, also of those reused (from when they were computed).
    """

    stage: str
    key: str
    paths: Mapping[str, Path]
    reused: int
    seconds: float


def run_stage(
    stage: str,
    recordings: Sequence[Named],
    work: Work,
    determined_by: dict,
    context: Context,
    *,
    suffix: str = ".npz",
    parallel: bool = False,
    identity: Callable[[Named], str] = recording_identity,
) -> StageFiles:
    """Make sure that a stage's file exists for every recording.

    Args:
        stage: its name, also the name of its folder in the cache.
        recordings: what to work on.
        work: computes one file; must be picklable if `parallel`.
        determined_by: JSON-ready parts of the key.
        context: cache, workers, reporter.
        suffix: of the files.
        parallel: whether to work in `context.workers` processes.
        identity: hash of a recording's content.

    Raises:
        StageError: a component raised, or a worker process was killed.
    """
    parts = {"stage": stage, "libraries": library_versions(), **determined_by}
    key = key_of(parts)
    folder = context.cache / stage / key[:16]
    paths = {r.name: folder / f"{safe_name(r.name)}-{identity(r)[:12]}{suffix}" for r in recordings}
    pending = [r for r in recordings if not is_stored(paths[r.name])]
    if pending:
        note = folder / "key.json"
        if not note.exists():
            write_atomically(note, json.dumps(parts, indent=1, sort_keys=True).encode())
        tasks = [(stage, work, recording, paths[recording.name]) for recording in pending]
        workers = min(context.workers, len(pending)) if parallel else 1
        if workers > 1:
            # What a component compiles is compiled once, not in each worker at the same time.
            with component_errors(f"Stage {stage} failed"):
                work.build()
        with context.reporter.task(stage) as progress:
            progress(0, len(pending))
            for done, _ in enumerate(in_processes(_perform, tasks, workers), start=1):
                progress(done, len(pending))
    reused = len(recordings) - len(pending)
    files = StageFiles(stage, key, paths, reused, sum(read_note(p).seconds for p in paths.values()))
    context.reporter.line(_describe(files))
    return files


def _perform(stage: str, work: Work, recording: Named, path: Path) -> None:
    """Compute and store one file."""
    doing = f"Stage {stage} failed on recording {recording.name}"
    with component_errors(doing), one_blas_thread():
        work.build()
        with one_blas_thread():  # again: building may have loaded SciPy, which brings a BLAS of its own
            begun = time.perf_counter()
            content = work(recording)
            seconds = time.perf_counter() - begun
    store(path, content, seconds)


def _describe(files: StageFiles) -> str:
    total, computed = len(files.paths), len(files.paths) - files.reused
    if not computed:
        return f"{files.stage}: {total} recordings reused"
    reused = f", {files.reused} reused" if files.reused else ""
    return f"{files.stage}: {computed} recordings computed{reused}"
