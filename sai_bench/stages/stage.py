"""Running one stage over recordings: what is there is reused, what is missing is computed and stored."""

from __future__ import annotations

import functools
import json
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sai_bench.errors import StageError, component_errors
from sai_bench.files import safe_name, write_atomically
from sai_bench.stages.keys import key_of, library_versions, recording_identity
from sai_bench.stages.stored import is_stored, read_note, store
from sai_bench.threads import one_blas_thread

if TYPE_CHECKING:
    from sai_bench.interfaces import Progress, Recording
    from sai_bench.progress import Reporter


class Work(Protocol):
    """What a stage does with one recording."""

    def build(self) -> object:
        """Build the components that all recordings share; costs time that is not the recordings'."""

    def __call__(self, recording: Recording) -> bytes:
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
    recordings: Sequence[Recording],
    work: Work,
    determined_by: dict,
    context: Context,
    *,
    suffix: str = ".npz",
    parallel: bool = False,
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

    Raises:
        StageError: a component raised, or a worker process was killed.
    """
    parts = {"stage": stage, "libraries": library_versions(), **determined_by}
    key = key_of(parts)
    folder = context.cache / stage / key[:16]
    paths = {r.name: folder / f"{_file_stem(r)}{suffix}" for r in recordings}
    pending = [r for r in recordings if not is_stored(paths[r.name])]
    if pending:
        note = folder / "key.json"
        if not note.exists():
            write_atomically(note, json.dumps(parts, indent=1, sort_keys=True).encode())
        with context.reporter.task(f"{stage:<9}") as progress:
            perform = functools.partial(_perform, stage, work)
            _compute(pending, paths, perform, context.workers if parallel else 1, progress)
    reused = len(recordings) - len(pending)
    files = StageFiles(stage, key, paths, reused, sum(read_note(p).seconds for p in paths.values()))
    context.reporter.line(_describe(files))
    return files


def _compute(
    pending: list[Recording],
    paths: Mapping[str, Path],
    perform: functools.partial,
    workers: int,
    progress: Progress,
) -> None:
    progress(0, len(pending))
    if workers == 1 or len(pending) == 1:
        for done, recording in enumerate(pending, 1):
            perform(recording, paths[recording.name])
            progress(done, len(pending))
        return
    import joblib
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    tasks = (joblib.delayed(_in_worker)(perform, r, paths[r.name]) for r in pending)
    pool = joblib.Parallel(n_jobs=min(workers, len(pending)), return_as="generator_unordered")
    try:
        for done, _ in enumerate(pool(tasks), 1):
            progress(done, len(pending))
    except TerminatedWorkerError as error:
        raise StageError(
            "A worker process was killed, probably because memory ran out. What was finished is kept: run "
            "the same command again, with --workers 1."
        ) from error


def _in_worker(perform: functools.partial, recording: Recording, path: Path) -> None:
    # Ctrl-C reaches the whole process group; the main process decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    perform(recording, path)


def _perform(stage: str, work: Work, recording: Recording, path: Path) -> None:
    """Compute and store one file."""
    doing = f"Stage {stage} failed on recording {recording.name}"
    with component_errors(doing), one_blas_thread():
        work.build()
        begun = time.perf_counter()
        content = work(recording)
        seconds = time.perf_counter() - begun
    store(path, content, seconds)


def _file_stem(recording: Recording) -> str:
    return f"{safe_name(recording.name)}-{recording_identity(recording)[:12]}"


def _describe(files: StageFiles) -> str:
    total, computed = len(files.paths), len(files.paths) - files.reused
    if not computed:
        return f"{files.stage:<9} {total} recordings reused"
    reused = f", {files.reused} reused" if files.reused else ""
    return f"{files.stage:<9} {computed} recordings computed{reused}"
