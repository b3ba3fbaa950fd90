"""Config models of the built-in backbones."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from sai_bench.config import BackboneConfig
from sai_bench.errors import WiringError
from sai_bench.interfaces import FeatureSpec, SphereSpec

_FRAMES_PER_S = 10


class SteeredPowerConfig(BackboneConfig):
    """SRP-PHAT on a grid of directions, one map per label frame."""

    grid_height: int = Field(36, ge=4, le=180)
    """Rows of the grid; must divide 180."""

    grid_width: int = Field(72, ge=4, le=360)
    """Columns of the grid; must divide 360."""

    min_hz: float = Field(300.0, ge=0)
    """Lowest frequency used, in Hz."""

    max_hz: float = Field(7000.0, gt=0)
    """Highest frequency used, in Hz."""

    magnitude_exponent: float = Field(0.75, ge=0, le=2)
    """Weight of a time-frequency bin as a power of its magnitude: 0 is the pure phase transform, where every
    bin counts the same; above 0, bins that stand out of the noise count more."""

    onset_memory_s: float = Field(0.1, ge=0, le=2)
    """How far back a bin looks, in seconds: only what exceeds the loudest of that time counts in full, the
    rest (steady or dying away, mostly reverberation) counts 3%. 0 counts everything."""

    smoothing_frames: int = Field(3, ge=0, le=50)
    """Label frames (0.1 s) on either side over which maps are averaged, with weights that fall linearly."""

    @field_validator("grid_height")
    @classmethod
    def _height_divides_image(cls, height: int) -> int:
        # Imported here because the module brings NumPy, which listing components does without.
        from sai_bench.sphere import COLUMNS, check_grid

        check_grid(height, COLUMNS)
        return height

    @field_validator("grid_width")
    @classmethod
    def _width_divides_image(cls, width: int) -> int:
        from sai_bench.sphere import ROWS, check_grid

        check_grid(ROWS, width)
        return width

    @model_validator(mode="after")
    def _band_is_not_empty(self) -> SteeredPowerConfig:
        if self.min_hz >= self.max_hz:
            raise ValueError(f"min_hz = {self.min_hz:g} is not below max_hz = {self.max_hz:g}")
        return self

    def output(self, features: FeatureSpec) -> SphereSpec:
        """Return the map that this backbone makes of a complex spectrum.

        Raises:
            WiringError: the features are no complex spectrum, their frames do not fill label frames, or no
                bin lies in the band.
        """
        if features.representation != "complex_spectrum":
            raise WiringError(
                "steered_power needs features of representation 'complex_spectrum', got "
                f"'{features.representation}'. Use a front end such as 'stft'."
            )
        if features.sample_rate_hz % (_FRAMES_PER_S * features.hop_samples):
            raise WiringError(
                f"steered_power needs whole hops in a label frame of 0.1 s, got a hop of "
                f"{features.hop_samples} samples at {features.sample_rate_hz} Hz. Choose a hop that divides "
                f"{features.sample_rate_hz / _FRAMES_PER_S:g} samples."
            )
        if not len(self.bins(features)):
            raise WiringError(
                f"steered_power: no frequency bin lies in {self.min_hz:g} ... {self.max_hz:g} Hz; the "
                f"bins are {features.sample_rate_hz / features.n_fft:g} Hz apart and end at "
                f"{features.sample_rate_hz / 2:g} Hz. Widen min_hz ... max_hz or raise n_fft."
            )
        return SphereSpec("steered_power", channels=1, height=self.grid_height, width=self.grid_width)

    def bins(self, features: FeatureSpec) -> range:
        """Return the frequency bins of `features` that lie within min_hz ... max_hz."""
        spacing_hz = features.sample_rate_hz / features.n_fft
        inside = [f for f in range(features.bins) if self.min_hz <= f * spacing_hz <= self.max_hz]
        return range(inside[0], inside[-1] + 1) if inside else range(0)
