"""Config models of the built-in priors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sai_bench.config import ComponentConfig, SpecFile
from sai_bench.grid import FRAMES_PER_S
from sai_bench_builtin.priors.audiomae.patch_grid import PATCH, SAMPLE_RATE_HZ, TIME_PATCHES, fbank_frames


class UniformConfig(ComponentConfig):
    """Keys of the prior that knows nothing."""

    probability: float = Field(default=1.0, ge=0, le=1)
    """Activity of every class in every frame (probability); 1 makes fusion leave the scores alone."""


class LogMelConfig(ComponentConfig):
    """Keys of the log-mel spectrogram that several priors share."""

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

    @model_validator(mode="after")
    def _window_covers_the_hop(self) -> LogMelConfig:
        hop_samples = self.sample_rate_hz // 50
        if self.n_fft < hop_samples:
            raise ValueError(
                f"n_fft = {self.n_fft} is shorter than the hop of 20 ms = {hop_samples} samples: sound "
                "between windows would not be heard"
            )
        return self

    @model_validator(mode="after")
    def _bands_fit_the_rate(self) -> LogMelConfig:
        if not self.f_min_hz < self.f_max_hz <= self.sample_rate_hz / 2:
            raise ValueError(
                f"expected f_min_hz < f_max_hz <= sample_rate_hz / 2 = {self.sample_rate_hz / 2:g}, got "
                f"f_min_hz = {self.f_min_hz:g}, f_max_hz = {self.f_max_hz:g}"
            )
        return self


class LogMelLinearConfig(LogMelConfig):
    """Keys of the logistic regression on pooled log-mel statistics."""

    not_in_weights = frozenset({"l2", "class_balance", "fit_frame_step", "iterations"})

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


class LogMelCnnConfig(LogMelConfig):
    """Keys of the small convolutional network on the log-mel spectrogram."""

    not_in_weights = frozenset({"dropout", "steps", "batch_size", "crop_s", "learning_rate", "weight_decay"})

    mel_bands: int = Field(default=64, ge=8, le=256)
    """Number of mel bands."""

    channels_first: int = Field(default=16, ge=1, le=256)
    """Feature maps of the first convolution; the second has twice, the third four times as many."""

    dilations: tuple[int, ...] = (1, 2, 4)
    """Dilation of each temporal convolution, in label frames: together they reach sum(dilations) frames to
    either side."""

    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Share of the features left out at random while learning."""

    steps: int = Field(default=800, ge=1)
    """Steps of AdamW."""

    batch_size: int = Field(default=16, ge=1)
    """Crops in a step."""

    crop_s: float = Field(default=5.0, ge=0.5, le=60)
    """Length of a crop (s), rounded to whole label frames."""

    learning_rate: float = Field(default=2e-3, gt=0)
    """Of AdamW at the first step; falls to 0 along a cosine."""

    weight_decay: float = Field(default=1e-2, ge=0)
    """Of AdamW."""

    @model_validator(mode="after")
    def _dilations_are_positive(self) -> LogMelCnnConfig:
        if any(dilation < 1 for dilation in self.dilations):
            raise ValueError(f"dilations = {list(self.dilations)}: expected whole numbers from 1 on")
        return self


class LabelFrequencyConfig(ComponentConfig):
    """Keys of the prior that only counts labels."""

    not_in_weights = frozenset({"pseudo_frames"})  # the weights are the counts

    pseudo_frames: float = Field(default=0.5, ge=0)
    """Imagined active frames of each class, and as many inactive ones, added to the counts; with 0 a class
    that never sounds has probability 0, and fusion may silence it for good."""


class OracleConfig(ComponentConfig):
    """Keys of the prior that reads the labels."""

    active: float = Field(default=1.0, ge=0, le=1)
    """Probability of a class in the frames in which it is labelled."""

    inactive: float = Field(default=0.0, ge=0, le=1)
    """Probability of a class in all other frames."""


class AudioMaeConfig(ComponentConfig):
    """Keys of the frozen AudioMAE encoder with a trained head (report, section 2.3)."""

    as_inference = frozenset({"device", "precision"})

    # The head carries a fingerprint of the encoder that it was fitted with.
    not_in_weights = frozenset(
        {
            "encoder_weights",
            "batch_size",
            "precision",
            "device",
            "fit_steps",
            "fit_batch_size",
            "learning_rate",
            "weight_decay",
        }
    )

    encoder_weights: SpecFile | None = None
    """The encoder's published file: `pretrained.pth` or `finetuned.pth` of facebookresearch/AudioMAE, or the
    timm-format file (`.safetensors` or `.bin`). Without it the encoder is random: for tests and timing."""

    head: Literal["fitted", "random"] = "fitted"
    """`fitted`: the head is trained on the data set's train split. `random`: it is not, for timing only."""

    window_s: float = Field(default=2.0, ge=0.1, le=10)
    """Length of a window in s, a whole number of label frames. Windows abut; the last one ends with the
    recording."""

    pad_to_frames: int | None = Field(default=None, ge=PATCH, le=TIME_PATCHES * PATCH, multiple_of=PATCH)
    """Filterbank frames (10 ms) that a window is padded to. None: the next multiple of 16, for which the
    positional embedding is cropped. 1024: the official way, several times slower."""

    batch_size: int = Field(default=8, ge=1)
    """Windows that the encoder takes at a time."""

    precision: Literal["fp32", "bf16"] | None = None
    """Arithmetic of the encoder (None: `inference.precision`); filterbank, pooling and head are fp32."""

    device: Literal["cpu", "cuda"] | None = None
    """Where the encoder runs (None: `inference.device`)."""

    encoder_width: int = Field(default=768, ge=8, multiple_of=4)
    """Width of the encoder's tokens; 768 in the published files."""

    encoder_depth: int = Field(default=12, ge=1)
    """Transformer blocks of the encoder; 12 in the published files."""

    encoder_heads: int = Field(default=12, ge=1)
    """Attention heads of each block; 12 in the published files."""

    hidden: int = Field(default=512, ge=1)
    """Width of the head's hidden layer."""

    fit_steps: int = Field(default=30_000, ge=1)
    """Steps of AdamW that train the head."""

    fit_batch_size: int = Field(default=8, ge=1)
    """Windows in a step."""

    learning_rate: float = Field(default=3e-4, gt=0)
    """Of AdamW, constant."""

    weight_decay: float = Field(default=1e-2, ge=0)
    """Of AdamW."""

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> AudioMaeConfig:
        if self.encoder_width % self.encoder_heads:
            raise ValueError(
                f"encoder_width = {self.encoder_width} is no multiple of encoder_heads = {self.encoder_heads}"
            )
        return self

    @model_validator(mode="after")
    def _windows_are_whole_label_frames(self) -> AudioMaeConfig:
        frames = self.window_s * FRAMES_PER_S
        if abs(frames - round(frames)) > 1e-9:
            raise ValueError(f"window_s = {self.window_s:g} is no multiple of the label frame, 0.1 s")
        return self

    @model_validator(mode="after")
    def _windows_fit_the_padding(self) -> AudioMaeConfig:
        frames = fbank_frames(round(self.window_s * SAMPLE_RATE_HZ))
        if self.pad_to_frames is not None and self.pad_to_frames < frames:
            raise ValueError(
                f"pad_to_frames = {self.pad_to_frames} is shorter than a window: window_s = "
                f"{self.window_s:g} has {frames} frames. Raise it, or leave it out."
            )
        return self
