"""Config models of the built-in fusion rules."""

from __future__ import annotations

from pydantic import Field

from sai_bench.config import ComponentConfig


class NoFusionConfig(ComponentConfig):
    """No fusion has no keys."""


class PowerConfig(ComponentConfig):
    """Keys of s * p^alpha."""

    alpha: float = Field(default=0.5, ge=0)
    """Strength of the prior (no unit): 0 ignores it, 0.5 is the report's value, 1 multiplies the two."""
