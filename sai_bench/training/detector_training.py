"""The stages of a spec that train its detector, one after the other; what is finished is reused."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import accelerate
import msgspec
import torch

from sai_bench.code_fingerprint import code_fingerprint
from sai_bench.dataset_check import problems_of, problems_of_sound
from sai_bench.errors import DatasetError, SpecError, component_errors
from sai_bench.files import safe_name, sha256_of, write_atomically
from sai_bench.folder_lock import folder_lock
from sai_bench.networks import DETECTOR_KINDS, build_parts
from sai_bench.progress import Reporter
from sai_bench.running import prepare_stage_data
from sai_bench.stages.keys import component_identity, key_of, library_versions, recording_identity
from sai_bench.training.label_masks import prepare_label_masks
from sai_bench.training.loop import BEST, LAST, StageBatches, State, train_stage
from sai_bench.training.segments import make_loader, validation_batches
from sai_bench.weights_of_systems import write_system_weights

if TYPE_CHECKING:
    from sai_bench.interfaces import Dataset, Recording
    from sai_bench.spec import ComponentSpec, Spec, TrainingStage
    from sai_bench.stages.stage import Context

RESULT = "result.json"
KEY = "key.json"

_PATIENCE = timedelta(days=1)
"""How long processes wait for the one that checks data or measures a validation split."""


class StageResult(msgspec.Struct, frozen=True):
    """What a finished stage left.

    Attributes:
        stage: its name.
        file: name of the weights file in its folder.
        sha256: of that file.
        recordings: how many were learned from; None if they were rendered while training.
        steps: of the optimiser.
        seconds: spent training.
        data_seconds: of these, spent waiting for data.
        best_step: after how many steps the weights were best by the validation split, None without one.
        best_loss: the loss there.
        processes: how many trained together.
        device: such as `cpu`.
    """

    stage: str
    file: str
    sha256: str
    recordings: int | None
    steps: int
    seconds: float
    data_seconds: float
    best_step: int | None
    best_loss: float | None
    processes: int
    device: str


@dataclass(frozen=True)
class TrainedStage:
    """A finished stage: its result, its folder, and whether an earlier run left it."""

    result: StageResult
    folder: Path
    reused: bool

    @property
    def weights(self) -> Path:
        """Return the weights file."""
        return self.folder / self.result.file


def train_detector(spec: Spec, context: Context) -> tuple[TrainedStage, ...]:
    """Train the spec's detector stage by stage, each from the weights that the one before it left.

    Every process that `torchrun` started must call this; they share the segments of each step.

    Returns:
        the stages in their order, none if the spec has none for the detector.

    Raises:
        DatasetError: recordings that are learned from are missing, damaged or without labels.
        TrainingError: a loss is not finite.
    """
    trained: list[TrainedStage] = []
    for stage in spec.training:
        if stage.trains_detector:
            weights = stage.settings.initial_weights or (trained[-1].weights if trained else None)
            trained.append(_trained(spec, stage, weights, context))
    return tuple(trained)


def _trained(spec: Spec, stage: TrainingStage, weights: Path | None, context: Context) -> TrainedStage:
    accelerator = accelerate.Accelerator(
        # Several processes without a GPU find each other only if they are told to use the processor.
        cpu=not torch.cuda.is_available(),
        mixed_precision="no",  # a stage's own precision is TrainingStep's business
        kwargs_handlers=[
            # A head whose loss has no weight gets no gradient.
            accelerate.DistributedDataParallelKwargs(find_unused_parameters=True),
            accelerate.InitProcessGroupKwargs(timeout=_PATIENCE),
        ],
    )
    # A convolution of one channel can be laid out in two ways, which costs nothing.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides", UserWarning)
    if stage.settings.batch_segments % accelerator.num_processes:
        raise SpecError(
            [
                f"training.{stage.name}.batch_segments: {stage.settings.batch_segments} segments cannot be "
                f"shared by {accelerator.num_processes} processes. Set a multiple of that."
            ]
        )
    if not accelerator.is_main_process:
        context = replace(context, reporter=Reporter())
    data = _learned_from(spec, stage, context, accelerator)
    parts = _key_parts(spec, stage, weights, data)
    folder = context.cache / "train" / f"{safe_name(spec.name)}-{stage.name}-{key_of(parts)[:16]}"
    finished = _finished(folder)
    if finished is not None:
        context.reporter.line(f"train {stage.name}: {finished.steps} steps reused")
        return TrainedStage(finished, folder, reused=True)
    locking = contextlib.nullcontext()
    if accelerator.is_main_process:
        if not (folder / KEY).exists():
            recordings = [*data.training, *data.validation]
            _refuse(problems_of_sound(recordings, context.workers, context.reporter), stage)
            write_atomically(folder / KEY, json.dumps(parts, indent=1, sort_keys=True).encode())
        locking = folder_lock(folder, doing="another training writes here", otherwise="take another --cache")
    with locking:
        accelerator.wait_for_everyone()
        result = _train(spec, stage, weights, data, folder, accelerator, context)
        if accelerator.is_main_process:
            write_atomically(folder / RESULT, msgspec.json.encode(result))
    accelerator.wait_for_everyone()
    return TrainedStage(result, folder, reused=False)


@dataclass(frozen=True)
class _LearnedFrom:
    """The data of a stage: recordings by split, none of a split that is rendered while training."""

    component: ComponentSpec
    dataset: Dataset
    training: tuple[Recording, ...]
    validation: tuple[Recording, ...]


def _learned_from(
    spec: Spec, stage: TrainingStage, context: Context, accelerator: accelerate.Accelerator
) -> _LearnedFrom:
    component, settings = stage.data or spec.require_data(), stage.settings
    with accelerator.main_process_first():
        dataset = prepare_stage_data(spec, stage, context)
    if settings.sampling.online and not dataset.renders_online:
        raise DatasetError(
            f"training.{stage.name}.sampling.online: data set '{component.name}' cannot render while "
            "training. Set it to false, or take one that can, such as simulated_rooms."
        )
    with component_errors(f"Data set '{component.name}' failed"):
        training = () if settings.sampling.online else _labelled(dataset, settings.split, stage)
        validation = ()
        if settings.validation_split is not None:
            validation = _labelled(dataset, settings.validation_split, stage)
    problems = problems_of([*training, *validation])
    if problems:
        raise DatasetError(
            f"training.{stage.name}: {len(problems)} recordings cannot be learned from.\n"
            + "\n".join(problems)
            + "\nRepair or remove them; sai-bench check-data says more."
        )
    recordings, rule = [*training, *validation], settings.targets.rendering
    with accelerator.main_process_first():
        prepare_label_masks(recordings, rule, _label_masks(context), context.workers, context.reporter)
    return _LearnedFrom(component, dataset, training, validation)


def _label_masks(context: Context) -> Path:
    return context.cache / "label_masks"


def _refuse(problems: Sequence[str], stage: TrainingStage) -> None:
    """Raise DatasetError if there are problems with recordings."""
    if problems:
        raise DatasetError(
            f"training.{stage.name}: recordings cannot be learned from. Repair or remove them; sai-bench "
            "check-data says more.",
            problems,
        )


def _labelled(dataset: Dataset, split: str, stage: TrainingStage) -> tuple[Recording, ...]:
    recordings = tuple(r for r in dataset.recordings(split) if r.labels_path is not None)
    if not recordings:
        raise DatasetError(
            f"training.{stage.name}: split '{split}' of {dataset.root} has no labelled recordings."
        )
    return recordings


def _key_parts(spec: Spec, stage: TrainingStage, weights: Path | None, data: _LearnedFrom) -> dict:
    """Return everything that determines the weights, but for the number of processes."""
    system = spec.require_system()
    declared = stage.resolved()
    for irrelevant in ("initial_weights", "data", "loader_workers", "checkpoint_every_steps"):
        declared.pop(irrelevant, None)
    online = data.component.resolved() | {"code": data.component.registration.code_sha256()}
    return {
        "stage": declared,
        "weights": sha256_of(weights) if weights else spec.seed,
        "seed": stage.settings.seed if stage.settings.seed is not None else spec.seed,
        "components": [component_identity(getattr(system, kind)) for kind in DETECTOR_KINDS],
        "microphones": system.microphones,
        "training": online if stage.settings.sampling.online else [*map(recording_identity, data.training)],
        "validation": [*map(recording_identity, data.validation)],
        "libraries": library_versions(),
        "code": code_fingerprint("sai_bench.training.loop", "sai_bench.training.segments"),
    }


def _train(
    spec: Spec,
    stage: TrainingStage,
    weights: Path | None,
    data: _LearnedFrom,
    folder: Path,
    accelerator: accelerate.Accelerator,
    context: Context,
) -> StageResult:
    system, settings = spec.require_system(), stage.settings
    seed = spec.seed if settings.seed is None else settings.seed
    with component_errors("Building the system failed"):
        parts = build_parts(replace(system, weights=weights), spec.seed)
        grids = parts["decoder"].target_grids(stage.losses)
    general = {
        "microphones": system.microphones,
        "sample_rate_hz": system.front_end.config.output().sample_rate_hz,
        "grids": grids,
        "cache": _label_masks(context),
        "reporter": context.reporter,
    }
    validation = None
    if data.validation:
        validation = partial(validation_batches, settings, data.validation, **general)
    batches = StageBatches(
        lambda first_step: make_loader(
            settings,
            data.training,
            data.dataset,
            seed=seed,
            first_step=first_step,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
            **general,
        ),
        validation,
    )
    with component_errors(f"Training stage '{stage.name}' failed"):
        progress = train_stage(
            stage,
            parts,
            batches,
            folder,
            seed=seed,
            save=partial(_save, spec),
            accelerator=accelerator,
            reporter=context.reporter,
        )
    file = BEST if data.validation else LAST
    share = 100 * progress.data_seconds / progress.seconds if progress.seconds else 0
    context.reporter.line(
        f"train {stage.name}: {progress.steps} steps in {progress.seconds:.0f} s, {share:.0f}% of it waiting "
        "for data"
    )
    return StageResult(
        stage=stage.name,
        file=file,
        sha256=sha256_of(folder / file),
        recordings=len(data.training) or None,
        steps=progress.steps,
        seconds=progress.seconds,
        data_seconds=progress.data_seconds,
        best_step=progress.best_step,
        best_loss=progress.best_loss,
        processes=accelerator.num_processes,
        device=accelerator.device.type,
    )


def _save(spec: Spec, path: Path, state: State) -> None:
    tensors = {
        kind: {name: tensor.detach().cpu().numpy() for name, tensor in named.items()}
        for kind, named in state.items()
    }
    write_system_weights(path, spec, tensors)


def _finished(folder: Path) -> StageResult | None:
    """Return the result of a finished stage, None if there is none or its weights are damaged."""
    try:
        result = msgspec.json.decode((folder / RESULT).read_bytes(), type=StageResult)
        return result if sha256_of(folder / result.file) == result.sha256 else None
    except (OSError, msgspec.DecodeError):
        return None
