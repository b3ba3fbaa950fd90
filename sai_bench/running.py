"""Everything a spec asks for, in one go: data, fit, the system and its variants, record and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sai_bench.before_work import check_system
from sai_bench.cores import usable_cores
from sai_bench.errors import DatasetError, component_errors, did_you_mean
from sai_bench.files import safe_name, write_atomically
from sai_bench.predictions import read_annotations
from sai_bench.run_folder import RECORD, SUMMARY, RunFolder, make_writable_folder
from sai_bench.sphere import FRAME_S
from sai_bench.stages.fitting import FittedPrior, fit_prior, needs_fit, prior_of_file
from sai_bench.stages.pipeline import Predicted, Scored, predict, score
from sai_bench.stages.stage import Context

if TYPE_CHECKING:
    from sai_bench.interfaces import Dataset, Recording
    from sai_bench.progress import Reporter
    from sai_bench.results.record import RunRecord
    from sai_bench.spec import ComponentSpec, Spec, TrainingStage
    from sai_bench.training.detector_training import TrainedStage

DEFAULT_CACHE = Path(".sai_bench_cache")


@dataclass(frozen=True)
class SystemRun:
    """One system of a run: the spec's own or a variant.

    Attributes:
        name: the spec's name, or the variant's.
        spec: what was run.
        dataset: what it was run on.
        recordings: of the evaluated split.
        trained: the finished stages of its detector's training, none if it was not trained here.
        fitted: its fitted prior, if the prior needs that.
        predicted: stages and prediction files.
        scored: the metrics' numbers, None if only predictions were asked for.
    """

    name: str
    spec: Spec
    dataset: Dataset
    recordings: tuple[Recording, ...]
    trained: tuple[TrainedStage, ...]
    fitted: FittedPrior | None
    predicted: Predicted
    scored: Scored | None


def run_spec(spec: Spec, out: Path | None, context: Context, *, pictures: bool) -> tuple[RunRecord, Path]:
    """Run a spec's system and its variants, score them, and write everything to a folder.

    The folder holds result.json (the run record), summary.md, predictions/ (the spec's own system),
    variants/NAME/predictions/ and pictures/. What earlier runs left in the cache is reused.

    Args:
        spec: a validated spec with data and a system.
        out: the folder; None: runs/NAME below the current folder.
        context: cache, workers, reporter.
        pictures: whether to draw frames.

    Returns:
        the run record and the folder.
    """
    from sai_bench.results.build_record import build_record
    from sai_bench.results.record import write_record
    from sai_bench.results.summary import markdown_summary

    started = datetime.now(UTC)
    folder = _open_run_folder(spec, out)
    with folder.locked():
        runs = run_systems(spec, context)
        files = {name: path for run in runs for name, path in _prediction_files(run, spec).items()}
        frames = choose_pictures(runs[0]) if pictures else {}
        with folder.publishing([*files, *frames, SUMMARY, RECORD]):
            _copy_files(files, folder)
            _draw_pictures(runs[0], frames, folder)
            record = build_record(spec, runs, started)
            write_atomically(folder.path / SUMMARY, markdown_summary(record).encode())
            write_record(folder.path / RECORD, record)
    return record, folder.path


def predict_only(spec: Spec, out: Path | None, context: Context) -> Path:
    """Write the prediction files of a spec's own system, for labelled and unlabelled recordings alike.

    Returns:
        their folder.
    """
    folder = _open_run_folder(spec, out)
    with folder.locked():
        check_system(spec)
        dataset = prepare_data(spec, context.workers, context.reporter)
        run = run_system(spec.name, spec, dataset, context, scoring=False)
        files = _prediction_files(run, spec)
        with folder.publishing([*files]):
            _copy_files(files, folder)
    return folder.path / "predictions"


def open_context(cache: Path | None, reporter: Reporter, workers: int | None = None) -> Context:
    """Return what the stages of a run share.

    Args:
        cache: folder for stage results; None: `.sai_bench_cache` in the current folder.
        reporter: told about progress.
        workers: processes that may work at once; None: one per core.

    Raises:
        OutputError: the cache cannot be written.
    """
    cache = make_writable_folder((cache or DEFAULT_CACHE).absolute(), "--cache")
    ignore = cache / ".gitignore"
    if not ignore.exists():
        write_atomically(ignore, b"*\n")
    return Context(cache, workers or usable_cores(), reporter)


def prepare_data(spec: Spec, workers: int, reporter: Reporter) -> Dataset:
    """Build the spec's data set and make it ready.

    Args:
        spec: a spec with data.
        workers: processes that may work at once.
        reporter: told about progress.

    Raises:
        DatasetError: the split that the spec evaluates is none of the data set's.
        StageError: the data set raised.
    """
    splits = {} if spec.system is None else {"evaluation.split": spec.evaluation.split}
    dataset = _prepared(spec.require_data(), splits, workers, reporter)
    reporter.line(f"data: {dataset.root}")
    return dataset


def fitted_prior(spec: Spec, context: Context, dataset: Dataset | None = None) -> FittedPrior | None:
    """Return the prior's weights, from the spec's weights file or by a fit; None if it needs none.

    Args:
        spec: declares the system.
        context: cache, workers, reporter.
        dataset: ready to be used; None: it is made ready if the prior must be fitted.
    """
    if not needs_fit(spec):
        return None
    given = prior_of_file(spec)
    if given is not None:
        context.reporter.line(f"fit: prior {spec.require_system().prior.name} from {given.source.name}")
        return given
    stage = next((stage for stage in spec.training if not stage.trains_detector), None)
    if stage is None:
        return fit_prior(spec, dataset or prepare_data(spec, context.workers, context.reporter), context)
    if stage.data is not None or dataset is None:
        dataset = prepare_stage_data(spec, stage, context)
    return fit_prior(spec, dataset, context, stage.settings.split)


def trained_system(spec: Spec, context: Context) -> tuple[Spec, tuple[TrainedStage, ...]]:
    """Train the spec's detector, unless it has no stages for that or its weights are given.

    Returns:
        the spec with the weights that the last stage left, and the stages.
    """
    system = spec.require_system()
    if not any(stage.trains_detector for stage in spec.training):
        return spec, ()
    if system.weights is not None:
        context.reporter.line(f"train: no stage, system.weights names {system.weights.name}")
        return spec, ()
    from sai_bench.training.detector_training import train_detector

    trained = train_detector(spec, context)
    return replace(spec, system=replace(system, weights=trained[-1].weights)), trained


def prepare_stage_data(spec: Spec, stage: TrainingStage, context: Context) -> Dataset:
    """Build the data set that a stage learns from and make it ready.

    Raises:
        DatasetError: the stage names a split that the data set has not.
        StageError: the data set raised.
    """
    named = {key: getattr(stage.settings, key, None) for key in ("split", "validation_split")}
    splits = {f"training.{stage.name}.{key}": split for key, split in named.items() if split is not None}
    return _prepared(stage.data or spec.require_data(), splits, context.workers, context.reporter)


def run_systems(spec: Spec, context: Context) -> list[SystemRun]:
    """Run and score the spec's own system, then its variants; they share every stage they have in common."""
    for system in (spec, *spec.variants.values()):
        check_system(system)
    dataset = prepare_data(spec, context.workers, context.reporter)
    runs = []
    for name, system in [(spec.name, spec), *spec.variants.items()]:
        if system is not spec:
            context.reporter.line(f"variant {name}")
        its_data = dataset
        if system.data != spec.data:
            its_data = prepare_data(system, context.workers, context.reporter)
        runs.append(run_system(name, system, its_data, context, scoring=True))
    return runs


def run_system(name: str, spec: Spec, dataset: Dataset, context: Context, *, scoring: bool) -> SystemRun:
    """Fit, predict and perhaps score one system on the split that its spec evaluates."""
    recordings = _recordings(spec, dataset, context, labelled=scoring)
    ready, trained = trained_system(spec, context)
    fitted = fitted_prior(ready, context, dataset)
    predicted = predict(ready, recordings, fitted, context)
    scored = score(ready, recordings, predicted.predictions, context) if scoring else None
    return SystemRun(name, spec, dataset, recordings, trained, fitted, predicted, scored)


def _prepared(
    component: ComponentSpec, splits: Mapping[str, str], workers: int, reporter: Reporter
) -> Dataset:
    """Build a data set, see that it has the splits that keys of the spec name (key -> split), prepare it."""
    with component_errors(f"Preparing data set '{component.name}' failed"):
        dataset = component.build()
        for key, split in splits.items():
            _require_split(dataset, component.name, split, key)
        dataset.prepare(workers, reporter)
    return dataset


def _require_split(dataset: Dataset, name: str, split: str, key: str) -> None:
    splits = dataset.splits()
    if split not in splits:
        raise DatasetError(
            f"{key}: data set '{name}' has no split '{split}'.{did_you_mean(split, splits)} "
            f"Splits: {', '.join(splits)}."
        )


def choose_pictures(run: SystemRun) -> dict[str, tuple[Recording, int]]:
    """Return which frames to draw: file name -> (recording, frame), spread evenly over the recordings."""
    from sai_bench.results.frame_choice import choose_frames

    recordings, wanted = run.recordings, run.spec.evaluation.pictures
    chosen = {}
    shares = Counter(k * len(recordings) // wanted for k in range(wanted))
    for i, recording in enumerate(recordings):
        share = shares[i]
        if share:
            labels = read_annotations(recording.labels_path)
            predictions = read_annotations(run.predicted.predictions.paths[recording.name])
            for frame in choose_frames(labels, predictions, share):
                chosen[f"pictures/{safe_name(recording.name)}_frame{frame:04d}.png"] = (recording, frame)
    return chosen


def _open_run_folder(spec: Spec, out: Path | None) -> RunFolder:
    spec.require_system()
    spec.require_data()
    return RunFolder(out or Path("runs") / safe_name(spec.name))


def _recordings(spec: Spec, dataset: Dataset, context: Context, *, labelled: bool) -> tuple[Recording, ...]:
    """Return the recordings of the evaluated split, if asked only the labelled ones."""
    everything = dataset.recordings(spec.evaluation.split)
    twice = [name for name, count in Counter(r.name for r in everything).items() if count > 1]
    if twice:
        raise DatasetError(
            f"{dataset.root}: split '{spec.evaluation.split}' has several recordings named "
            f"{', '.join(twice)}. Expected a name of its own for each; the data set must tell them apart."
        )
    kept = tuple(r for r in everything if not labelled or r.labels_path is not None)
    if not kept:
        raise DatasetError(
            f"{dataset.root}: split '{spec.evaluation.split}' has no {'labelled ' * labelled}recordings. "
            "Set evaluation.split to one that has, or use `sai-bench predict` for unlabelled ones."
        )
    if len(kept) < len(everything):
        context.reporter.line(f"{len(everything) - len(kept)} recordings without labels are left out")
    return kept


def _prediction_files(run: SystemRun, main: Spec) -> dict[str, Path]:
    """Return what a run publishes: file name in the run folder -> stored file."""
    folder = "predictions" if run.spec is main else f"variants/{run.name}/predictions"
    paths = run.predicted.predictions.paths
    return {f"{folder}/{safe_name(name)}.json": path for name, path in paths.items()}


def _copy_files(files: dict[str, Path], folder: RunFolder) -> None:
    for name, source in files.items():
        content, target = source.read_bytes(), folder.path / name
        if not target.exists() or target.read_bytes() != content:
            write_atomically(target, content)


def _draw_pictures(run: SystemRun, frames: dict[str, tuple[Recording, int]], folder: RunFolder) -> None:
    """Draw frames: labels above, predictions below."""
    if not frames:
        return
    from sai_bench.results.pictures import draw_frame

    for name, (recording, frame) in frames.items():
        predictions = read_annotations(run.predicted.predictions.paths[recording.name])
        draw_frame(
            folder.path / name,
            title=f"{recording.name}, {frame * FRAME_S:.1f} s",
            labels=_of_frame(read_annotations(recording.labels_path), frame),
            predictions=_of_frame(predictions, frame),
        )


def _of_frame(annotations: Sequence, frame: int) -> list:
    return [a for a in annotations if a.metadata_frame_index == frame]
