"""Everything that a killed training needs to go on exactly, in one file.

A safetensors file holds the weights, their running mean, AdamW's memory and the best weights so far; its
header the number of steps done and the best validation loss. Samples, views, gains and dropout follow from
the seed and the number of the step alone, so neither generators nor samplers have a state that must be kept.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from sai_bench.errors import CacheError
from sai_bench.files import write_atomically
from sai_bench.networks import DETECTOR_KINDS
from sai_bench.training.optimisation import RunningMean

_HEADER = "sai_bench_training"
_MEMORY = ("exp_avg", "exp_avg_sq", "step")

State = dict[str, dict[str, torch.Tensor]]
"""Kind -> name -> tensor."""


@dataclass
class Progress:
    """How far a stage is.

    Attributes:
        steps: done so far.
        best_loss: the least loss on the validation split, None before the first measurement.
        best_step: after how many steps that was.
        seconds: spent training, with validation and checkpoints; not the pauses between runs, nor what a
            killed run did after its last checkpoint.
        data_seconds: of these, spent waiting for data.
    """

    steps: int = 0
    best_loss: float | None = None
    best_step: int | None = None
    seconds: float = 0.0
    data_seconds: float = 0.0


def write_checkpoint(
    path: Path,
    model: nn.Module,
    optimiser: torch.optim.AdamW,
    mean: RunningMean | None,
    progress: Progress,
    best: State | None,
) -> None:
    """Write a checkpoint atomically.

    Args:
        path: of the file.
        model: with its weights after the last step.
        optimiser: with its memory.
        mean: the running mean, None without one.
        progress: how far the training is.
        best: the weights after `progress.best_step` steps, None before the first measurement.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    if mean is not None:
        tensors |= {f"mean.{name}": tensor for name, tensor in mean.weights.items()}
    for name, parameter in model.named_parameters():
        for memory, tensor in optimiser.state.get(parameter, {}).items():
            tensors[f"optimiser.{memory}.{name}"] = tensor
    for kind, named in (best or {}).items():
        tensors |= {f"best.{kind}.{name}": tensor for name, tensor in named.items()}
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(contiguous, metadata={_HEADER: json.dumps(asdict(progress))}))


def read_checkpoint(
    path: Path, model: nn.Module, optimiser: torch.optim.AdamW, mean: RunningMean | None
) -> tuple[Progress, State | None]:
    """Restore weights, running mean and the optimiser's memory.

    Returns:
        how far the training was, all zero if there is no checkpoint; and the best weights.

    Raises:
        CacheError: the file is damaged or belongs to another network.
    """
    if not path.exists():
        return Progress(), None
    try:
        with safe_open(path, framework="pt") as file:
            progress = Progress(**json.loads(file.metadata()[_HEADER]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        model.load_state_dict(_below(tensors, "model."))
        if mean is not None:
            mean.load(_below(tensors, "mean."))
        for name, parameter in model.named_parameters():
            memories = {memory: tensors.get(f"optimiser.{memory}.{name}") for memory in _MEMORY}
            if memories["step"] is not None:
                optimiser.state[parameter] = {
                    # AdamW counts its steps on the CPU.
                    memory: tensor if memory == "step" else tensor.to(parameter.device)
                    for memory, tensor in memories.items()
                }
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CacheError(
            f"{path}: this checkpoint cannot be used ({error}). Remove its folder to train anew."
        ) from error
    if progress.best_step is None:
        return progress, None
    return progress, {kind: _below(tensors, f"best.{kind}.") for kind in DETECTOR_KINDS}


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
