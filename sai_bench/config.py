"""Base classes for the config model of a component, and the path type that is relative to its spec file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from sai_bench.interfaces import CandidateSpec, FeatureSpec, SphereSpec


class ComponentConfig(BaseModel):
    """The keys a component understands in a spec: typed, frozen, nothing extra.

    Give every key a default where one makes sense, a unit in its name (`hop_s`, `sample_rate_hz`) and bounds
    through `pydantic.Field`; the field's description appears in `sai-bench show` and in the JSON Schema.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,  # a default of 1 for a float becomes 1.0, as when it is written in a spec
    )

    learned: ClassVar[bool] = False
    """Whether a front end, backbone or decoder is a network with weights. Without a weights file they are
    random, and follow from the spec's seed."""

    not_in_weights: ClassVar[frozenset[str]] = frozenset()
    """Keys that may differ between a weights file and the spec that uses it, because its tensors mean the
    same: where and how fast something computes, how it was fitted."""

    after_training: ClassVar[frozenset[str]] = frozenset()
    """Keys of a network that only matter once it is trained, such as how its candidates are chosen: weights
    and finished trainings serve all their values."""

    as_inference: ClassVar[frozenset[str]] = frozenset()
    """Keys of the same name as one of the spec's `inference` section, whose value they take where they are
    None."""


class DatasetConfig(ComponentConfig):
    """Config of a data set; also tells which splits it has, so that a misspelt one is found early."""

    def split_names(self) -> tuple[str, ...] | None:
        """Return the names of the splits, like `Dataset.splits`; None if only the data tell them."""
        return None


class FrontEndConfig(ComponentConfig):
    """Config of a front end; also tells the wiring check what the front end promises."""

    def output(self) -> FeatureSpec:
        """Return what this front end produces. Must not import torch."""
        raise TypeError(f"{type(self).__name__} does not define output() -> FeatureSpec")


class BackboneConfig(ComponentConfig):
    """Config of a backbone; also tells the wiring check what it takes and produces."""

    def output(self, features: FeatureSpec) -> SphereSpec:
        """Return what this backbone makes of `features`. Must not import torch.

        Raises:
            sai_bench.errors.WiringError: it cannot take these features; the message says which it can.
        """
        raise TypeError(f"{type(self).__name__} does not define output(features) -> SphereSpec")


class LossConfig(ComponentConfig):
    """Which losses a decoder is trained with, and their weights: the keys of a training stage's `losses`."""

    loss_weights: ClassVar[tuple[str, ...]] = ()
    """The keys that are weights of losses; if there are any, one of them must be above 0."""

    @model_validator(mode="after")
    def _something_is_learned(self) -> LossConfig:
        if self.loss_weights and not any(getattr(self, key) for key in self.loss_weights):
            raise ValueError(
                f"all weights are 0 ({', '.join(self.loss_weights)}), so nothing would be learned. Set one "
                "of them above 0."
            )
        return self


class DecoderConfig(ComponentConfig):
    """Config of a decoder; also tells the wiring check what it takes and produces."""

    losses: ClassVar[type[LossConfig] | None] = None
    """The keys of `losses` in a training stage; None: this decoder cannot be trained."""

    def output(self, sphere: SphereSpec) -> CandidateSpec:
        """Return what this decoder makes of `sphere`. Must not import torch.

        Raises:
            sai_bench.errors.WiringError: it cannot take this map; the message says which it can.
        """
        raise TypeError(f"{type(self).__name__} does not define output(sphere) -> CandidateSpec")

    def context_frames(self) -> int:
        """Return to how many label frames on either side a trained decoder looks for a frame's candidates.

        Where `inference.context_s` is shorter, frames at the ends of segments get less than the others, and
        `sai-bench check` and whatever uses the system say so.
        """
        return 0


class SourcedStr(str):
    """Text from a spec that remembers the folder of the file it was written in."""

    folder: Path

    def __new__(cls, text: str, folder: Path):
        """Make the text; `folder` is what relative paths in it are relative to."""
        self = super().__new__(cls, text)
        self.folder = folder
        return self


def _resolve(value: object) -> object:
    if isinstance(value, SourcedStr):
        return (value.folder / Path(value).expanduser()).resolve()
    return value


def _resolve_file(value: object) -> object:
    if value == "":
        raise ValueError("expected the name of a file, got an empty text")
    return _resolve(value)


SpecPath = Annotated[Path, BeforeValidator(_resolve)]
"""A path in a spec: relative to the spec file that it is written in, absolute after validation."""

MUST_BE_THERE = "must be there"

SpecFile = Annotated[Path, BeforeValidator(_resolve_file), MUST_BE_THERE]
"""A `SpecPath` of a file that is read. `sai-bench check` and whatever begins long work say if it is missing;
a spec may still be loaded without it."""
