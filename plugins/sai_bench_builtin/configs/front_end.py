"""Config models of the built-in front ends."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sai_bench.config import FrontEndConfig
from sai_bench.grid import FRAMES_PER_S
from sai_bench.interfaces import FeatureSpec


class StftConfig(FrontEndConfig):
    """Short-time Fourier transform with a Hann window as long as the FFT."""

    sample_rate_hz: int = Field(24000, ge=1000, le=192000, multiple_of=FRAMES_PER_S)
    """Rate that the waveform is brought to, in Hz."""

    n_fft: int = Field(1024, ge=16, le=65536)
    """FFT and window length in samples."""

    hop_samples: int = Field(480, ge=1)
    """Distance of neighbouring STFT frames in samples; a label frame (0.1 s) must hold whole hops."""

    @model_validator(mode="after")
    def _hops_fill_label_frames(self) -> StftConfig:
        _check_hop(self.sample_rate_hz, self.n_fft, self.hop_samples)
        return self

    def output(self) -> FeatureSpec:
        """Return the complex spectrum that this front end produces."""
        return FeatureSpec(
            representation="complex_spectrum",
            sample_rate_hz=self.sample_rate_hz,
            n_fft=self.n_fft,
            hop_samples=self.hop_samples,
            bins=self.n_fft // 2 + 1,
            first_centre_samples=self.hop_samples // 2,
        )


class CentredStftConfig(FrontEndConfig):
    """Grid of a centred short-time Fourier transform: what the front ends of magnitudes and phases share."""

    sample_rate_hz: int = Field(48000, ge=1000, le=192000, multiple_of=FRAMES_PER_S)
    """Rate that the waveform is brought to, in Hz."""

    n_fft: int = Field(2048, ge=16, le=65536, multiple_of=2)
    """FFT and Hann window length in samples. The first n_fft / 2 bins are used, the one at half the sample
    rate is dropped."""

    hop_samples: int = Field(480, ge=1)
    """Distance of neighbouring STFT frames in samples; a label frame (0.1 s) must hold whole hops."""

    edges: Literal["zeros", "reflect"] = "zeros"
    """What windows that reach beyond the segment find there. `reflect` mirrors the waveform, which keeps the
    level, but in a frame centred on the edge it leaves no phase but 0 and 180 degrees, hence no direction."""

    pad_bins_to: int | None = Field(None, ge=1, le=65536)
    """Number of bins to show, for a lower `sample_rate_hz` on the grid of a higher one, q = pad_bins_to /
    (n_fft / 2) times as high: bins above half the sample rate are silent, and magnitudes are multiplied by q,
    as they would be there. Nothing is padded or multiplied where it is left out."""

    frame_multiple: int = Field(2, ge=1, le=64)
    """The last STFT frame is repeated until the number of frames is a multiple of this."""

    magnitude_floor: float = Field(1e-5, gt=0)
    """Least magnitude before the logarithm (full scale 1, window not normalised)."""

    phase_floor: float = Field(0.0, ge=0)
    """A bin of at most this magnitude is silent: sine 0, cosine 1. With 0 only a magnitude of exactly 0 is,
    and the phases of rounding noise count as phases."""

    @property
    def bins_computed(self) -> int:
        """Return how many bins the transform gives: those below half the sample rate."""
        return self.n_fft // 2

    @property
    def bins(self) -> int:
        """Return how many bins the features have."""
        return self.pad_bins_to or self.bins_computed

    @model_validator(mode="after")
    def _grid_fits(self) -> CentredStftConfig:
        _check_hop(self.sample_rate_hz, self.n_fft, self.hop_samples)
        if self.bins < self.bins_computed:
            raise ValueError(
                f"pad_bins_to = {self.bins} is less than the {self.bins_computed} bins that n_fft = "
                f"{self.n_fft} gives; raise it or leave it out"
            )
        return self

    def _features(self, representation: str, microphones: int, channels: int) -> FeatureSpec:
        return FeatureSpec(
            representation=representation,
            sample_rate_hz=self.sample_rate_hz,
            n_fft=self.n_fft,
            hop_samples=self.hop_samples,
            bins=self.bins,
            first_centre_samples=0,
            channels=channels,
            microphones=microphones,
        )


class StftLogMagnitudePhaseConfig(CentredStftConfig):
    """The report's features. Defaults as in the report: 2 s of 4 microphones at 48 kHz give 12 x 202 x 1024.

    The same grid at half the cost, for 24 kHz recordings: `sample_rate_hz: 24000, n_fft: 1024,
    hop_samples: 240, pad_bins_to: 1024`.
    """

    microphones: int = Field(4, ge=1, le=64)
    """Number M of microphones; the features have 3 M channels."""

    def output(self) -> FeatureSpec:
        """Return the features: all log magnitudes, then all sines, then all cosines."""
        return self._features("log_magnitude_phase", self.microphones, channels=3 * self.microphones)


class StftPhaseDifferenceConfig(CentredStftConfig):
    """Log magnitudes of M microphones and phase differences of P pairs: M + 2 P channels."""

    microphones: int = Field(4, ge=2, le=64)
    """Number M of microphones."""

    pairs: Literal["all", "reference"] = "all"
    """`all`: every pair, P = M (M - 1) / 2. `reference`: every other microphone against one, P = M - 1."""

    reference_microphone: int = Field(0, ge=0)
    """The one that `pairs: reference` compares with, counted from 0."""

    @model_validator(mode="after")
    def _reference_exists(self) -> StftPhaseDifferenceConfig:
        if self.reference_microphone >= self.microphones:
            raise ValueError(
                f"reference_microphone = {self.reference_microphone} does not exist: with microphones = "
                f"{self.microphones} they are 0 ... {self.microphones - 1}"
            )
        return self

    @property
    def microphone_pairs(self) -> list[tuple[int, int]]:
        """Return (i, j) of each pair in channel order; its phase is that of j minus that of i."""
        everyone = range(self.microphones)
        if self.pairs == "reference":
            reference = self.reference_microphone
            return [(reference, j) for j in everyone if j != reference]
        return [(i, j) for i in everyone for j in everyone if i < j]

    def output(self) -> FeatureSpec:
        """Return the features: all log magnitudes, then the sines of all pairs, then their cosines."""
        channels = self.microphones + 2 * len(self.microphone_pairs)
        return self._features("phase_difference", self.microphones, channels)


def _check_hop(sample_rate_hz: int, n_fft: int, hop_samples: int) -> None:
    """Raise ValueError unless whole hops fill a label frame and windows leave no gap."""
    label_frame = sample_rate_hz // FRAMES_PER_S
    if label_frame % hop_samples:
        raise ValueError(
            f"hop_samples = {hop_samples} does not divide a label frame of 0.1 s = {label_frame} "
            f"samples; choose a divisor such as {_closest_divisor(label_frame, hop_samples)}"
        )
    if hop_samples > n_fft:
        raise ValueError(f"hop_samples = {hop_samples} skips samples: it exceeds the window, n_fft = {n_fft}")


def _closest_divisor(number: int, wanted: int) -> int:
    divisors = (d for d in range(1, number + 1) if number % d == 0)
    return min(divisors, key=lambda divisor: abs(divisor - wanted))
