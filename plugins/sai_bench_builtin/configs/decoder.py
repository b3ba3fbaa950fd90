"""Config models of the built-in decoders."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sai_bench.config import DecoderConfig
from sai_bench.errors import WiringError
from sai_bench.grid import CLASSES
from sai_bench.interfaces import CandidateSpec, SphereSpec
from sai_bench_builtin.configs.class_maps import ClassDiscsConfig, ClassMapsConfig
from sai_bench_builtin.configs.mask_query_losses import MaskQueriesLosses

__all__ = ["ClassDiscsConfig", "ClassMapsConfig", "MaskQueriesConfig", "PeakRegionsConfig"]


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
            candidates=self.peaks * CLASSES,
            height=sphere.height,
            width=sphere.width,
        )


class MaskQueriesConfig(DecoderConfig):
    """Learned queries that attend to the sphere and become masks, in the style of Mask2Former (report 2.2.3).

    Other styles, by key. DETR: `masked_attention: false, initial_prediction: false, first_attention: self,
    initial_queries: zero, mask_head: attention`. MaskFormer: the same with `mask_head: product`.
    """

    learned = True
    losses = MaskQueriesLosses

    queries: int = Field(16, ge=1, le=512)
    """Queries (candidates) of a frame, or of a segment."""

    query_scope: Literal["frame", "segment"] = "frame"
    """`frame`: each label frame has its own queries. `segment`: one set of queries reads all frames of a
    segment; a query has one class and a mask in each frame, and its learned score is multiplied by the
    peak of the frame's mask."""

    layers: int = Field(10, ge=1, le=64)
    """Transformer layers; each ends in a prediction of classes, scores and masks. `initial_prediction` adds
    one before the first layer, so that the default makes 11. Mask2Former's "10 layers" count that one: to
    read the report this way, set 9."""

    initial_prediction: bool = True
    """Predict from the queries before the first layer, too: its masks guide the first layer's attention and
    are supervised in training. Without it, the first layer reads every cell."""

    initial_queries: Literal["learned", "zero"] = "learned"
    """What the queries hold at the start; `zero` leaves only their learned identities, which every layer
    adds to queries (and to keys among queries)."""

    masked_attention: bool = True
    """Each layer reads only the cells that the prediction before it covers (probability at least 0.5), or
    every cell if it covers none."""

    first_attention: Literal["cross", "self"] = "cross"
    """What comes first in a layer: reading the sphere (`cross`) or the other queries (`self`)."""

    query_channels: int = Field(256, ge=4, le=4096)
    """Channels d of a query."""

    feed_forward_channels: int = Field(2048, ge=4, le=32768)
    """Hidden channels of a layer's feed-forward network."""

    heads: int = Field(4, ge=1, le=64)
    """Attention heads."""

    position: Literal["sphere", "elevation", "none"] = "sphere"
    """What attention knows of where a cell lies, besides the backbone's features. `sphere`: spherical
    harmonics, continuous across the seam and the poles. `elevation`: those that do not depend on azimuth,
    so that turning the features by whole cells turns the masks alike. `none`: nothing."""

    position_degree: int = Field(3, ge=1, le=12)
    """Highest degree of the harmonics: (degree + 1)^2 - 1 numbers a cell, or `degree` for `elevation`."""

    mask_head: Literal["product", "attention"] = "product"
    """`product`: a query's embedding times each cell's features. `attention`: the maps of where a query
    looks, one per head, convolved."""

    mask_channels: int = Field(64, ge=1, le=1024)
    """Channels of the cells' features that masks are made of."""

    score: Literal["learned", "derived"] = "learned"
    """`learned`: a head that training teaches to predict the mask's quality. `derived`: (1 - p of "no
    object") * largest p of a class * mean of the mask's probabilities above 0.5."""

    refinement: Literal["learned", "linear"] = "learned"
    """How the masks that are kept become images of 180 x 360: by a small network, circular in azimuth, that
    corrects the linear interpolation, or by the interpolation alone."""

    refinement_channels: int = Field(16, ge=4, le=512)
    """Hidden channels of the refinement at the coarse grid; each of its steps halves them, down to 4."""

    @model_validator(mode="after")
    def _heads_share_channels(self) -> MaskQueriesConfig:
        shared = ["query_channels"] + ["mask_channels"] * (self.mask_head == "attention")
        for name in shared:
            if getattr(self, name) % self.heads:
                raise ValueError(f"{name} = {getattr(self, name)} is not a multiple of heads = {self.heads}")
        return self

    def output(self, sphere: SphereSpec) -> CandidateSpec:
        """Return the candidates: one per query, each with its own mask.

        Raises:
            WiringError: the features on the sphere are not learned ones.
        """
        if sphere.representation != "embedding":
            raise WiringError(
                "mask_queries needs sphere features of representation 'embedding', got "
                f"'{sphere.representation}'. Use a backbone such as 'convnext_spherical', or the decoder "
                "'peak_regions'."
            )
        return CandidateSpec(self.queries, self.queries, sphere.height, sphere.width)
