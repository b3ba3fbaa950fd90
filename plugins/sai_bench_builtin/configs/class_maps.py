"""Config models of the decoders `class_maps` and `class_discs`, which read maps of classes."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator

from sai_bench.config import DecoderConfig, LossConfig
from sai_bench.errors import WiringError
from sai_bench.grid import CLASSES, check_grid
from sai_bench.interfaces import CandidateSpec, SphereSpec

_AVERAGING = frozenset({"smoothing_frames", "smoothing_speed_deg_per_s", "activity_smoothing_frames"})
_FINDING = frozenset(
    {"peaks_per_class", "candidates", "min_separation_deg", "least_share", "region_radius_deg"}
)


class _MapsConfig(DecoderConfig):
    """What both decoders share: class maps, their peaks, averaging over time."""

    learned = True
    after_training = _AVERAGING

    upsampling: int = Field(3, ge=1, le=12)
    """How many times as fine as the backbone's grid the maps are; the result must divide 180 x 360."""

    hidden_channels: int = Field(64, ge=1, le=4096)
    """Channels between the sphere features and the maps."""

    initial_logit: float = Field(-3.0, ge=-10, le=0)
    """Logit that activity, maps and scores begin with: most classes are silent, most cells empty."""

    class_map_gain: float = Field(20.0, gt=0, le=200)
    """What logits take of the maps that a backbone makes of each class (`SphereSpec.class_maps`), to begin
    with; learned from there on."""

    peaks_per_class: int = Field(2, ge=1, le=8)
    """Most regions of one class in a frame."""

    candidates: int = Field(8, ge=1, le=64)
    """Most regions in a frame, the most probable ones."""

    min_separation_deg: float = Field(25.0, gt=0, le=180)
    """Least angle between two peaks of one class in a frame, in degrees; the lower one is dropped."""

    least_share: float = Field(0.3, ge=0, le=1)
    """A further peak of a class needs at least this share of the probability of its highest one."""

    region_radius_deg: float = Field(30.0, gt=0, le=180)
    """Cells further than this from the peak lie outside the region, in degrees."""

    smoothing_frames: int = Field(0, ge=0, le=50)
    """Label frames (0.1 s) on either side over which maps are averaged after training; `context_s` of the
    inference should be at least as long."""

    smoothing_speed_deg_per_s: float = Field(60.0, ge=0, le=360)
    """Sources that move around the array at up to this speed are followed while averaging."""

    activity_smoothing_frames: int = Field(0, ge=0, le=50)
    """Label frames on either side over which the logits of class activity are averaged after training."""

    def context_frames(self) -> int:
        """Return over how many label frames on either side maps or activity are averaged."""
        return max(self.smoothing_frames, self.activity_smoothing_frames)

    def _output(self, name: str, sphere: SphereSpec) -> CandidateSpec:
        """Return the candidates of decoder `name`, each with its own mask.

        Raises:
            WiringError: the features on the sphere are not learned ones, or the maps do not fit the image.
        """
        if sphere.representation != "embedding":
            raise WiringError(
                f"{name} needs sphere features of representation 'embedding', got "
                f"'{sphere.representation}'. Use a backbone such as 'steered_masks', or the decoder "
                "'peak_regions'."
            )
        height, width = sphere.height * self.upsampling, sphere.width * self.upsampling
        try:
            check_grid(height, width)
        except ValueError as error:
            raise WiringError(
                f"{name}: upsampling = {self.upsampling} makes maps of {height} x {width} cells of the "
                f"backbone's {sphere.height} x {sphere.width}, which do not divide 180 x 360. Choose another "
                "upsampling or another grid."
            ) from error
        candidates = min(self.candidates, self.peaks_per_class * CLASSES)
        return CandidateSpec(candidates, candidates, height, width)


