"""The stages of a spec that train its detector, one after the other; what is finished is reused."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import accelerate
import torch

from sai_bench.errors import SpecError, component_errors
from sai_bench.files import safe_name, sha256_of, write_atomically
from sai_bench.folder_lock import folder_lock
from sai_bench.networks import build_parts
from sai_bench.progress import Reporter
from sai_bench.running import prepare_stage_data
from sai_bench.stages.keys import key_of
from sai_bench.training.finished_stages import (
    StageResult,
    TrainedStage,
    determining_parts,
    read_result,
    write_result,
)
from sai_bench.training.label_masks import prepare_label_masks
from sai_bench.training.loop import BEST, LAST, StageBatches, train_stage
from sai_bench.training.segments import make_loader, validation_batches
from sai_bench.training.stage_data import (
    StageData,
    find_stage_data,
    require_rendering,
    require_usable_files,
    require_usable_samples,
)
from sai_bench.weights_of_systems import write_system_weights

if TYPE_CHECKING:
    from sai_bench.spec import Spec, TrainingStage
    from sai_bench.stages.stage import Context
    from sai_bench.training.checkpoints import State
    from sai_bench.training.segment_loader import SegmentLoader
    from sai_bench.training.targets import Grid

_KEY = "key.json"

_PATIENCE = timedelta(days=1)
"""How long processes wait for the one that checks data or measures a validation split."""


def train_detector(spec: Spec, context: Context) -> tuple[TrainedStage, ...]:
    """Train the spec's detector stage by stage, each from the weights that the one before it left.

    Every process that `torchrun` started must call this; they share the segments of each step.

    Returns:
        the stages in their order, none if the spec has none for the detector.

    Raises:
        SpecError: the processes cannot share the segments of a step evenly.
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
    """Return a stage as an earlier run finished it, or train it."""
    accelerator = _accelerator()
    _require_even_shares(stage, accelerator.num_processes)
    require_rendering(spec, stage)
    if not accelerator.is_main_process:
        context = replace(context, reporter=Reporter())
    with accelerator.main_process_first():
        dataset = prepare_stage_data(spec, stage, context)
    data = find_stage_data(spec, stage, dataset, context.reporter)
    seed = spec.seed if stage.settings.seed is None else stage.settings.seed
    parts = determining_parts(spec, stage, weights, seed, data)
    folder = context.cache / "train" / f"{safe_name(spec.name)}-{stage.name}-{key_of(parts)[:16]}"
    finished = read_result(folder)
    if finished is not None:
        context.reporter.line(f"train {stage.name}: {finished.steps} steps reused")
        return TrainedStage(finished, folder, reused=True)
    require_usable_files(data, stage)
    rule = stage.settings.targets.rendering
    with accelerator.main_process_first():
        prepare_label_masks(data.recordings, rule, _masks(context), context.workers, context.reporter)
    locking = contextlib.nullcontext()
    if accelerator.is_main_process:
        if not (folder / _KEY).exists():
            require_usable_samples(data, stage, context.workers, context.reporter)
            write_atomically(folder / _KEY, json.dumps(parts, indent=1, sort_keys=True).encode())
        locking = folder_lock(folder, doing="another training writes here", otherwise="take another --cache")
    with locking:
        accelerator.wait_for_everyone()
        result = _train(spec, stage, weights, seed, data, folder, accelerator, context)
        if accelerator.is_main_process:
            write_result(folder, result)
    accelerator.wait_for_everyone()
    return TrainedStage(result, folder, reused=False)


def _accelerator() -> accelerate.Accelerator:
    # A convolution of one channel can be laid out in two ways, which costs nothing.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides", UserWarning)
    return accelerate.Accelerator(
        # Several processes without a GPU find each other only if they are told to use the processor.
        cpu=not torch.cuda.is_available(),
        mixed_precision="no",  # a stage's own precision is TrainingStep's business
        kwargs_handlers=[
            # A head whose loss has no weight gets no gradient.
            accelerate.DistributedDataParallelKwargs(find_unused_parameters=True),
            accelerate.InitProcessGroupKwargs(timeout=_PATIENCE),
        ],
    )


def _require_even_shares(stage: TrainingStage, processes: int) -> None:
    if stage.settings.batch_segments % processes:
        raise SpecError(
            [
                f"training.{stage.name}.batch_segments: {stage.settings.batch_segments} segments cannot be "
                f"shared by {processes} processes. Set a multiple of that."
            ]
        )


def _masks(context: Context) -> Path:
    return context.cache / "label_masks"


def _train(
    spec: Spec,
    stage: TrainingStage,
    weights: Path | None,
    seed: int,
    data: StageData,
    folder: Path,
    accelerator: accelerate.Accelerator,
    context: Context,
) -> StageResult:
    """Train a stage to its end, or from where a killed process left it."""
    with component_errors("Building the system failed"):
        parts = build_parts(replace(spec.require_system(), weights=weights), spec.seed)
        grids = parts["decoder"].target_grids(stage.losses)
    batches = _batches(spec, stage, seed, data, grids, accelerator, _masks(context))
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


def _batches(
    spec: Spec,
    stage: TrainingStage,
    seed: int,
    data: StageData,
    grids: Sequence[Grid],
    accelerator: accelerate.Accelerator,
    masks: Path,
) -> StageBatches:
    """Return what a stage hears: a process its share of each step, the main one the validation split."""
    system, settings = spec.require_system(), stage.settings
    heard = {
        "microphones": system.microphones,
        "sample_rate_hz": system.front_end.config.output().sample_rate_hz,
        "grids": grids,
        "cache": masks,
    }

    def training(first_step: int) -> SegmentLoader:
        return make_loader(
            settings,
            data.training,
            data.dataset,
            seed=seed,
            first_step=first_step,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
            **heard,
        )

    # Made when the split is first measured, and gone through again and again.
    validation = cache(partial(validation_batches, settings, data.validation, **heard))
    return StageBatches(training, validation if data.validation else None)


def _save(spec: Spec, path: Path, state: State) -> None:
    tensors = {
        kind: {name: tensor.detach().cpu().numpy() for name, tensor in named.items()}
        for kind, named in state.items()
    }
    write_system_weights(path, spec, tensors)
