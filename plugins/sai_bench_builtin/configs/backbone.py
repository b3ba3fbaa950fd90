"""Config models of the built-in backbones."""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import accumulate, pairwise, starmap
from operator import floordiv, mul
from typing import Literal

from pydantic import Field, model_validator

from sai_bench.config import BackboneConfig
from sai_bench.errors import WiringError
from sai_bench.grid import FRAMES_PER_S
from sai_bench.interfaces import FeatureSpec, SphereSpec
from sai_bench_builtin.configs.backbone_sizes import (
    Count,
    GridHeight,
    GridWidth,
    OddSide,
    TimeFrequency,
    Width,
)
from sai_bench_builtin.configs.steered_masks import SteeredMasksConfig

__all__ = ["ConvNextSphericalConfig", "SteeredMasksConfig", "SteeredPowerConfig", "same_padding"]


class SteeredPowerConfig(BackboneConfig):
    """SRP-PHAT on a grid of directions, one map per label frame."""

    grid_height: GridHeight = Field(36, ge=4, le=180)
    """Rows of the grid; must divide 180."""

    grid_width: GridWidth = Field(72, ge=4, le=360)
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
        if features.sample_rate_hz % (FRAMES_PER_S * features.hop_samples):
            raise WiringError(
                f"steered_power needs whole hops in a label frame of 0.1 s, got a hop of "
                f"{features.hop_samples} samples at {features.sample_rate_hz} Hz. Choose a hop that divides "
                f"{features.sample_rate_hz / FRAMES_PER_S:g} samples."
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


def same_padding(kernel: int, stride: int) -> int:
    """Return how far a convolution is padded at either end: half of what its kernel exceeds its stride."""
    return -((stride - kernel) // 2)


class ConvNextSphericalConfig(BackboneConfig):
    """ConvNeXt over time and frequency, then learned queries on the sphere attend to its stages 2, 3 and 4.

    Report, section 2.2.2. Pairs are (time, frequency).
    """

    learned = True

    grid_height: GridHeight = Field(45, ge=1, le=180)
    """Rows of the grid; must divide 180."""

    grid_width: GridWidth = Field(90, ge=1, le=360)
    """Columns of the grid; must divide 360."""

    embedding_channels: int = Field(16, ge=1, le=1024)
    """D: numbers per direction, of the learned queries and of the result."""

    stage_depths: tuple[Count, Count, Count, Count] = (3, 3, 9, 3)
    """ConvNeXt blocks of the four stages; the default is ConvNeXt-T."""

    stage_channels: tuple[Width, Width, Width, Width] = (96, 192, 384, 768)
    """Channels of the four stages."""

    stem_kernel: TimeFrequency = (2, 4)
    """Kernel of the first convolution, in STFT frames and bins; at least its stride. Where it is larger, the
    features are padded with zeros."""

    stem_stride: TimeFrequency = (2, 4)
    """Stride of the first convolution. Whole frames of stages 2, 3 and 4 must fill a label frame of 0.1 s."""

    downsampling_strides: tuple[TimeFrequency, TimeFrequency, TimeFrequency] = ((1, 2), (1, 2), (1, 2))
    """Stride, and kernel, of the convolutions before stages 2, 3 and 4."""

    depthwise_kernel: OddSide = Field(7, ge=1, le=63)
    """Side of the depthwise convolutions; odd."""

    expansion: int = Field(4, ge=1, le=16)
    """How many times wider the MLP of a ConvNeXt block is inside."""

    layer_scale: float = Field(1e-6, ge=0, le=1)
    """What the learned factor of each ConvNeXt block's contribution begins with."""

    attention_heads: int = Field(4, ge=1, le=64)
    """Heads of the spherical cross-attention."""

    head_width: int = Field(32, ge=1, le=1024)
    """Width of each head's queries, keys and values."""

    attention_layer_norm: bool = True
    """Layer norms before the attention, on the queries and on the stage's features, and before the
    feed-forward network."""

    feed_forward_width: int = Field(64, ge=0, le=4096)
    """Inner width of the feed-forward network after the attention; 0 leaves it out."""

    feed_forward_at: Literal["label_frames", "encoder_frames"] = "label_frames"
    """Where residual and feed-forward network stand. `encoder_frames` reads the report by the letter: a stage
    gives a map for each of its 101 frames, maps are summed, then averaged. `label_frames` averages over the
    encoder frames around a label frame first: 5 times fewer maps to go through, and attention and average
    become one product. The two differ, because the network is not linear; the report mentions none, and with
    `feed_forward_width: 0` they are equal."""

    frequency_encoding: Literal["none", "sinusoidal", "learned"] = "none"
    """What tells the attention a token's frequency, besides the encoder's features: nothing, sines and
    cosines of it, or those as a start for learning."""

    steered_bands: int = Field(0, ge=0, le=64)
    """Bands of frequency that give a steered map each (SRP-PHAT, in [-1, 1], from the array's geometry). A
    learned linear map adds those of a direction to its embedding. Not in the report; 0: none. They need the
    front end `stft_log_magnitude_phase`."""

    steered_min_hz: float = Field(300.0, ge=0)
    """Lowest frequency of the first band, in Hz."""

    steered_max_hz: float = Field(9000.0, gt=0)
    """Highest frequency of the last band, in Hz, or half the sample rate if that is lower. Bands are equally
    wide on the mel scale, as sounds differ most in the lower kilohertz, and a wide band high up averages its
    grating lobes away."""

    steered_gain: float = Field(4.0, gt=0, le=100)
    """What the learned factor of each steered map begins with; the maps are mostly near 0."""

    @model_validator(mode="after")
    def _steered_bands_are_not_empty(self) -> ConvNextSphericalConfig:
        if self.steered_min_hz >= self.steered_max_hz:
            raise ValueError(
                f"steered_min_hz = {self.steered_min_hz:g} is not below steered_max_hz = "
                f"{self.steered_max_hz:g}"
            )
        return self

    @model_validator(mode="after")
    def _stem_skips_nothing(self) -> ConvNextSphericalConfig:
        for axis, kernel, stride in zip(
            ("time", "frequency"), self.stem_kernel, self.stem_stride, strict=True
        ):
            if kernel < stride:
                raise ValueError(
                    f"stem_kernel = {kernel} in {axis} is smaller than stem_stride = {stride}: it would skip "
                    "features"
                )
        return self

    def output(self, features: FeatureSpec) -> SphereSpec:
        """Return the embedding that this backbone makes of real features.

        Raises:
            WiringError: the number of channels is not known or they are complex, encoder frames do not fill
                label frames, there are too few bins, or no phases for steered maps.
        """
        if features.channels is None or features.representation == "complex_spectrum":
            raise WiringError(
                "convnext_spherical needs real features of a known number of channels, got representation "
                f"'{features.representation}' with channels = {features.channels}. Use a front end such as "
                "'stft_log_magnitude_phase'."
            )
        self.frames_per_label_frame(features)
        if self.frequency_tokens(features.bins)[-1] < 1:
            raise WiringError(
                f"convnext_spherical: {features.bins} frequency bins are too few for a stride over "
                f"{self.frequency_strides()[-1]} bins. Raise n_fft of the front end or lower stem_stride or "
                "downsampling_strides."
            )
        if self.steered_bands:
            self.steered_bins(features)
        return SphereSpec("embedding", self.embedding_channels, self.grid_height, self.grid_width)

    def frames_per_label_frame(self, features: FeatureSpec) -> tuple[int, ...]:
        """Return how many frames of stages 2, 3 and 4 a label frame of 0.1 s holds.

        Raises:
            WiringError: they do not fill it.
        """
        hops = features.sample_rate_hz / (FRAMES_PER_S * features.hop_samples)
        for stage, stride in enumerate(self.time_strides()[1:], 2):
            if hops % stride:
                raise WiringError(
                    f"convnext_spherical needs whole encoder frames in a label frame of 0.1 s: stage {stage} "
                    f"strides over {stride} hops of {features.hop_samples} samples, a label frame at "
                    f"{features.sample_rate_hz} Hz has {hops:g}. Change the front end's hop, stem_stride or "
                    "downsampling_strides."
                )
        return tuple(int(hops) // stride for stride in self.time_strides()[1:])

    def steered_bins(self, features: FeatureSpec) -> tuple[range, ...]:
        """Return the frequency bins of each steered band: neighbours, equally wide on the mel scale.

        Raises:
            WiringError: the features hold no phases of single microphones or of one only, or a band holds no
                bin.
        """
        if features.representation != "log_magnitude_phase":
            raise WiringError(
                "convnext_spherical with steered_bands needs features that hold the phase of each microphone "
                f"(representation 'log_magnitude_phase'), got '{features.representation}'. Use the front end "
                "'stft_log_magnitude_phase' or set steered_bands to 0."
            )
        if features.channels < 6:
            raise WiringError(
                "convnext_spherical with steered_bands needs at least 2 microphones, got features of "
                f"{features.channels} channels. Set system.front_end.microphones or set steered_bands to 0."
            )
        spacing_hz = features.sample_rate_hz / features.n_fft
        top_hz = min(self.steered_max_hz, features.sample_rate_hz / 2)
        # Neither at 0 Hz nor at half the sample rate does a phase say anything.
        inside = [
            f
            for f in range(1, min(features.bins, features.n_fft // 2))
            if self.steered_min_hz <= f * spacing_hz <= top_hz
        ]
        lowest, highest = _mel(self.steered_min_hz), _mel(top_hz)
        places = [self.steered_bands * (_mel(f * spacing_hz) - lowest) / (highest - lowest) for f in inside]
        starts = [bisect_left(places, band) for band in range(self.steered_bands)]
        if len({*starts, len(inside)}) <= self.steered_bands:
            raise WiringError(
                f"convnext_spherical: not every one of {self.steered_bands} steered bands in "
                f"{self.steered_min_hz:g} ... {top_hz:g} Hz holds a frequency bin; the bins are "
                f"{spacing_hz:g} Hz apart. Lower steered_bands, widen steered_min_hz ... steered_max_hz or "
                "raise n_fft of the front end."
            )
        return tuple(starmap(range, pairwise(inside[0] + start for start in (*starts, len(inside)))))

    def time_strides(self) -> tuple[int, ...]:
        """Return over how many STFT frames neighbouring frames of each stage stride."""
        return tuple(accumulate((stride[0] for stride in self._strides()), mul))

    def frequency_strides(self) -> tuple[int, ...]:
        """Return over how many bins neighbouring tokens of each stage stride."""
        return tuple(accumulate((stride[1] for stride in self._strides()), mul))

    def time_frames(self, stft_frames: int) -> tuple[int, ...]:
        """Return how many frames each stage makes of so many STFT frames."""
        return self._sizes(stft_frames, 0)

    def frequency_tokens(self, bins: int) -> tuple[int, ...]:
        """Return how many frequency tokens each stage makes of so many bins."""
        return self._sizes(bins, 1)

    def _strides(self):
        return self.stem_stride, *self.downsampling_strides

    def _sizes(self, size, axis):
        kernel, stride = self.stem_kernel[axis], self.stem_stride[axis]
        size = (size + 2 * same_padding(kernel, stride) - kernel) // stride + 1
        return tuple(
            accumulate((stride[axis] for stride in self.downsampling_strides), floordiv, initial=size)
        )


def _mel(frequency_hz: float) -> float:
    """Return a frequency on the mel scale (O'Shaughnessy, "Speech Communication", 1987)."""
    return 2595 * math.log10(1 + frequency_hz / 700)
