"""What class maps should be, and how far they are from it."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from sai_bench.sphere import CLASSES
from sai_bench.training.distributed import mean_count
from sai_bench.training.mask_losses import soft_iou
from sai_bench.training.mask_sets import EMPTY

_TINY = 1e-6


def class_targets(classes: torch.Tensor, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return whether each class sounds [n, K] (0 or 1) and the union of its masks [n, K, h, w].

    Args:
        classes: [n, T] of the regions, EMPTY where there is none.
        masks: [n, T, h, w] in [0, 1]; the union takes the highest in each cell.
    """
    number = torch.where(classes == EMPTY, CLASSES, classes)  # a class of its own, dropped below
    union = masks.new_zeros(len(masks), CLASSES + 1, *masks.shape[2:])
    index = number[:, :, None, None].expand_as(masks)
    union = union.scatter_reduce(1, index, masks, "amax")[:, :CLASSES]
    sounds = (
        F.one_hot(number, CLASSES + 1).amax(1)[:, :CLASSES] if classes.shape[1] else union.flatten(2).amax(2)
    )
    return sounds.to(masks.dtype), union


def map_loss(logits: torch.Tensor, targets: torch.Tensor, exponent: float) -> torch.Tensor:
    """Return the cross entropy weighted by |y - p|^exponent, over the sum of the targets.

    The weights (without gradient) let the many easy empty cells count little: a focal loss for targets in
    [0, 1] (Li et al., "Generalized Focal Loss", NeurIPS 2020, equation 4).

    Args:
        logits: [m, ...] of the maps of classes that sound.
        targets: [m, ...] in [0, 1].
        exponent: 0 weighs all cells alike.
    """
    losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    weights = (targets - logits.detach().sigmoid()).abs() ** exponent
    return (weights * losses).sum() / mean_count(targets.sum())


def place_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the cross entropy between a map's softmax and its target scaled to sum 1, mean over m maps.

    Args:
        logits: [m, h, w].
        targets: [m, h, w].
    """
    wanted = targets.flatten(1)
    wanted = wanted / wanted.sum(1, keepdim=True).clamp_min(_TINY)
    losses = -(wanted * logits.flatten(1).log_softmax(1)).sum(1)
    return losses.sum() / _count(logits)


def dice_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return 1 - (2 sum p y + 1) / (sum p + sum y + 1), mean over m maps [m, h, w]."""
    found, wanted = logits.sigmoid().flatten(1), targets.flatten(1)
    losses = 1 - (2 * (found * wanted).sum(1) + 1) / (found.sum(1) + wanted.sum(1) + 1)
    return losses.sum() / _count(logits)


def shape_loss(mask_logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return 1 - soft IoU of masks and targets [m, h, w], each scaled to peak 1, mean over m masks.

    As the June metric measures it, where the peak of a mask does not matter.
    """
    losses = 1 - soft_iou(to_peak_one(mask_logits.sigmoid()), to_peak_one(targets))
    return losses.sum() / _count(mask_logits)


def quality_loss(logits: torch.Tensor, quality: torch.Tensor, exist: torch.Tensor) -> torch.Tensor:
    """Return the cross entropy of score logits [n, R] with quality in [0, 1], mean over those that exist."""
    losses = F.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return (losses * exist).sum() / mean_count(exist.sum())


def qualities(
    masks: torch.Tensor, classes: torch.Tensor, targets: torch.Tensor, target_classes: torch.Tensor
) -> torch.Tensor:
    """Return the best soft IoU [n, R] of each candidate with a target of its class, 0 if there is none.

    Args:
        masks: [n, R, h, w] of the candidates.
        classes: [n, R].
        targets: [n, T, h, w].
        target_classes: [n, T], EMPTY where there is none.
    """
    best = masks.new_zeros(classes.shape)
    masks = to_peak_one(masks.flatten(0, 1)).view_as(masks)
    targets = to_peak_one(targets.flatten(0, 1)).view_as(targets)
    for number in range(targets.shape[1]):
        frame, candidate = (classes == target_classes[:, number, None]).nonzero(as_tuple=True)
        iou = soft_iou(masks[frame, candidate], targets[frame, number])
        best[frame, candidate] = torch.maximum(best[frame, candidate], iou)
    return best


def to_peak_one(masks: torch.Tensor) -> torch.Tensor:
    """Return masks [m, h, w] scaled to peak 1; empty ones stay empty."""
    return masks / masks.flatten(1).amax(1).clamp_min(_TINY)[:, None, None]


def _count(maps):
    return mean_count(torch.tensor(len(maps), device=maps.device))
