"""Config models of the built-in fusion rules."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sai_bench.config import ComponentConfig


class NoFusionConfig(ComponentConfig):
    """No fusion has no keys."""


class PowerConfig(ComponentConfig):
    """Keys of s * p^alpha."""

    alpha: float = Field(default=0.5, ge=0)
    """Strength of the prior (no unit): 0 ignores it, 0.5 is the report's value, 1 multiplies the two."""


class LogOddsConfig(ComponentConfig):
    """Keys of the weighted sum of log odds."""

    score_weight: float = Field(default=1.0, gt=0, le=100)
    """Weight of the detector's log odds (no unit)."""

    alpha: float = Field(default=0.5, ge=0, le=100)
    """Weight of the prior's log odds (no unit): 0 ignores it."""

    neutral_activity: float = Field(default=0.5, gt=0, lt=1)
    """Activity that says nothing: above it a score rises, below it falls. For a calibrated prior this is how
    often a class sounds at all."""

    activity_margin: float = Field(default=1e-3, gt=0, lt=0.5)
    """Activities are kept this far from 0 and 1, so that the prior alone never settles a score."""

    @model_validator(mode="after")
    def _neutral_activity_is_reached(self) -> LogOddsConfig:
        if not self.activity_margin <= self.neutral_activity <= 1 - self.activity_margin:
            raise ValueError(
                f"neutral_activity = {self.neutral_activity:g} lies within activity_margin = "
                f"{self.activity_margin:g} of 0 or 1, where no activity is; lower the margin"
            )
        return self


class GeometricConfig(ComponentConfig):
    """Keys of the weighted geometric mean."""

    weight: float = Field(default=0.5, ge=0, le=1)
    """Share of the prior (no unit): 0 leaves the scores alone, 1 replaces them by the activity."""


class RankAverageConfig(ComponentConfig):
    """Keys of the average of ranks."""

    weight: float = Field(default=0.5, ge=0, le=1)
    """Share of the prior's ranks (no unit): 0 orders by score alone, 1 by activity alone."""

    scale: Literal["scores", "ranks"] = "scores"
    """What is returned. `scores`: the recording's detector scores, dealt out anew in the new order, so that
    thresholds and other recordings compare as before. `ranks`: the average rank itself, spread evenly over
    0 ... 1 in every recording, whether it has anything in it or not."""


class NoisyOrConfig(ComponentConfig):
    """Keys of the noisy or."""

    strength: float = Field(default=0.5, ge=0, le=1)
    """Probability that an active class makes a candidate true (no unit): 0 leaves the scores alone, 1 is the
    plain or of independent events."""


class PresenceConfig(ComponentConfig):
    """Keys of the score times the class's presence in the whole recording."""

    alpha: float = Field(default=1.0, ge=0)
    """Strength of the presence (no unit): 0 ignores it, 1 multiplies the two."""

    top_share: float = Field(default=0.1, ge=0, le=1)
    """Share of the recording's frames, those with the highest activity, whose mean is the presence. At least
    one frame counts: 0 takes the maximum, 1 the mean over the whole recording."""
