"""Finished stages: what each one left in its folder, and everything that its weights follow from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sai_bench.code_fingerprint import code_fingerprint
from sai_bench.files import sha256_of, write_atomically
from sai_bench.networks import DETECTOR_KINDS
from sai_bench.stages.keys import component_identity, library_versions, recording_identity

if TYPE_CHECKING:
    from sai_bench.spec import ComponentSpec, Spec, TrainingStage
    from sai_bench.training.stage_data import StageData

_RESULT = "result.json"


class StageResult(msgspec.Struct, frozen=True):
    """What a finished stage left.

    Attributes:
        stage: its name.
        file: name of the weights file in its folder.
        sha256: of that file.
        recordings: how many were learned from; None if they were rendered while training.
        steps: of the optimiser.
        seconds: spent training, with validation and checkpoints; not what a killed run did after its last
            checkpoint.
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


def write_result(folder: Path, result: StageResult) -> None:
    """Call a stage finished; its weights lie in the folder already."""
    write_atomically(folder / _RESULT, msgspec.json.encode(result))


def read_result(folder: Path) -> StageResult | None:
    """Return what a finished stage left, None if there is nothing or its weights are damaged."""
    try:
        result = msgspec.json.decode((folder / _RESULT).read_bytes(), type=StageResult)
        return result if sha256_of(folder / result.file) == result.sha256 else None
    except (OSError, msgspec.DecodeError):
        return None


def determining_parts(
    spec: Spec, stage: TrainingStage, weights: Path | None, seed: int, data: StageData
) -> dict:
    """Return everything that determines a stage's weights, JSON-ready, but for the number of processes.

    Args:
        spec: declares the system.
        stage: one that trains the detector.
        weights: the file that it begins with, None for random weights.
        seed: of sampling, augmentation and dropout.
        data: what it learns from.
    """
    system, declared = spec.require_system(), stage.resolved()
    for irrelevant in ("initial_weights", "data", "loader_workers", "checkpoint_every_steps"):
        declared.pop(irrelevant, None)
    online = data.component.resolved() | {"code": data.component.registration.code_sha256()}
    return {
        "stage": declared,
        "weights": sha256_of(weights) if weights else spec.seed,
        "seed": seed,
        "components": [_identity_in_training(getattr(system, kind)) for kind in DETECTOR_KINDS],
        "microphones": system.microphones,
        "training": online if stage.settings.sampling.online else [*map(recording_identity, data.training)],
        "validation": [*map(recording_identity, data.validation)],
        "libraries": library_versions(),
        "code": code_fingerprint("sai_bench.training.loop", "sai_bench.training.segments"),
    }


def _identity_in_training(component: ComponentSpec) -> dict:
    irrelevant = component.config.after_training
    return {key: value for key, value in component_identity(component).items() if key not in irrelevant}
