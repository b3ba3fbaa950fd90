"""Config models of the built-in decoders."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sai_bench.config import DecoderConfig
from sai_bench.errors import WiringError
from sai_bench.interfaces import CandidateSpec, SphereSpec

_CLASSES = 13


class PeakRegionsConfig(DecoderConfig):
    """Regions around the local maxima of a steered power map."""

    peaks: int = Field(3, ge=1, le=32)
    """Most regions in a frame, strongest first."""

    min_separation_deg: float = Field(25.0, gt=0, le=180)
    """Least angle between two peaks of a frame, in degrees; the weaker one is dropped."""

    shape: Literal["disc", "region"] = "disc"
    """`disc`: a round blob of fixed width at the refined peak. `region`: the cells around the peak that
    exceed `region_fraction` of it, with the energy of the map."""

    disc_width_deg: float = Field(5.0, gt=0, le=60)
    """Standard deviation of the Gaussian energy of a disc, in degrees."""

    region_fraction: float = Field(0.75, ge=0, lt=1)
    """Cells below this fraction of the peak, both counted from the map's mean, lie outside the region."""

    region_radius_deg: float = Field(10.0, gt=0, le=180)
    """Cells further than this from the peak lie outside the region, in degrees."""

    contrast_at_zero: float = Field(0.03, ge=0, lt=1)
    """Steered power of a peak above the map's mean at which its score is 0 (noise)."""

    contrast_at_one: float = Field(0.6, gt=0, le=2)
    """Steered power of a peak above the map's mean from which its score is 1."""

    dominance_exponent: float = Field(2.0, ge=0, le=10)
    """Weaker peaks of a frame are often echoes or side lobes of the strongest: a score is multiplied by the
    ratio of the peak's height to the strongest one's, to this power. 0 takes each peak as it is."""

    @model_validator(mode="after")
    def _scores_rise(self) -> PeakRegionsConfig:
        if self.contrast_at_zero >= self.contrast_at_one:
            raise ValueError(
                f"contrast_at_zero = {self.contrast_at_zero:g} is not below "
                f"contrast_at_one = {self.contrast_at_one:g}"
            )
        return self

    def output(self, sphere: SphereSpec) -> CandidateSpec:
        """Return the candidates: one per region and class.

        Raises:
            WiringError: the map is not steered power.
        """
        if sphere.representation != "steered_power" or sphere.channels != 1:
            raise WiringError(
                "peak_regions needs one channel of representation 'steered_power', got "
                f"{sphere.channels} of '{sphere.representation}'. Use a backbone such as 'steered_power'."
            )
        return CandidateSpec(
            masks=self.peaks,
            candidates=self.peaks * _CLASSES,
            height=sphere.height,
            width=sphere.width,
        )
