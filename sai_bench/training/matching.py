"""Which candidate answers for which target: the assignment of least cost (DETR, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment

from sai_bench.training.mask_sets import SetPrediction, SetTargets

UNMATCHED = -1
"""Candidate of a slot that holds no target, or of a target that found no candidate."""


@dataclass(frozen=True)
class MatchingCosts:
    """Weights of the cost's terms; those of Mask2Former. `classification` 0 matches by mask alone."""

    classification: float = 2.0
    bce: float = 5.0
    dice: float = 5.0


def match(prediction: SetPrediction, targets: SetTargets, costs: MatchingCosts) -> torch.Tensor:
    """Return the candidate of each target, [n, T] integers, UNMATCHED where there is none.

    Costs that are not finite count as larger than all others, so that a diverging candidate is taken only
    when no other is left.

    Args:
        prediction: n sets of Q candidates.
        targets: n sets of up to T targets; if a set has more than Q, the dearest find no candidate.
        costs: weights of the cost's terms.
    """
    cost = matching_cost(prediction, targets, costs)
    largest = torch.finfo(cost.dtype).max
    cost = torch.nan_to_num(cost, nan=largest, posinf=largest, neginf=largest).cpu().numpy()
    present = targets.present.cpu().numpy()
    matches = np.full(present.shape, UNMATCHED)
    for number, slots in enumerate(present):
        wanted = np.flatnonzero(slots)
        candidates, order = linear_sum_assignment(cost[number][:, wanted])
        matches[number, wanted[order]] = candidates
    return torch.from_numpy(matches).to(targets.classes.device)


def pairs_of(matches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return set, target slot and candidate [m] of each target that found a candidate.

    Args:
        matches: [n, T], from `match`.
    """
    number, slot = (matches != UNMATCHED).nonzero(as_tuple=True)
    return number, slot, matches[number, slot]


@torch.no_grad()
def matching_cost(prediction: SetPrediction, targets: SetTargets, costs: MatchingCosts) -> torch.Tensor:
    """Return the cost [n, Q, T] of giving each target to each candidate.

    classification * (-p of the target's class) + bce * (binary cross entropy, mean over pixels) +
    dice * (1 - (2 sum p m + 1) / (sum p + sum m + 1)); columns of empty slots mean nothing.
    """
    logits, wanted = prediction.mask_logits.flatten(2), targets.masks.flatten(2).transpose(1, 2)
    masks = logits.sigmoid()
    with torch.autocast(logits.device.type, enabled=False):
        # Cross entropy of a logit x with m is softplus(x) - x m: one product does for all pairs.
        bce = F.softplus(logits).sum(-1, keepdim=True) - logits @ wanted
        overlap = masks @ wanted
    sizes = masks.sum(-1, keepdim=True) + wanted.sum(1, keepdim=True)
    dice = 1 - (2 * overlap + 1) / (sizes + 1)
    cost = costs.bce / logits.shape[-1] * bce + costs.dice * dice
    if costs.classification:
        classes = targets.classes.clamp_min(0)[:, None].expand(-1, logits.shape[1], -1)
        cost = cost - costs.classification * prediction.class_logits.softmax(-1).gather(2, classes)
    return cost
