"""Config model of the backbone `steered_masks`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from sai_bench.config import BackboneConfig
from sai_bench.errors import WiringError
from sai_bench.grid import CLASSES, FRAMES_PER_S
from sai_bench.interfaces import FeatureSpec, SphereSpec
from sai_bench_builtin.configs.backbone_sizes import (
    Count,
    GridHeight,
    GridWidth,
    OddSide,
    OddTimeFrequency,
    TimeFrequency,
    Width,
)


class SteeredMasksConfig(BackboneConfig):
    """Learned masks over time and frequency, projected to the sphere by the array's own steering vectors.

    Pairs are (time, frequency); a token is a group of neighbouring bins in one STFT frame.
    """

    learned = True

    grid_height: GridHeight = Field(20, ge=4, le=180)
    """Rows of the grid; must divide 180."""

    grid_width: GridWidth = Field(40, ge=4, le=360)
    """Columns of the grid; even, must divide 360."""

    embedding_channels: int = Field(48, ge=1, le=1024)
    """Numbers per direction of the embedding, and in the blocks on the sphere."""

    masks: int = Field(32, ge=1, le=512)
    """Masks that are learned; each gives a map of its own."""

    class_masks: bool = True
    """One more mask for each class, whose map is passed on beside the embedding as it is
    (`SphereSpec.class_maps`): class by class, a decoder begins with steered power."""

    min_hz: float = Field(100.0, ge=0)
    """Lowest frequency used, in Hz."""

    max_hz: float = Field(9000.0, gt=0)
    """Highest frequency used, in Hz."""

    bins_per_group: int = Field(4, ge=1, le=64)
    """Neighbouring bins that share a mask's value. Their phases are averaged, so a group must be narrow
    against the inverse of the time that sound takes across the array."""

    pooling_frames: int = Field(2, ge=0, le=50)
    """Label frames (0.1 s) on either side over which a map collects, besides its own."""

    most_pairs: int = Field(48, ge=1, le=496)
    """Microphone pairs that are used at most; of more, those with the most different baselines."""

    stem_time_kernel: OddSide = Field(5, ge=1, le=63)
    """STFT frames that the first convolution sees; odd."""

    stage_channels: tuple[Width, Width, Width] = (32, 48, 64)
    """Channels of the encoder's three stages."""

    stage_depths: tuple[Count, Count, Count] = (2, 2, 2)
    """ConvNeXt blocks of the three stages."""

    downsampling_strides: tuple[TimeFrequency, TimeFrequency] = ((1, 2), (5, 2))
    """Tokens that are joined before stages 2 and 3. Whole frames of stage 3 must fill a label frame."""

    depthwise_kernel: OddTimeFrequency = (3, 7)
    """Kernel of the depthwise convolutions over time and frequency; odd."""

    expansion: int = Field(4, ge=1, le=16)
    """How many times wider the MLP of an encoder block is inside."""

    context_channels: int = Field(96, ge=1, le=4096)
    """Numbers that say what is heard in a label frame; they condition the blocks on the sphere."""

    context_blocks: int = Field(2, ge=0, le=16)
    """Convolutions over label frames that they go through."""

    context_kernel: OddSide = Field(5, ge=1, le=63)
    """Label frames that each of these sees; odd."""

    statistics_frames: tuple[Annotated[int, Field(ge=0, le=50)], ...] = Field((1, 5), max_length=8)
    """What is heard shows in the mean and the deviation of each bin's level over this many label frames on
    either side; empty: only the convolutions tell."""

    map_gain: float = Field(4.0, gt=0, le=100)
    """What the learned factor of each steered map begins with; the maps lie in [-1, 1], mostly near 0."""

    sphere_blocks: int = Field(2, ge=0, le=16)
    """Blocks on the sphere."""

    sphere_kernel: OddSide = Field(5, ge=1, le=31)
    """Side of their convolutions in cells; odd."""

    sphere_expansion: int = Field(2, ge=1, le=16)
    """How many times wider their MLP is inside."""

    @field_validator("grid_width")
    @classmethod
    def _width_is_even(cls, width: int) -> int:
        if width % 2:
            raise ValueError(f"grid_width = {width} is odd: no cell lies opposite to another")
        return width

    @model_validator(mode="after")
    def _sizes_fit(self) -> SteeredMasksConfig:
        if self.min_hz >= self.max_hz:
            raise ValueError(f"min_hz = {self.min_hz:g} is not below max_hz = {self.max_hz:g}")
        if self.sphere_kernel // 2 > min(self.grid_height, self.grid_width // 2):
            raise ValueError(
                f"sphere_kernel = {self.sphere_kernel} reaches further than the grid of {self.grid_height} x "
                f"{self.grid_width} cells is wide"
            )
        return self

    def output(self, features: FeatureSpec) -> SphereSpec:
        """Return the embedding that this backbone makes of a complex spectrum.

        Raises:
            WiringError: the features are no complex spectrum, their frames do not fill label frames, or the
                band holds no group of bins.
        """
        if features.representation != "complex_spectrum":
            raise WiringError(
                "steered_masks needs features of representation 'complex_spectrum', got "
                f"'{features.representation}'. Use a front end such as 'stft'."
            )
        hops = self.hops_per_frame(features)
        stride = self.downsampling_strides[0][0] * self.downsampling_strides[1][0]
        if hops % stride:
            raise WiringError(
                f"steered_masks: stage 3 joins {stride} STFT frames, but a label frame of 0.1 s has {hops}. "
                "Change downsampling_strides or the front end's hop_samples."
            )
        if not len(self.bins(features)):
            raise WiringError(
                f"steered_masks: no group of {self.bins_per_group} bins lies in {self.min_hz:g} ... "
                f"{self.max_hz:g} Hz; the bins are {features.sample_rate_hz / features.n_fft:g} Hz apart and "
                f"end at {features.sample_rate_hz / 2:g} Hz. Widen min_hz ... max_hz or raise n_fft."
            )
        channels = self.embedding_channels + CLASSES * self.class_masks
        return SphereSpec("embedding", channels, self.grid_height, self.grid_width, self.class_masks)

    def hops_per_frame(self, features: FeatureSpec) -> int:
        """Return how many STFT frames a label frame of 0.1 s holds.

        Raises:
            WiringError: they do not fill it.
        """
        hops, rest = divmod(features.sample_rate_hz, FRAMES_PER_S * features.hop_samples)
        if rest:
            raise WiringError(
                f"steered_masks needs whole hops in a label frame of 0.1 s, got a hop of "
                f"{features.hop_samples} samples at {features.sample_rate_hz} Hz. Choose a hop that divides "
                f"{features.sample_rate_hz / FRAMES_PER_S:g} samples."
            )
        return hops

    def bins(self, features: FeatureSpec) -> range:
        """Return the frequency bins of `features` that are used: whole groups within min_hz ... max_hz."""
        spacing_hz = features.sample_rate_hz / features.n_fft
        inside = [f for f in range(features.bins) if self.min_hz <= f * spacing_hz <= self.max_hz]
        groups = len(inside) // self.bins_per_group
        return range(inside[0], inside[0] + groups * self.bins_per_group) if groups else range(0)
