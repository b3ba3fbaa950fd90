"""Everything a spec asks for, in one go: data, fit, the system and its variants, record and pictures."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sai_bench.errors import DatasetError, OutputError
from sai_bench.files import safe_name, write_atomically
from sai_bench.predictions import read_annotations
from sai_bench.stages.fitting import FittedPrior, fit_prior
from sai_bench.stages.pipeline import Predicted, Scored, predict, score
from sai_bench.stages.stage import Context

if TYPE_CHECKING:
    from sai_bench.interfaces import Dataset, Recording
    from sai_bench.progress import Reporter
    from sai_bench.results.record import RunRecord
    from sai_bench.spec import Spec

RECORD_FILE = "result.json"
SUMMARY_FILE = "summary.md"
PREDICTIONS_FOLDER = "predictions"
PICTURES_FOLDER = "pictures"
VARIANTS_FOLDER = "variants"
CACHE_FOLDER = ".sai_bench_cache"


@dataclass(frozen=True)
class SystemRun:
    """One system of a run: the spec's own or a variant.

    Attributes:
        name: the spec's name, or the variant's.
        spec: what was run.
        recordings: what it was run on.
        fitted: its fitted prior, if the prior needs that.
        predicted: stages and prediction files.
        scored: the metrics' numbers, None if only predictions were asked for.
    """

    name: str
    spec: Spec
    recordings: tuple[Recording, ...]
    fitted: FittedPrior | None
    predicted: Predicted
    scored: Scored | None


def run_spec(
    spec: Spec, out: Path | None, reporter: Reporter, workers: int | None = None, *, pictures: bool = True
) -> tuple[RunRecord, Path]:
    """Run a spec's system and its variants, score them, and write everything to a folder.

    The folder holds result.json (the run record), summary.md, predictions/ (the spec's own system),
    variants/NAME/predictions/ and pictures/. What earlier runs left in the stage cache beside the folder is
    reused.

    Args:
        spec: a validated spec with data and a system.
        out: the folder; None: runs/NAME below the current folder.
        reporter: told about progress.
        workers: processes that may work at once; None: one per core.
        pictures: whether to draw frames.

    Returns:
        the run record and the folder.
    """
    from sai_bench.results.build_record import build_record
    from sai_bench.results.record import write_record
    from sai_bench.results.summary import markdown_table

    started = datetime.now(UTC)
    spec.require_system()
    spec.require_data()
    out = out or default_output(spec)
    context = open_output(out, reporter, workers)
    dataset = prepare_data(spec, context.workers, reporter)
    runs = run_systems(spec, dataset, context)
    own = runs[0]
    publish_predictions(own, out / PREDICTIONS_FOLDER)
    for variant in runs[1:]:
        publish_predictions(variant, out / VARIANTS_FOLDER / variant.name / PREDICTIONS_FOLDER)
    if pictures:
        draw_pictures(own, out / PICTURES_FOLDER)
    record = build_record(spec, dataset, runs, started)
    write_atomically(out / SUMMARY_FILE, markdown_table(record).encode())
    write_record(out / RECORD_FILE, record)
    return record, out


def predict_only(spec: Spec, out: Path | None, reporter: Reporter, workers: int | None = None) -> Path:
    """Write the prediction files of a spec's own system and return their folder."""
    spec.require_system()
    spec.require_data()
    out = out or default_output(spec)
    context = open_output(out, reporter, workers)
    dataset = prepare_data(spec, context.workers, reporter)
    run = run_system(spec.name, spec, dataset, context, scoring=False)
    publish_predictions(run, out / PREDICTIONS_FOLDER)
    return out / PREDICTIONS_FOLDER


def default_output(spec: Spec) -> Path:
    """Return where a run of `spec` goes unless told otherwise: runs/NAME below the current folder."""
    return Path("runs") / safe_name(spec.name)


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def open_output(out: Path, reporter: Reporter, workers: int | None = None) -> Context:
    """Make sure that `out` can be written and return the context of its stages.

    Stage results go to a folder beside `out`, so that runs of several specs share them.

    Raises:
        OutputError: the folder cannot be written.
    """
    cache = out.absolute().parent / CACHE_FOLDER
    for folder in (out, cache):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{folder}: cannot be made ({error.strerror}). Expected a folder that can be written; choose "
                "another one with --out."
            ) from error
        probe = folder / f".writable-{os.getpid()}"
        write_atomically(probe, b"")
        probe.unlink(missing_ok=True)
    return Context(cache, workers or available_cores(), reporter)


