"""Whether the parts of a spec fit together, asked of their configs before anything is built.

front_end.config.output() -> FeatureSpec -> backbone.config.output(features) -> SphereSpec ->
decoder.config.output(sphere) -> CandidateSpec. Prior, fusion and compressor fit everything. Splits that
are named must be among those that the data set's config tells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sai_bench.config import DatasetConfig
from sai_bench.errors import WiringError, did_you_mean
from sai_bench.grid import FRAME_S, FRAMES_PER_S
from sai_bench.interfaces import CandidateSpec, FeatureSpec, SphereSpec
from sai_bench.spec.models import (
    ComponentSpec,
    EvaluationSettings,
    ExportSettings,
    InferenceSettings,
    Microphones,
    SystemSpec,
)
from sai_bench.spec.problems import Problem
from sai_bench.spec.training_settings import TrainingStage
from sai_bench.spec.yaml_source import Node

_MIC_CAPSULES = 4
"""What `system.microphones: mic` hears."""

_CHAIN = (("front_end", FeatureSpec), ("backbone", SphereSpec), ("decoder", CandidateSpec))


def check_chain(
    parts: Mapping[str, ComponentSpec | None], microphones: Microphones | None, system: Node
) -> tuple[CandidateSpec | None, list[Problem]]:
    """Follow the signal from front end to candidates.

    Args:
        parts: the components by kind; None where one is missing or wrong.
        microphones: which channels the system hears, None if that is wrong.
        system: the spec's `system` section.

    Returns:
        (what the decoder promises, problems). The first component that does not fit ends the walk.
    """
    given = ()
    for kind, promised in _CHAIN:
        component = parts[kind]
        if component is None:
            return None, []
        try:
            output = component.config.output(*given)
            message = _broken_promise(component, output, promised)
            if message is None and kind == "front_end":
                message = _other_microphones(component, output, microphones)
        except WiringError as error:
            message = str(error)
        except (Exception, SystemExit) as error:  # a plugin's output() may raise anything
            message = (
                f"{kind} '{component.name}' cannot say what it produces ({type(error).__name__}: {error})."
            )
        if message is not None:
            return None, [Problem(system.child(kind).mark, f"system.{kind}", message)]
        given = (output,)
    return output, []


def _broken_promise(component: ComponentSpec, output: object, promised: type) -> str | None:
    if isinstance(output, promised):
        return None
    config = type(component.config).__name__
    return f"{config}.output() returned a {type(output).__name__}, expected a {promised.__name__}."


def _other_microphones(
    front_end: ComponentSpec, features: FeatureSpec, microphones: Microphones | None
) -> str | None:
    needed = features.microphones
    if microphones != "mic" or needed in (None, _MIC_CAPSULES):
        return None
    return (
        f"'{front_end.name}' hears {needed} microphones, but system.microphones = mic are {_MIC_CAPSULES}. "
        f"Set system.front_end.microphones to {_MIC_CAPSULES}, or system.microphones to all for recordings "
        f"with {needed} channels."
    )


def check_settings(
    inference: InferenceSettings | None,
    export: ExportSettings | None,
    candidates: CandidateSpec | None,
    tree: Node,
) -> list[Problem]:
    """Return the contradictions between what is kept of the detector's output and what is exported.

    Args:
        inference: None if it is wrong.
        export: None if it is wrong.
        candidates: what the decoder promises, None if unknown.
        tree: the whole spec.
    """
    if inference is None or export is None:
        return []
    found = []
    if export.mask_energy < inference.stored_energy:
        message = (
            f"{export.mask_energy:g} has no effect: it lies below inference.stored_energy = "
            f"{inference.stored_energy:g}, and weaker points are not stored. Lower that or raise this."
        )
        found.append(("mask_energy", "stored_energy", message))
    if export.score_threshold < inference.score_floor:
        message = (
            f"{export.score_threshold:g} has no effect: it lies below inference.score_floor = "
            f"{inference.score_floor:g}, and weaker candidates are not kept. Lower that or raise this."
        )
        found.append(("score_threshold", "score_floor", message))
    per_mask = math.ceil(candidates.candidates / max(1, candidates.masks)) if candidates else 0
    if candidates and export.detections_per_frame > inference.masks_per_frame * per_mask:
        message = (
            f"{export.detections_per_frame} detections a frame cannot come from inference.masks_per_frame = "
            f"{inference.masks_per_frame} masks with {per_mask} candidates each. Raise masks_per_frame."
        )
        found.append(("detections_per_frame", "masks_per_frame", message))
    return [_contradiction(tree, *contradiction) for contradiction in found]


def _contradiction(tree: Node, exported: str, kept: str, message: str) -> Problem:
    """Place a contradiction at the key of `export`, else at that of `inference` (one of them is written)."""
    path, node = f"export.{exported}", None
    for section, key in (("export", exported), ("inference", kept)):
        holder = tree.child(section)
        node = node or (holder.child(key) if holder else None)
    return Problem((node or tree).mark, path, message)


def check_splits(
    data: ComponentSpec | None,
    training: Sequence[TrainingStage] | None,
    evaluation: EvaluationSettings | None,
    tree: Node,
) -> list[Problem]:
    """Return which splits are named that their data set has not, as far as its config can tell.

    Args:
        data: the spec's data set, None if it has none or a wrong one.
        training: the stages, None if one is wrong.
        evaluation: None if it is wrong; what a spec without a system says there is of no interest.
        tree: the whole spec.
    """
    wanted: list[tuple[ComponentSpec | None, str | None, tuple[str, ...]]] = []
    if evaluation is not None and tree.child("system") is not None:
        wanted.append((data, evaluation.split, ("evaluation", "split")))
    for stage in training or ():
        for key in ("split", "validation_split"):
            split = getattr(stage.settings, key, None)
            wanted.append((stage.data or data, split, ("training", stage.name, key)))
    return [
        Problem(_nearest(tree, path).mark, ".".join(path), message)
        for component, split, path in wanted
        if component is not None and split is not None and (message := _no_such_split(component, split))
    ]


def notes_on_context(system: SystemSpec, inference: InferenceSettings) -> tuple[str, ...]:
    """Return a note if the frames at the ends of segments are heard with less around them than the others.

    That is no mistake: such a frame is then treated like one at the end of a recording.
    """
    config, component = system.decoder.config, system.decoder
    wanted, given = config.context_frames(), round(inference.context_s * FRAMES_PER_S)
    if wanted <= given:
        return ()
    return (
        f"decoder {component.name} looks {wanted} label frames to either side, inference.context_s = "
        f"{inference.context_s:g} gives {given}: frames at the ends of segments get less than the others. "
        f"Set inference.context_s to {wanted * FRAME_S:g} or more.",
    )


def _no_such_split(data: ComponentSpec, split: str) -> str:
    """Return what is wrong with the name of a split; nothing if it is right or nobody can tell."""
    if not isinstance(data.config, DatasetConfig):
        return ""
    try:
        splits = data.config.split_names()
        if splits is None or split in splits:
            return ""
        known = f"{did_you_mean(split, splits)} Splits: {', '.join(splits)}."
    except (Exception, SystemExit) as error:  # a plugin's split_names() may raise anything
        return f"data set '{data.name}' cannot say which splits it has ({type(error).__name__}: {error})."
    return f"data set '{data.name}' has no split '{split}'.{known}"


def _nearest(tree: Node, path: Sequence[str]) -> Node:
    """Return the node of a key, or the innermost one around it that is written."""
    child = tree.child(path[0]) if path else None
    return tree if child is None else _nearest(child, path[1:])
