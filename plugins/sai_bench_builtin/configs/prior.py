"""Config models of the built-in priors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sai_bench.config import ComponentConfig


class UniformConfig(ComponentConfig):
    """Keys of the prior that knows nothing."""

    probability: float = Field(default=1.0, ge=0, le=1)
    """Activity of every class in every frame (probability); 1 makes fusion leave the scores alone."""


class LogMelLinearConfig(ComponentConfig):
    """Keys of the logistic regression on pooled log-mel statistics."""

    sample_rate_hz: int = Field(default=24000, ge=1000, multiple_of=50)
    """Rate that recordings are resampled to (Hz); a multiple of the 50 STFT frames a second."""

    n_fft: int = Field(default=1024, ge=64)
    """Length of the Hann window and of the FFT in samples; the hop is always 20 ms."""

    mel_bands: int = Field(default=40, ge=4, le=256)
    """Number of mel bands."""

    f_min_hz: float = Field(default=50.0, ge=0)
    """Lower edge of the lowest band (Hz)."""

    f_max_hz: float = Field(default=12000.0, gt=0)
    """Upper edge of the highest band (Hz), at most half the sample rate."""

    channels: Literal["power", "mean"] = "power"
    """How microphones become one: mean of their power spectra, or mean of their waveforms (as in the report),
    which cancels high frequencies between the capsules."""

    max_channels: int = Field(default=4, ge=1)
    """At most this many microphones are used, evenly spread over the channels of a larger array."""

    power_floor: float = Field(default=1e-7, gt=0)
    """Added to the mel power (full scale 1) before the logarithm, so that digital silence stays finite."""

    level_free: bool = True
    """Whether each recording's mean log power is taken off, so that its gain does not matter."""

    window_s: float = Field(default=1.0, ge=0.1, le=10)
    """Length of the long pooling window around each label frame (s)."""

    short_window_s: float = Field(default=0.3, ge=0.1, le=10)
    """Length of the short pooling window around each label frame (s)."""

    l2: float = Field(default=1e-2, gt=0)
    """Weight of half the squared coefficients beside the mean log loss (features standardised)."""

    class_balance: float = Field(default=0.0, ge=0, le=1)
    """Positive frames weigh (negatives / positives)^class_balance: 0 keeps probabilities calibrated, 1 makes
    rare classes as loud as frequent ones."""

    fit_frame_step: int = Field(default=2, ge=1)
    """Every how many label frames one is learned from; neighbours share most of their window."""

    iterations: int = Field(default=60, ge=1)
    """Most L-BFGS iterations."""

    @model_validator(mode="after")
    def _window_covers_the_hop(self) -> LogMelLinearConfig:
        hop_samples = self.sample_rate_hz // 50
        if self.n_fft < hop_samples:
            raise ValueError(
                f"n_fft = {self.n_fft} is shorter than the hop of 20 ms = {hop_samples} samples: sound "
                "between windows would not be heard"
            )
        return self

    @model_validator(mode="after")
    def _bands_fit_the_rate(self) -> LogMelLinearConfig:
        if not self.f_min_hz < self.f_max_hz <= self.sample_rate_hz / 2:
            raise ValueError(
                f"expected f_min_hz < f_max_hz <= sample_rate_hz / 2 = {self.sample_rate_hz / 2:g}, got "
                f"f_min_hz = {self.f_min_hz:g}, f_max_hz = {self.f_max_hz:g}"
            )
        return self
