"""Losses of matched sets of masks: class, binary cross entropy, Dice, score.

Dense: every pixel of the coarse grid counts. (At 45 x 90 a mask has 4050 pixels, fewer than the 12,544 points
that Mask2Former samples.) Sums are divided by the mean count of all processes that train together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from sai_bench.training.distributed import mean_count
from sai_bench.training.mask_sets import SetPrediction, SetTargets
from sai_bench.training.matching import MatchingCosts, match, pairs_of

_TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class LossWeights:
    """Weights of the losses; those of Mask2Former. A weight of 0 leaves a loss out.

    Attributes:
        classification: of the cross entropy of the classes; 0 for class-agnostic targets.
        bce: of the binary cross entropy of the masks.
        dice: of the Dice loss of the masks.
        scoring: of the score head's loss.
        no_object: weight of an unmatched candidate within the cross entropy of the classes.
    """

    classification: float = 2.0
    bce: float = 5.0
    dice: float = 5.0
    scoring: float = 1.0
    no_object: float = 0.1


def deep_supervision_loss(
    layers: Sequence[SetPrediction],
    targets: SetTargets,
    costs: MatchingCosts | None = None,
    weights: LossWeights | None = None,
) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
    """Return the weighted losses summed over all layers, and what the last layer came to.

    Each layer's prediction is matched by itself.

    Args:
        layers: what each layer predicts, at least one, the final prediction last.
        targets: what they all should predict.
        costs: of matching, Mask2Former's if None.
        weights: of the losses, Mask2Former's if None.

    Returns:
        the sum [], the last layer's losses by name, unweighted, and its matches [n, T].
    """
    costs, weights = costs or MatchingCosts(), weights or LossWeights()
    total = torch.zeros((), device=targets.masks.device)
    for prediction in layers:
        matches = match(prediction, targets, costs)
        losses = set_losses(prediction, targets, matches, weights)
        total = total + sum(getattr(weights, name) * loss for name, loss in losses.items())
    return total, losses, matches


def set_losses(
    prediction: SetPrediction, targets: SetTargets, matches: torch.Tensor, weights: LossWeights
) -> dict[str, torch.Tensor]:
    """Return the losses that have a weight by name, each a number without that weight.

    Args:
        prediction: n sets of Q candidates.
        targets: n sets of up to T targets.
        matches: [n, T] the candidate of each target, from `match`.
        weights: which losses are wanted, and `no_object`.

    Raises:
        ValueError: the targets' masks have other axes than the prediction's.
    """
    expected = (*targets.classes.shape, *prediction.mask_logits.shape[2:])
    if tuple(targets.masks.shape) != expected:
        raise ValueError(f"targets have masks of shape {tuple(targets.masks.shape)}, expected {expected}")
    number, slot, candidate = pairs_of(matches)
    logits, masks = prediction.mask_logits[number, candidate], targets.masks[number, slot]
    count = mean_count(targets.present.sum())
    losses = {"bce": bce_loss(logits, masks, count), "dice": dice_loss(logits, masks, count)}
    if weights.classification:
        losses["classification"] = classification_loss(
            prediction.class_logits, targets.classes, matches, weights.no_object
        )
    if weights.scoring and prediction.score_logits is not None:
        losses["scoring"] = scoring_loss(prediction, targets, matches)
    return losses


def bce_loss(mask_logits: torch.Tensor, masks: torch.Tensor, count: torch.Tensor | int) -> torch.Tensor:
    """Return the binary cross entropy, mean over pixels, summed over m masks and divided by `count`.

    Args:
        mask_logits: [m, ...].
        masks: [m, ...] wanted probabilities.
        count: number of targets, not 0; m is less if targets found no candidate.
    """
    losses = F.binary_cross_entropy_with_logits(mask_logits, masks, reduction="none")
    return losses.flatten(1).mean(1).sum() / count


def dice_loss(mask_logits: torch.Tensor, masks: torch.Tensor, count: torch.Tensor | int) -> torch.Tensor:
    """Return 1 - (2 sum p m + 1) / (sum p + sum m + 1), summed over masks and divided by `count`.

    Args:
        mask_logits: [m, ...].
        masks: [m, ...] wanted probabilities.
        count: number of targets, as for `bce_loss`.
    """
    found, masks = mask_logits.sigmoid().flatten(1), masks.flatten(1)
    losses = 1 - (2 * (found * masks).sum(1) + 1) / (found.sum(1) + masks.sum(1) + 1)
    return losses.sum() / count


def classification_loss(
    class_logits: torch.Tensor, classes: torch.Tensor, matches: torch.Tensor, no_object: float
) -> torch.Tensor:
    """Return the cross entropy of the classes, a weighted mean over all candidates.

    Args:
        class_logits: [n, Q, K+1]; the last class is "no object".
        classes: [n, T] of the targets.
        matches: [n, T] the candidate of each target.
        no_object: weight of a candidate without a target; others weigh 1.
    """
    number, slot, candidate = pairs_of(matches)
    wanted = classes.new_full(class_logits.shape[:2], class_logits.shape[-1] - 1)
    wanted[number, candidate] = classes[number, slot]
    weights = class_logits.new_ones(class_logits.shape[-1])
    weights[-1] = no_object
    loss = F.cross_entropy(class_logits.flatten(0, 1), wanted.flatten(), weights, reduction="sum")
    return loss / mean_count(weights[wanted].sum(), _TINY)


def calibration_loss(
    class_logits: torch.Tensor, classes: torch.Tensor, class_weights: torch.Tensor, focus: float = 0.0
) -> torch.Tensor:
    """Return the cross entropy of the classes of matched candidates, a mean weighted by class.

    "No object" is left out: the question is which class it is, given that there is something. With a focus g
    each candidate also counts by (1 - p of its class)^g (Lin et al., 2017).

    Args:
        class_logits: [m, K+1] of matched candidates.
        classes: [m] of their targets.
        class_weights: [K], so that rare classes count.
        focus: g; 0 is the plain cross entropy.
    """
    log_p = class_logits[:, :-1].log_softmax(-1).gather(1, classes[:, None])[:, 0]
    weights = class_weights[classes]
    losses = -weights * log_p * (1 - log_p.exp()).clamp_min(0) ** focus if focus else -weights * log_p
    return losses.sum() / mean_count(weights.sum(), _TINY)


def balancing_weights(counts: Sequence[float]) -> torch.Tensor:
    """Return weights count^-0.5 relative to their mean, within 0.25 ... 4, [K] for K counts.

    A class that never occurs counts as if it had occurred once.
    """
    weights = torch.tensor(counts, dtype=torch.float32).clamp_min(1) ** -0.5
    return (weights / weights.mean()).clamp(0.25, 4.0)


def scoring_loss(prediction: SetPrediction, targets: SetTargets, matches: torch.Tensor) -> torch.Tensor:
    """Return the cross entropy of the scores with the masks' quality, mean over all candidates.

    Quality is the soft IoU of a candidate's mask with its target (as in the June metric), 0 without target.

    Args:
        prediction: n sets of Q candidates with score logits.
        targets: n sets of up to T targets.
        matches: [n, T] the candidate of each target.
    """
    number, slot, candidate = pairs_of(matches)
    quality = torch.zeros_like(prediction.score_logits)
    masks = prediction.mask_logits[number, candidate].detach().sigmoid()
    quality[number, candidate] = soft_iou(masks, targets.masks[number, slot])
    return F.binary_cross_entropy_with_logits(prediction.score_logits, quality)


def soft_iou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return sum(min) / sum(max) [m] of masks [m, ...] in [0, 1], 0 where both are empty."""
    common, union = torch.minimum(a, b).flatten(1).sum(1), torch.maximum(a, b).flatten(1).sum(1)
    return common / union.clamp_min(torch.finfo(union.dtype).tiny)
