"""The validated parts of a spec: settings with fixed keys, and components with their own config models."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from sai_bench.config import ComponentConfig, SpecFile
from sai_bench.grid import FRAME_S, FRAMES_PER_S
from sai_bench.registry import Registration

SYSTEM_KINDS = ("front_end", "backbone", "decoder", "prior", "fusion", "compressor")
"""The kinds that make a system, in the order of the signal; also their keys below `system`."""


class Settings(BaseModel):
    """Base of the sections with fixed keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class Header(Settings):
    """The single values at the top of a spec."""

    name: str = Field("", max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """What the system is called in folders and tables: letters, digits, dot, underscore, hyphen."""

    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of everything random."""


class InferenceSettings(Settings):
    """How whole recordings go through the detector, and what of its output is kept."""

    segment_s: float = Field(20.0, gt=0, le=3600)
    """Seconds of audio that the detector sees at once (besides the context), whole label frames of 0.1 s."""

    context_s: float = Field(0.5, ge=0, le=3600)
    """Seconds of extra audio on both sides of a segment, whole label frames; they are dropped. 0: segments
    abut."""

    pad_segments: bool = False
    """Whether segments at the ends of a recording are padded with silence to full length, as a network wants
    that was trained on segments of one length."""

    batch_segments: int = Field(1, ge=1, le=4096)
    """How many segments go through the detector at once; more than 1 needs `pad_segments`."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where the detector computes."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """Numbers in which networks compute: float32, or bfloat16, which is faster and rounds to 3 digits."""

    compile: bool = False
    """Whether networks are compiled with `torch.compile`: a minute of waiting, then faster. Needs
    `pad_segments`."""

    score_floor: float = Field(0.02, ge=0, le=1)
    """Candidates that score below this are not kept."""

    masks_per_frame: int = Field(12, ge=1)
    """At most so many masks a frame are kept, the best first."""

    stored_energy: float = Field(0.10, ge=0, lt=1)
    """Pixels below this share of their mask's peak are not stored."""

    @field_validator("segment_s", "context_s")
    @classmethod
    def _whole_label_frames(cls, seconds: float, info: ValidationInfo) -> float:
        frames = seconds * FRAMES_PER_S
        if abs(frames - round(frames)) > 1e-6:
            raise ValueError(
                f"{info.field_name} = {seconds:g} is no whole number of label frames of {FRAME_S:g} s"
            )
        return seconds

    @model_validator(mode="after")
    def _equal_lengths_where_they_are_needed(self) -> InferenceSettings:
        if self.batch_segments > 1 and not self.pad_segments:
            raise ValueError(
                f"batch_segments = {self.batch_segments} needs segments of equal length: set pad_segments to "
                "true"
            )
        if self.compile and not self.pad_segments:
            raise ValueError(
                "compile needs segments of equal length, for each other length is compiled anew: set "
                "pad_segments to true"
            )
        return self


class ExportSettings(Settings):
    """Which of the kept candidates become detections, and which points of their masks are written."""

    score_threshold: float = Field(0.05, ge=0, le=1)
    """Candidates whose fused score is below this are not written."""

    detections_per_frame: int = Field(6, ge=1)
    """At most so many detections a frame are written, the best first."""

    mask_energy: float = Field(0.10, ge=0, lt=1)
    """Points below this share of their mask's peak are dropped."""


class EvaluationKeys(Settings):
    """The keys of `evaluation` besides the metrics."""

    split: str = Field("test", min_length=1)
    """The split of the data set that is predicted and scored."""

    pictures: int = Field(6, ge=0, le=1000)
    """How many frames are drawn after a run."""


@dataclass(frozen=True)
class EvaluationSettings:
    """What is scored, with which metrics, and how many frames are drawn."""

    split: str = "test"
    pictures: int = 6
    metrics: tuple[ComponentSpec, ...] = ()

    def resolved(self) -> dict:
        """Return the section, JSON-ready."""
        metrics = [metric.resolved() for metric in self.metrics]
        return {"split": self.split, "metrics": metrics, "pictures": self.pictures}


@dataclass(frozen=True)
class ComponentSpec:
    """One component of a spec, validated and ready to be built.

    Attributes:
        kind: such as `fusion`.
        name: what the spec says after `use:`.
        config: the other keys, validated by the component's own model.
        registration: where the class comes from.
        folder: the spec's folder, which paths in `resolved()` are relative to.
    """

    kind: str
    name: str
    config: ComponentConfig
    registration: Registration
    folder: Path = field(default=Path(), repr=False, compare=False)

    def build(self, *upstream: object) -> object:
        """Build the component; a backbone or decoder also takes what its predecessor promises."""
        return self.registration.load_class()(self.config, *upstream)

    def with_inference(self, inference: InferenceSettings) -> ComponentSpec:
        """Return the component with a value for each key that its config leaves to `inference`."""
        left = [key for key in sorted(self.config.as_inference) if getattr(self.config, key) is None]
        if not left:
            return self
        config = self.config.model_copy(update={key: getattr(inference, key) for key in left})
        return replace(self, config=config)

    def resolved(self) -> dict:
        """Return `{"use": name, ...}` with every key explicit, JSON-ready, paths relative to the folder."""
        dumped = self.config.model_dump(mode="json", by_alias=True)
        plain = self.config.model_dump(by_alias=True)
        return {"use": self.name, **_json_ready(plain, dumped, self.folder)}


Microphones = Literal["mic", "all"]


@dataclass(frozen=True)
class SystemSpec:
    """A whole system: which microphones it listens to, its six components, and their weights.

    Attributes:
        microphones: which channels are heard.
        weights: file with the tensors of its networks, None: they are random, or it has none.
        folder: the spec's folder, which the path in `resolved()` is relative to.
    """

    microphones: Microphones
    front_end: ComponentSpec
    backbone: ComponentSpec
    decoder: ComponentSpec
    prior: ComponentSpec
    fusion: ComponentSpec
    compressor: ComponentSpec
    weights: Path | None = None
    folder: Path = field(default=Path(), repr=False, compare=False)

    def components(self) -> Iterator[ComponentSpec]:
        """Yield the six components in the order of the signal."""
        return (getattr(self, kind) for kind in SYSTEM_KINDS)

    def with_inference(self, inference: InferenceSettings) -> SystemSpec:
        """Return the system with a value for each key that a component leaves to the section `inference`."""
        return replace(self, **{c.kind: c.with_inference(inference) for c in self.components()})

    def networks(self) -> tuple[ComponentSpec, ...]:
        """Return the components of the detector that have weights."""
        return tuple(c for c in (self.front_end, self.backbone, self.decoder) if c.config.learned)

    def resolved(self) -> dict:
        """Return the section, JSON-ready."""
        weights = relative_to_folder(self.weights, self.folder) if self.weights else None
        general = {"microphones": self.microphones, "weights": weights}
        return general | {c.kind: c.resolved() for c in self.components()}


class SystemKeys(Settings):
    """The keys of `system` besides the components."""

    microphones: Microphones = "mic"
    """From recordings with 32 channels take the four MIC capsules (`mic`) or all of them (`all`)."""

    weights: SpecFile | None = None
    """A file made by `sai-bench export-weights`, for the networks of the system and its prior."""


def relative_to_folder(path: PurePath, folder: Path) -> str:
    """Return an absolute path relative to `folder` with forward slashes; a relative one stays.

    Of a path outside the folder's parent only the name is kept, behind `.../`: where it lies is a matter of
    one machine and does not belong into records that others read.
    """
    if not path.is_absolute():
        return path.as_posix()
    try:
        relative = PurePath(os.path.relpath(path, folder))
    except ValueError:  # on another drive (Windows) there is no relative path
        relative = PurePath("..", "..")
    return f".../{path.name}" if relative.parts[:2] == ("..", "..") else relative.as_posix()


def _json_ready(value: object, dumped: object, folder: Path) -> object:
    """Return `dumped` (pydantic's JSON form of `value`) with relative paths and a settled order."""
    if isinstance(value, PurePath):
        return relative_to_folder(value, folder)
    if isinstance(value, set | frozenset) and isinstance(dumped, list):
        return sorted((_json_ready(item, item, folder) for item in dumped), key=repr)
    if isinstance(value, Mapping) and isinstance(dumped, dict) and len(value) == len(dumped):
        pairs = zip(dumped, value.values(), dumped.values(), strict=True)
        return {str(key): _json_ready(item, item_dumped, folder) for key, item, item_dumped in pairs}
    if isinstance(value, list | tuple) and isinstance(dumped, list) and len(value) == len(dumped):
        return [_json_ready(a, b, folder) for a, b in zip(value, dumped, strict=True)]
    # str() also sheds SourcedStr, which YAML writers do not know.
    return str(dumped) if isinstance(dumped, str) else dumped
