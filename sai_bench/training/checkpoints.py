"""Everything that a killed training needs to go on exactly, in one file.

A safetensors file holds the weights, their running mean and AdamW's memory; its header the number of steps
done and the best validation loss. Samples, views, gains and dropout follow from the seed and the number of
the step alone, so neither generators nor samplers have a state that must be kept.
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
from sai_bench.training.optimisation import RunningMean

_HEADER = "sai_bench_training"
_MEMORY = ("exp_avg", "exp_avg_sq", "step")


@dataclass
class Progress:
    """How far a stage is.

    Attributes:
        steps: done so far.
        best_loss: the least loss on the validation split, None before the first measurement.
        best_step: after how many steps that was.
        seconds: spent training, without pauses between runs.
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
) -> None:
    """Write a checkpoint atomically."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    if mean is not None:
        tensors |= {f"mean.{name}": tensor for name, tensor in mean.weights.items()}
    for name, parameter in model.named_parameters():
        for memory, tensor in optimiser.state.get(parameter, {}).items():
            tensors[f"optimiser.{memory}.{name}"] = tensor
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(contiguous, metadata={_HEADER: json.dumps(asdict(progress))}))


def read_checkpoint(
    path: Path, model: nn.Module, optimiser: torch.optim.AdamW, mean: RunningMean | None
) -> Progress:
    """Restore weights, running mean and the optimiser's memory.

    Returns:
        how far the training was; all zero if there is no checkpoint.

    Raises:
        CacheError: the file is damaged or belongs to another network.
    """
    if not path.exists():
        return Progress()
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
    return progress


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
