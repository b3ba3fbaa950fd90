"""Config models of the built-in front ends."""

from __future__ import annotations

from pydantic import Field, model_validator

from sai_bench.config import FrontEndConfig
from sai_bench.interfaces import FeatureSpec

_FRAMES_PER_S = 10


class StftConfig(FrontEndConfig):
    """Short-time Fourier transform with a Hann window as long as the FFT."""

    sample_rate_hz: int = Field(24000, ge=1000, le=192000, multiple_of=_FRAMES_PER_S)
    """Rate that the waveform is brought to, in Hz."""

    n_fft: int = Field(1024, ge=16, le=65536)
    """FFT and window length in samples."""

    hop_samples: int = Field(480, ge=1)
    """Distance of neighbouring STFT frames in samples; a label frame (0.1 s) must hold whole hops."""

    @model_validator(mode="after")
    def _hops_fill_label_frames(self) -> StftConfig:
        label_frame = self.sample_rate_hz // _FRAMES_PER_S
        if label_frame % self.hop_samples:
            raise ValueError(
                f"hop_samples = {self.hop_samples} does not divide a label frame of 0.1 s = {label_frame} "
                f"samples; choose a divisor such as {_closest_divisor(label_frame, self.hop_samples)}"
            )
        if self.hop_samples > self.n_fft:
            raise ValueError(
                f"hop_samples = {self.hop_samples} skips samples: it exceeds the window, n_fft = {self.n_fft}"
            )
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


def _closest_divisor(number: int, wanted: int) -> int:
    divisors = (d for d in range(1, number + 1) if number % d == 0)
    return min(divisors, key=lambda divisor: abs(divisor - wanted))
