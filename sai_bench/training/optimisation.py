"""What changes the weights: AdamW over two groups of parameters, its learning rate, the running mean."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from sai_bench.errors import SpecError, did_you_mean

if TYPE_CHECKING:
    from sai_bench.spec.training_settings import OptimiserSettings, ScheduleSettings


def freeze(model: nn.Module, prefixes: Iterable[str], stage: str) -> None:
    """Stop parameters from learning, by the beginning of their names.

    Args:
        model: whose parameters are named `<kind>.<name in the network>`.
        prefixes: such as `backbone.encoder`; whole parts between dots.
        stage: its name, for the message.

    Raises:
        SpecError: a prefix names no parameter, or nothing is left to learn.
    """
    parameters = dict(model.named_parameters())
    places = {name.rsplit(".", depth)[0] for name in parameters for depth in range(name.count(".") + 1)}
    for prefix in prefixes:
        found = [name for name in parameters if name == prefix or name.startswith(f"{prefix}.")]
        if not found:
            top = sorted(place for place in places if place.count(".") <= 1 and place not in parameters)
            raise SpecError(
                [
                    f"training.{stage}.frozen: no parameter's name begins with '{prefix}'."
                    f"{did_you_mean(prefix, places)} Names begin with: {', '.join(top)}."
                ]
            )
        for name in found:
            parameters[name].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise SpecError([f"training.{stage}.frozen: nothing is left that learns. Remove some of the names."])


def make_optimiser(model: nn.Module, settings: OptimiserSettings) -> torch.optim.AdamW:
    """Return AdamW over the parameters that learn; only matrices and convolutions decay."""
    decaying, others = [], []
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_matrix = name.endswith("weight") and parameter.ndim > 1 and id(parameter) not in embeddings
            (decaying if is_matrix else others).append(parameter)
    groups = [
        {"params": decaying, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=settings.learning_rate, betas=settings.betas
    )


def learning_rate_share(step: int, steps: int, schedule: ScheduleSettings) -> float:
    """Return the learning rate of a step relative to that after the warm-up.

    Args:
        step: 0 for the first.
        steps: how many there are.
        schedule: warm-up and shape.
    """
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    # The last step has the final share.
    fallen = (step - schedule.warmup_steps) / max(1, steps - 1 - schedule.warmup_steps)
    left = {
        "constant": 1.0,
        "linear": 1 - fallen,
        "cosine": (1 + math.cos(math.pi * fallen)) / 2,
    }[schedule.shape]
    return schedule.final_share + (1 - schedule.final_share) * left


class RunningMean:
    """The exponential running mean of a model's weights, without its buffers.

    Early on the memory is shorter, min(decay, (1 + step) / (10 + step)), so that the random weights of the
    start do not linger.
    """

    def __init__(self, model: nn.Module, decay: float):
        """Begin with the model's weights."""
        self.decay = decay
        self.weights = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after a step (0 for the first)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, parameter in model.named_parameters():
            self.weights[name].lerp_(parameter.detach(), 1 - decay)

    def load(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take the weights of a checkpoint."""
        for name, mean in self.weights.items():
            mean.copy_(weights[name])
