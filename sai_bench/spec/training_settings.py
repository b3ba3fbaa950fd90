"""The validated `training` section of a spec: stages by name, in the order in which they run.

A stage trains the detector (its front end, backbone and decoder together) or the prior; see Table 1 of the
report.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sai_bench.config import LossConfig, SpecFile
from sai_bench.spec.models import ComponentSpec, Settings, relative_to_folder

_Share = Annotated[float, Field(ge=0, le=1)]
_Memory = Annotated[float, Field(ge=0, lt=1)]


class TargetSettings(Settings):
    """How labels become the masks that a detector learns."""

    rendering: Literal["april", "june"] = "june"
    """By whose rule the points of a label become an image of 180 x 360: the kernels of the April evaluator
    or the interpolation of the June evaluator."""

    class_agnostic: bool = False
    """Whether classes are left out: only regions are learned."""


class SamplingSettings(Settings):
    """Which segments of the recordings are heard, and how often."""

    class_balance: _Share = 0.0
    """0: every segment counts alike. 1: segments are drawn so that all classes come up equally often.
    Between: a class's share is its natural one to the power 1 - class_balance."""

    silent_share: _Share = 1.0
    """How often a segment without any label is drawn, relative to its natural share."""

    online: bool = False
    """Whether the data set renders a new recording for every segment while training, instead of reading
    those on disk. Only for data sets that can; their own keys then decide what comes up."""

    @model_validator(mode="after")
    def _only_stored_segments_are_chosen(self) -> SamplingSettings:
        if self.online and (self.class_balance or self.silent_share != 1):
            raise ValueError(
                "class_balance and silent_share choose among recordings on disk; with online: true the data "
                "set's own keys decide what comes up. Leave them at 0 and 1, or set online to false."
            )
        return self


class AugmentationSettings(Settings):
    """What is changed at random in each segment that is heard."""

    views: Literal["none", "yaw", "all"] = "none"
    """`yaw`: the array is turned to one of the yaws at which its capsules (or others of an em32) coincide
    with it. `all`: mirror images, too."""

    gain_db: float = Field(0.0, ge=0, le=60)
    """A segment is made up to so many dB louder or softer."""


class OptimiserSettings(Settings):
    """AdamW."""

    learning_rate: float = Field(1e-4, gt=0, le=1)
    """After the warm-up."""

    betas: tuple[_Memory, _Memory] = (0.9, 0.999)
    """Memory of the gradient and of its square."""

    weight_decay: float = Field(0.05, ge=0, le=10)
    """Of matrices and convolutions; biases, norms, layer scales and learned queries do not decay."""

    clip_norm: float = Field(0.0, ge=0)
    """Largest norm of all gradients together; 0 leaves them as they are."""


class ScheduleSettings(Settings):
    """The learning rate over the steps."""

    warmup_steps: int = Field(0, ge=0)
    """Steps in which it rises linearly from 0."""

    shape: Literal["constant", "cosine", "linear"] = "cosine"
    """How it falls after the warm-up."""

    final_share: _Share = 0.1
    """Where it ends, relative to where it began to fall."""


class DetectorStageSettings(Settings):
    """One stage of training front end, backbone and decoder."""

    trains: Literal["detector"] = "detector"
    """Which part learns."""

    split: str = Field("train", min_length=1)
    """The split of the data set that is learned from."""

    validation_split: str | None = None
    """A split whose loss is measured now and then; None: none."""

    steps: int = Field(ge=1)
    """Steps of the optimiser."""

    batch_segments: int = Field(1, ge=1, le=4096)
    """Segments in a step, of all processes together."""

    segment_s: float = Field(2.0, ge=0.1, le=60)
    """Length of a segment; a whole number of label frames."""

    frames_per_segment: int = Field(0, ge=0)
    """Label frames of each segment that are decoded in a step, drawn at random; 0: all. Fewer make steps
    cheaper, and neighbouring frames say much the same."""

    targets: TargetSettings = TargetSettings()
    """How labels become masks."""

    sampling: SamplingSettings = SamplingSettings()
    """Which segments are heard."""

    augmentation: AugmentationSettings = AugmentationSettings()
    """What is changed in them."""

    optimiser: OptimiserSettings = OptimiserSettings()
    """AdamW."""

    schedule: ScheduleSettings = ScheduleSettings()
    """The learning rate."""

    ema_decay: float = Field(0.0, ge=0, lt=1)
    """The result is the running mean of the weights with this memory; 0: the last weights."""

    frozen: tuple[str, ...] = ()
    """Parameters that do not learn, by the beginning of their names, such as `backbone.encoder`."""

    initial_weights: SpecFile | None = None
    """A weights file to begin with; None: what the stage before left, or random weights."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: products in bfloat16 (autocast), weights and optimiser in float32."""

    seed: int | None = Field(None, ge=0, lt=2**63)
    """Of sampling, augmentation and dropout; None: the spec's."""

    validate_every_steps: int = Field(1000, ge=1)
    """How often the validation split is measured; the best weights by it are kept as `best`."""

    checkpoint_every_steps: int = Field(1000, ge=1)
    """How often everything is saved that a killed run needs to go on."""

    loader_workers: int = Field(1, ge=0, le=256)
    """Processes that read ahead; 0 reads within the step. The result does not depend on it."""

    @model_validator(mode="after")
    def _segments_are_whole_frames(self) -> DetectorStageSettings:
        if abs(self.segment_s * 10 - round(self.segment_s * 10)) > 1e-6:
            raise ValueError(f"segment_s = {self.segment_s:g} is no whole number of label frames of 0.1 s")
        if self.frames_per_segment > round(self.segment_s * 10):
            raise ValueError(
                f"frames_per_segment = {self.frames_per_segment}, but a segment of {self.segment_s:g} s has "
                f"{round(self.segment_s * 10)} label frames"
            )
        return self


class PriorStageSettings(Settings):
    """The stage that fits the prior; how it learns stands among the prior's own keys."""

    trains: Literal["prior"] = "prior"
    """Which part learns."""

    split: str = Field("train", min_length=1)
    """The split of the data set that is learned from."""


STAGE_NAME = "[a-z][a-z0-9_]*"

STAGE_SETTINGS = {"detector": DetectorStageSettings, "prior": PriorStageSettings}
"""What a stage trains -> its keys, besides `data` and, for a detector, `losses`."""


@dataclass(frozen=True)
class TrainingStage:
    """One stage: its settings, its data set and, for a detector, the losses of its decoder.

    Attributes:
        name: what it is called in folders and logs.
        settings: everything with fixed keys.
        data: the stage's own data set, None: the spec's.
        losses: the decoder's loss config, None for a prior.
        folder: the spec's folder, which paths in `resolved()` are relative to.
    """

    name: str
    settings: DetectorStageSettings | PriorStageSettings
    data: ComponentSpec | None = None
    losses: LossConfig | None = None
    folder: Path = field(default=Path(), repr=False, compare=False)

    @property
    def trains_detector(self) -> bool:
        """Return whether front end, backbone and decoder learn, rather than the prior."""
        return self.settings.trains == "detector"

    def resolved(self) -> dict:
        """Return the stage, JSON-ready, every key explicit, paths relative to the folder."""
        plain = self.settings.model_dump(mode="json")
        if plain.get("initial_weights"):
            plain["initial_weights"] = relative_to_folder(self.settings.initial_weights, self.folder)
        if self.data is not None:
            plain["data"] = self.data.resolved()
        if self.losses is not None:
            plain["losses"] = self.losses.model_dump(mode="json")
        return plain