class ClassMapsLosses(LossConfig):
    """Weights of the losses of `class_maps`; 0 leaves one out.

    Maps are learned where their class sounds. Class-agnostic targets: the classes' maps together (the log of
    the sum of their odds) learn the union of all regions, and any region makes a candidate's score good.
    """

    loss_weights = ("activity", "map", "place", "dice", "shape", "score")

    activity: float = Field(2.0, ge=0)
    """Binary cross entropy of whether each class sounds."""

    map: float = Field(1.0, ge=0)
    """Binary cross entropy of each cell of a map, weighted by |target - probability|^map_exponent and
    divided by the sum of the targets."""

    map_exponent: float = Field(1.0, ge=0, le=4)
    """How much the cells count that are right already; 0: like all others."""

    place: float = Field(0.5, ge=0)
    """Cross entropy of the map's softmax with its target: which cells, whatever the level."""

    dice: float = Field(0.0, ge=0)
    """Dice loss of a map."""

    shape: float = Field(1.5, ge=0)
    """1 - soft IoU of mask and target, both scaled to peak 1 as the June metric does; this alone teaches the
    sharpness of masks."""

    score: float = Field(0.5, ge=0)
    """Cross entropy of the scores with the soft IoU of the masks; only with `score: learned`."""


class ClassMapsConfig(_MapsConfig):
    """Activity and map of each class; candidates are the peaks of the maps with the regions around them."""

    losses = ClassMapsLosses
    not_in_weights = _FINDING  # in training, the score is learned of the candidates that they find

    initial_sharpness: float = Field(1.5, ge=0.5, le=4)
    """A mask's energy is the map's probability to the power of a learned sharpness, which begins with this.
    A map that is unsure of the place is wide; the best mask is not as wide."""

    score: Literal["learned", "derived"] = "learned"
    """`learned`: predicts the soft IoU of the mask. `derived`: probability of the class times height of the
    peak."""

    def output(self, sphere: SphereSpec) -> CandidateSpec:
        """Return the candidates, each with its own mask.

        Raises:
            WiringError: the features on the sphere are not learned ones, or the maps do not fit the image.
        """
        return self._output("class_maps", sphere)


class ClassDiscsLosses(LossConfig):
    """Weights of the losses of `class_discs`; 0 leaves one out.

    Class-agnostic targets: the classes' maps together learn where the regions are, of whatever class.
    """

    loss_weights = ("activity", "place", "extent")

    activity: float = Field(2.0, ge=0)
    """Binary cross entropy of whether each class sounds."""

    place: float = Field(1.0, ge=0)
    """Cross entropy between the softmax of a class's map and a blob at the centre of the region."""

    place_width_deg: float = Field(2.0, gt=0, le=30)
    """Standard deviation of that blob, in degrees."""

    extent: float = Field(0.5, ge=0)
    """Cross entropy of which disc fits the region best."""


class ClassDiscsConfig(_MapsConfig):
    """Where each class may be centred and how wide it may be; masks are the discs expected to agree best."""

    losses = ClassDiscsLosses
    after_training = _AVERAGING | _FINDING | {"iou_thresholds"}

    extents_deg: tuple[Annotated[float, Field(gt=0, le=90)], ...] = Field(
        (2, 4, 6, 8, 10, 12, 15, 20), min_length=1, max_length=32
    )
    """Radii of the discs, in degrees, ascending: what regions are compared with, and what masks are."""

    rim_energy: float = Field(0.4, gt=0, le=1)
    """Energy of a disc at its radius, before the edge takes effect, where that in the centre is 1: in between
    it falls like a Gaussian. 1: flat discs, whose strongest point is not in the centre but anywhere."""

    edge_deg: float = Field(1.0, gt=0, le=20)
    """Width of their edges, in degrees: energies are divided by 1 + exp((distance - radius) / edge)."""

    iou_thresholds: tuple[Annotated[float, Field(ge=0.05, le=0.95)], ...] = Field(
        (0.25, 0.5, 0.75), min_length=1, max_length=20
    )
    """A disc is good in so far as its soft IoU with the region passes these; those of the June metric. One
    that is missed or passed by less than 0.05 counts in part."""

    @field_validator("extents_deg")
    @classmethod
    def _discs_grow(cls, extents: tuple[float, ...]) -> tuple[float, ...]:
        if any(a >= b for a, b in pairwise(extents)):
            raise ValueError(f"extents_deg = {list(extents)} do not ascend")
        return extents

    def output(self, sphere: SphereSpec) -> CandidateSpec:
        """Return the candidates, each with its own mask.

        Raises:
            WiringError: the features on the sphere are not learned ones, or the maps do not fit the image.
        """
        return self._output("class_discs", sphere)
