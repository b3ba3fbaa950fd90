"""What `mask_queries` learns by: matched sets in every layer, enlarged masks, balanced classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from sai_bench.training.distributed import mean_count
from sai_bench.training.mask_losses import (
    LossWeights,
    balancing_weights,
    bce_loss,
    calibration_loss,
    deep_supervision_loss,
    dice_loss,
)
from sai_bench.training.mask_sets import EMPTY, SetPrediction, SetTargets
from sai_bench.training.matching import MatchingCosts, pairs_of

if TYPE_CHECKING:
    from sai_bench.training.targets import Grid, MaskTargets
    from sai_bench_builtin.configs.mask_query_losses import MaskQueriesLosses
    from sai_bench_builtin.decoders.mask_queries.refinement import RefinedCandidates


def sets_of_frames(targets: MaskTargets, grid: Grid) -> SetTargets:
    """Return the targets of each frame as a set: n = B N sets with masks [n, T, 1, h, w]."""
    return SetTargets(targets.classes.flatten(0, 1), targets.masks[grid].flatten(0, 1)[:, :, None])


def sets_of_segments(targets: MaskTargets, grid: Grid) -> tuple[SetTargets, torch.Tensor]:
    """Return the sound events of each segment as a set: n = B sets with masks [n, E, N, h, w].

    Regions of one event in several frames become one target, which is empty in the other frames.

    Returns:
        the sets, and the slot [B, E, N] of each event's region in each frame, EMPTY where it has none.
    """
    instances = targets.instances
    segments, frames, _ = instances.shape
    events = [row[row != EMPTY].unique() for row in instances]
    most = max([1, *map(len, events)])
    classes = instances.new_full((segments, most), EMPTY)
    slots = instances.new_full((segments, most, frames), EMPTY)
    for segment, names in enumerate(events):
        for event, name in enumerate(names):
            frame, slot = (instances[segment] == name).nonzero(as_tuple=True)
            slots[segment, event, frame] = slot
            classes[segment, event] = targets.classes[segment, frame[0], slot[0]]
    masks = targets.masks[grid]
    segment, event, frame = (slots != EMPTY).nonzero(as_tuple=True)
    shown = masks.new_zeros(segments, most, frames, *grid)
    shown[segment, event, frame] = masks[segment, frame, slots[segment, event, frame]]
    return SetTargets(classes, shown), slots


def loss_of_layers(
    layers: Sequence[SetPrediction],
    candidates: RefinedCandidates | None,
    targets: MaskTargets,
    grid: Grid,
    losses: MaskQueriesLosses,
    *,
    by_segment: bool,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return the weighted sum of all losses, and the last layer's by name.

    Args:
        layers: what each layer predicts, the final prediction last.
        candidates: the final ones; None if there is no learned refinement.
        targets: regions of the same segments and frames.
        grid: rows and columns of the predicted masks.
        losses: which losses count how much.
        by_segment: whether queries belong to a segment rather than to a frame.
    """
    sets, slots = sets_of_segments(targets, grid) if by_segment else (sets_of_frames(targets, grid), None)
    weights, costs = _weights_and_costs(losses, targets.class_agnostic)
    layers = layers if losses.deep_supervision else layers[-1:]
    total, named, matches = deep_supervision_loss(layers, sets, costs, weights)
    number, slot, candidate = pairs_of(matches)
    if losses.calibration and not targets.class_agnostic:
        balance = balancing_weights(losses.class_frames).to(total.device)
        named["calibration"] = calibration_loss(
            layers[-1].class_logits[number, candidate],
            sets.classes[number, slot],
            balance,
            losses.calibration_focus,
        )
        total = total + losses.calibration * named["calibration"]
    if losses.refinement and candidates is not None:
        if by_segment:
            event, frame = (slots[number, slot] != EMPTY).nonzero(as_tuple=True)
            places = number[event], frame, slots[number, slot][event, frame]
            candidate = candidate[event]
        else:
            frames = targets.classes.shape[1]
            places = number // frames, number % frames, slot
        named["refinement"] = _refinement_loss(candidates, targets, places, candidate, losses.refined_masks)
        total = total + losses.refinement * named["refinement"]
    return total, named


def _weights_and_costs(losses: MaskQueriesLosses, class_agnostic: bool) -> tuple[LossWeights, MatchingCosts]:
    weights = LossWeights(
        classification=0.0 if class_agnostic else losses.classification,
        bce=losses.bce,
        dice=losses.dice,
        scoring=losses.scoring,
        no_object=losses.no_object,
    )
    costs = MatchingCosts(
        classification=0.0 if class_agnostic else losses.matching.classification,
        bce=losses.matching.bce,
        dice=losses.matching.dice,
    )
    return weights, costs


def _refinement_loss(
    candidates: RefinedCandidates,
    targets: MaskTargets,
    places: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    candidate: torch.Tensor,
    most: int,
) -> torch.Tensor:
    """Return binary cross entropy plus Dice of enlarged masks, mean over their sizes.

    Args:
        candidates: whose masks are enlarged.
        targets: with masks at every size.
        places: segment, frame and target slot [m] of what is matched.
        candidate: [m] the matched query.
        most: at most so many are enlarged, evenly spread; 0: all.
    """
    if most and len(candidate) > most:
        kept = torch.linspace(0, len(candidate) - 1, most, device=candidate.device).round().long()
        places, candidate = tuple(place[kept] for place in places), candidate[kept]
    segment, frame, slot = places
    count = mean_count(torch.tensor(len(candidate), device=candidate.device))
    if not len(candidate):
        return candidates.mask_logits.sum() * 0  # connected, so that every process has gradients to share
    levels = candidates.mask_levels(torch.stack([segment, frame, candidate], dim=1))[1:]
    total = candidates.mask_logits.new_zeros(())
    for logits in levels:
        masks = targets.masks[tuple(logits.shape[-2:])][segment, frame, slot]
        total = total + bce_loss(logits, masks, count) + dice_loss(logits, masks, count)
    return total / len(levels)
