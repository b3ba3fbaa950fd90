"""Config model of what `mask_queries` is trained with."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from sai_bench.config import ComponentConfig, LossConfig
from sai_bench.grid import CLASSES

_Frames = Annotated[float, Field(ge=0)]

_FRAMES_IN_THE_WILD = (
    45691.0, 50198.0, 877.0, 1502.0, 5023.0, 30488.0, 2988.0, 859.0, 39702.0, 4065.0, 843.0, 765.0, 57.0,
)  # fmt: skip

_Weight = Annotated[float, Field(ge=0, le=1000)]


class MatchingCostsConfig(ComponentConfig):
    """Which target a candidate answers for: the assignment of least cost. Weights of the cost's terms."""

    classification: _Weight = 2.0
    """Of minus the probability of the target's class; left out for class-agnostic targets."""

    bce: _Weight = 5.0
    """Of the masks' binary cross entropy."""

    dice: _Weight = 5.0
    """Of the masks' Dice loss."""


class MaskQueriesLosses(LossConfig):
    """Losses of matched sets of masks (report, Table 1); the default weights are those of Mask2Former."""

    loss_weights = ("classification", "bce", "dice", "scoring", "refinement", "calibration")

    matching: MatchingCostsConfig = MatchingCostsConfig()
    """Costs of the assignment of candidates to targets."""

    classification: _Weight = 2.0
    """Weight of the classes' cross entropy; left out for class-agnostic targets."""

    no_object: _Weight = 0.1
    """Weight of a candidate without a target within the classes' cross entropy."""

    bce: _Weight = 5.0
    """Weight of the masks' binary cross entropy."""

    dice: _Weight = 5.0
    """Weight of the masks' Dice loss."""

    scoring: _Weight = 1.0
    """Weight of the score head's loss: candidate scoring. The score learns to predict the mask's soft IoU
    with its target, 0 for a candidate without one. Nothing without a score head."""

    refinement: _Weight = 5.0
    """Weight of the mask refinement loss: binary cross entropy and Dice of the enlarged masks of matched
    candidates, mean over the sizes. Nothing without a learned refinement."""

    refined_masks: int = Field(0, ge=0)
    """At most so many matched masks of a batch are enlarged for that loss, evenly spread; 0: all. Enlarging
    costs time and memory."""

    calibration: _Weight = 0.0
    """Weight of the class calibration loss: cross entropy among the classes alone, of matched candidates,
    weighted so that rare classes count."""

    calibration_focus: float = Field(0.0, ge=0, le=5)
    """Exponent of the focal loss in class calibration (candidates that are right already count less); 0: the
    balanced cross entropy."""

    class_frames: tuple[_Frames, ...] = _FRAMES_IN_THE_WILD
    """How often each of the 13 classes occurs in training; class calibration weighs them by count^-0.5
    relative to the mean, within 0.25 ... 4. Default: frames in STAIRS26's training recordings."""

    deep_supervision: bool = True
    """Whether the prediction of every layer is supervised, or the last one alone."""

    @field_validator("class_frames")
    @classmethod
    def _one_count_a_class(cls, counts: tuple[float, ...]) -> tuple[float, ...]:
        if len(counts) != CLASSES:
            raise ValueError(f"{len(counts)} counts, expected one for each of the {CLASSES} classes")
        return counts
