"""Running one stage over recordings: what is there is reused, what is missing is computed and stored."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sai_bench.errors import SaiBenchError, StageError
from sai_bench.files import safe_name, write_atomically
from sai_bench.stages.keys import key_of, library_versions

if TYPE_CHECKING:
    from sai_bench.interfaces import Recording
    from sai_bench.progress import Reporter

Work = Callable[["Recording"], bytes]
"""What a stage does with one recording: returns the content of its file."""


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
    """
    parts = {"stage": stage, "libraries": library_versions(), **determined_by}
    key = key_of(parts)
    folder = context.cache / stage / key[:16]
    paths = {r.name: folder / f"{_file_stem(r)}{suffix}" for r in recordings}
    pending = [r for r in recordings if not paths[r.name].exists()]
    if pending:
        note = folder / "key.json"
        if not note.exists():
            write_atomically(note, json.dumps(parts, indent=1, sort_keys=True).encode())
        with context.reporter.task(f"{stage:<9}") as progress:
            perform = functools.partial(_perform, stage, work)
            _compute(pending, paths, perform, context.workers if parallel else 1, progress)
    reused = len(recordings) - len(pending)
    files = StageFiles(stage, key, paths, reused, sum(_seconds(p) for p in paths.values()))
    context.reporter.line(_describe(files))
    return files


def _compute(pending, paths, perform, workers, progress) -> None:
    progress(0, len(pending))
    if workers == 1 or len(pending) == 1:
        for done, recording in enumerate(pending, 1):
            perform(recording, paths[recording.name])
            progress(done, len(pending))
        return
    import joblib

    tasks = (joblib.delayed(perform)(r, paths[r.name]) for r in pending)
    pool = joblib.Parallel(n_jobs=min(workers, len(pending)), return_as="generator_unordered")
    for done, _ in enumerate(pool(tasks), 1):
        progress(done, len(pending))


def _perform(stage: str, work: Work, recording: Recording, path: Path) -> None:
    """Compute and store one file; its time goes beside it first, so that a file always has its time."""
    begun = time.perf_counter()
    try:
        content = work(recording)
    except SaiBenchError:
        raise
    except Exception as error:
        raise StageError(
            f"Stage {stage} failed on recording {recording.name} ({type(error).__name__}: {error}). What was "
            "finished before is kept; repair the component named above and run the same command again."
        ) from error
    seconds = time.perf_counter() - begun
    write_atomically(_time_path(path), f"{seconds:.6f}\n".encode())
    write_atomically(path, content)


def _time_path(path: Path) -> Path:
    return path.with_name(path.name + ".seconds")


def _seconds(path: Path) -> float:
    try:
        return float(_time_path(path).read_text())
    except (OSError, ValueError):
        return 0.0


def _file_stem(recording: Recording) -> str:
    return f"{safe_name(recording.name)}-{recording.content_sha256[:12]}"


def _describe(files: StageFiles) -> str:
    total, computed = len(files.paths), len(files.paths) - files.reused
    if not computed:
        return f"{files.stage:<9} {total} recordings reused"
    reused = f", {files.reused} reused" if files.reused else ""
    return f"{files.stage:<9} {computed} recordings computed{reused}"