def prepare_data(spec: Spec, workers: int, reporter: Reporter) -> Dataset:
    """Build the spec's data set and make it ready."""
    dataset = spec.require_data().build()
    with reporter.task(f"{'render':<9}") as progress:
        dataset.prepare(workers, progress)
    reporter.line(f"{'data':<9} {dataset.root}")
    return dataset


def recordings_to_score(spec: Spec, dataset: Dataset) -> tuple[Recording, ...]:
    """Return the labelled recordings of the split that the spec evaluates.

    Raises:
        DatasetError: there are none.
    """
    recordings = tuple(r for r in dataset.recordings(spec.evaluation.split) if r.labels_path is not None)
    if not recordings:
        raise DatasetError(
            f"{dataset.root}: split '{spec.evaluation.split}' has no labelled recordings to evaluate. "
            "Set evaluation.split to one that has."
        )
    return recordings


def run_systems(spec: Spec, dataset: Dataset, context: Context) -> list[SystemRun]:
    """Run the spec's own system, then its variants; they share every stage that they have in common."""
    runs = []
    for name, system in {spec.name: spec, **spec.variants}.items():
        if spec.variants:
            context.reporter.line(f"{name}:")
        same_data = system.data == spec.data
        its_data = dataset if same_data else prepare_data(system, context.workers, context.reporter)
        runs.append(run_system(name, system, its_data, context))
    return runs


def run_system(
    name: str, spec: Spec, dataset: Dataset, context: Context, *, scoring: bool = True
) -> SystemRun:
    """Fit, predict and score one system on the split that its spec evaluates."""
    recordings = recordings_to_score(spec, dataset)
    fitted = fit_prior(spec, dataset, context)
    predicted = predict(spec, recordings, fitted, context)
    scored = score(spec, recordings, predicted.predictions, context) if scoring else None
    return SystemRun(name, spec, recordings, fitted, predicted, scored)


def publish_predictions(run: SystemRun, folder: Path) -> None:
    """Put a run's prediction files into `folder` under the recordings' names; older JSON there goes."""
    wanted = {}
    for name, path in run.predicted.predictions.paths.items():
        wanted[f"{safe_name(name)}.json"] = path
    for file_name, path in wanted.items():
        content, target = path.read_bytes(), folder / file_name
        if not target.exists() or target.read_bytes() != content:
            write_atomically(target, content)
    for old in folder.glob("*.json"):
        if old.name not in wanted:
            old.unlink()


def draw_pictures(run: SystemRun, folder: Path) -> list[Path]:
    """Draw the few frames that the spec asks for: labels above, predictions below.

    The frames are spread over the recordings in turn.
    """
    from sai_bench.results.pictures import choose_frames, draw_frame

    recordings, wanted = run.recordings, run.spec.evaluation.pictures
    shares = [len(range(i, wanted, len(recordings))) for i in range(len(recordings))]
    drawn = []
    for recording, share in zip(recordings, shares, strict=True):
        if not share:
            continue
        labels = read_annotations(recording.labels_path)
        predictions = read_annotations(run.predicted.predictions.paths[recording.name])
        for frame in choose_frames(labels, predictions, share):
            path = folder / f"{safe_name(recording.name)}_frame{frame:04d}.png"
            draw_frame(
                path,
                title=f"{recording.name}, {frame / 10:.1f} s",
                labels=[a for a in labels if a.metadata_frame_index == frame],
                predictions=[a for a in predictions if a.metadata_frame_index == frame],
            )
            drawn.append(path)
    for old in folder.glob("*.png"):
        if old not in drawn:
            old.unlink()
    return drawn
