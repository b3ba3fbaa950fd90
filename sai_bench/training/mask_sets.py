"""Predicted and wanted sets of masks: a set belongs to a frame, or to a whole segment."""

from __future__ import annotations

from dataclasses import dataclass

import torch

EMPTY = -1
"""Class of a target slot that holds no target."""


@dataclass(frozen=True)
class SetPrediction:
    """What one layer of a decoder predicts for n sets of Q candidates.

    Attributes:
        class_logits: [n, Q, K+1] float32; the last class is "no object".
        mask_logits: [n, Q, ...] float32, pixels in any further axes.
        score_logits: [n, Q] float32 before the sigmoid; None without a score head.
    """

    class_logits: torch.Tensor
    mask_logits: torch.Tensor
    score_logits: torch.Tensor | None = None


@dataclass(frozen=True)
class SetTargets:
    """What the n sets should hold.

    Attributes:
        classes: [n, T] integers in [0, K), EMPTY in slots without a target (sets differ in size).
        masks: [n, T, ...] float32 in [0, 1], pixels in the same axes as the prediction's.
    """

    classes: torch.Tensor
    masks: torch.Tensor

    @property
    def present(self) -> torch.Tensor:
        """Return which slots hold a target, [n, T] bool."""
        return self.classes != EMPTY
