"""Config models of the built-in metrics."""

from __future__ import annotations

from pydantic import Field

from sai_bench.config import ComponentConfig


class AprilConfig(ComponentConfig):
    """Config of `dcase2026_april`; the defaults are the evaluator's."""

    sigma_deg: float = Field(6.0, gt=0, le=45)
    """Width (standard deviation) of the Gaussian that each point is drawn with, in degrees."""

    energy_threshold: float = Field(0.10, gt=0, le=1)
    """A region is where its energy map reaches this fraction of its own peak."""


class JuneConfig(ComponentConfig):
    """Config of `dcase2026_june`: nothing can be set."""
