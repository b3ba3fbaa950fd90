"""Components that exist only as config models: a single-file plugin for the tests of specs."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

import sai_bench
from sai_bench.config import (
    BackboneConfig,
    ComponentConfig,
    DecoderConfig,
    FrontEndConfig,
    LossConfig,
    SpecPath,
)
from sai_bench.errors import WiringError
from sai_bench.interfaces import CandidateSpec, FeatureSpec, SphereSpec


class WindowConfig(FrontEndConfig):
    window_ms: float = Field(20.0, gt=0, le=1000)
    """Window length in milliseconds."""

    taper: Literal["hann", "hamming", "off"] = "hann"

    def output(self) -> FeatureSpec:
        return FeatureSpec("complex_spectrum", 24000, 512, 240, 257)


class MelConfig(FrontEndConfig):
    bands: int = 64

    def output(self) -> FeatureSpec:
        return FeatureSpec("log_mel", 24000, 512, 240, self.bands)


class PowerMapConfig(BackboneConfig):
    smoothing_s: float = Field(0.1, ge=0)

    def output(self, features: FeatureSpec) -> SphereSpec:
        if features.representation != "complex_spectrum":
            raise WiringError(f"takes complex_spectrum, got {features.representation}. Use front end window.")
        return SphereSpec("steered_power", 1, 18, 36)


class PeaksLosses(LossConfig):
    loss_weights = ("dice", "score")

    dice: float = Field(5.0, ge=0)
    """Weight of the Dice loss."""

    score: float = Field(0.0, ge=0)

    width_deg: float = Field(1.0, ge=0)


class PeaksConfig(DecoderConfig):
    learned = True
    losses = PeaksLosses

    masks: int = Field(4, ge=1)

    def output(self, sphere: SphereSpec) -> CandidateSpec:
        return CandidateSpec(self.masks, 13 * self.masks, sphere.height, sphere.width)


class FixedPeaksConfig(DecoderConfig):
    def output(self, sphere: SphereSpec) -> CandidateSpec:
        return CandidateSpec(4, 52, sphere.height, sphere.width)


class SilentDecoderConfig(DecoderConfig):
    pass


class FlatConfig(ComponentConfig):
    pass


class Layer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    width: int = 8
    rate: float | Literal["auto"] = "auto"


class LearnedConfig(ComponentConfig):
    weights: SpecPath | None = None
    layers: tuple[Layer, ...] = ()
    names: frozenset[str] = frozenset()
    gains: dict[int, float] = Field({})
    window: tuple[int, int, int] = (1, 2, 1)

    @field_validator("gains")
    @classmethod
    def _not_too_many(cls, gains):
        if len(gains) > 3:
            raise ValueError("at most three gains")
        return gains


class ExponentConfig(ComponentConfig):
    alpha: float = Field(0.5, ge=0, le=1)
    floor: float = 0.0


class WeightedConfig(ComponentConfig):
    weight: float


class FaultyConfig(ComponentConfig):
    mode: str = "a"

    @field_validator("mode")
    @classmethod
    def _fail(cls, mode):
        raise RuntimeError("a bug of the plugin")


class FolderConfig(ComponentConfig):
    folder: SpecPath
    recordings: int = Field(4, ge=1)


COMPONENTS = {
    ("front_end", "window"): WindowConfig,
    ("front_end", "mel"): MelConfig,
    ("backbone", "power_map"): PowerMapConfig,
    ("decoder", "peaks"): PeaksConfig,
    ("decoder", "fixed_peaks"): FixedPeaksConfig,
    ("decoder", "silent"): SilentDecoderConfig,
    ("prior", "flat"): FlatConfig,
    ("prior", "learned"): LearnedConfig,
    ("fusion", "exponent"): ExponentConfig,
    ("fusion", "weighted"): WeightedConfig,
    ("fusion", "faulty"): FaultyConfig,
    ("compressor", "keep"): FlatConfig,
    ("dataset", "rooms"): FolderConfig,
    ("metric", "april"): FlatConfig,
    ("metric", "june"): ExponentConfig,
}


@sai_bench.hookimpl
def sai_bench_register(register):
    for (kind, name), config in COMPONENTS.items():
        register.component(kind, name, "no_such_module:Thing", config=config, summary=f"fake {name}")
