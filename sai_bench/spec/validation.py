"""Checks a merged spec in two steps: find each component by kind and name, then ask its own config model.

There is no giant union of all configs, so that a message speaks about the one component that was named.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from sai_bench.config import LossConfig, SourcedStr
from sai_bench.errors import PluginError, UnknownComponentError
from sai_bench.registry import Registry
from sai_bench.spec import wiring
from sai_bench.spec.models import (
    SYSTEM_KINDS,
    ComponentSpec,
    EvaluationKeys,
    EvaluationSettings,
    ExportSettings,
    Header,
    InferenceSettings,
    SystemKeys,
    SystemSpec,
)
from sai_bench.spec.problems import Mark, Problem
from sai_bench.spec.pydantic_messages import booleans_as_numbers, explain
from sai_bench.spec.training_settings import (
    STAGE_NAME,
    STAGE_SETTINGS,
    DetectorStageSettings,
    PriorStageSettings,
    TrainingStage,
)
from sai_bench.spec.yaml_source import Node, describe

SECTIONS = ("plugins", "data", "system", "training", "inference", "export", "evaluation", "variants")
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Sections:
    """The validated sections of a spec; None where one is absent or wrong."""

    header: Header | None
    data: ComponentSpec | None
    system: SystemSpec | None
    training: tuple[TrainingStage, ...] | None
    inference: InferenceSettings | None
    export: ExportSettings | None
    evaluation: EvaluationSettings | None


def validate(tree: Node, registry: Registry, folder: Path) -> tuple[Sections, list[Problem]]:
    """Check everything in a spec except its plugins and variants.

    Args:
        tree: the merged spec.
        registry: the components to choose from.
        folder: the spec's folder, for `ComponentSpec.resolved`.

    Returns:
        (sections, problems); the sections are whole if there are no problems.
    """
    check = _Check(registry, folder)
    sections = Sections(
        header=check.header(tree),
        data=check.component("dataset", tree.child("data"), ("data",)),
        system=(system := check.system(tree.child("system"))),
        training=check.training(tree.child("training"), system),
        inference=check.settings(InferenceSettings, _section(tree, "inference"), ("inference",)),
        export=check.settings(ExportSettings, _section(tree, "export"), ("export",)),
        evaluation=check.evaluation(_section(tree, "evaluation")),
    )
    kept_and_exported = (sections.inference, sections.export, check.candidates)
    check.problems += wiring.check_settings(*kept_and_exported, tree)
    learned_and_scored = (sections.data, sections.training, sections.evaluation)
    check.problems += wiring.check_splits(*learned_and_scored, tree)
    return sections, check.problems


def _section(tree: Node, key: str) -> Node:
    """Return a section that may be left out: all its keys have defaults."""
    return tree.child(key) or Node({}, tree.mark)


def _given(node: Node, key: str) -> Node | None:
    """Return what stands under a key, None if nothing does; null drops what was inherited."""
    child = node.child(key)
    return None if child is None or child.value is None else child


class _Check:
    """Validates section by section and collects every problem."""

    def __init__(self, registry: Registry, folder: Path):
        self.registry = registry
        self.folder = folder
        self.problems: list[Problem] = []
        self.candidates = None

    def report(self, mark: Mark, path: tuple[str, ...], message: str) -> None:
        self.problems.append(Problem(mark, ".".join(path), message))

    def header(self, tree: Node) -> Header | None:
        singles = {k: child for k, child in tree.value.items() if k not in SECTIONS}
        if tree.child("system") is not None and "name" not in singles:
            self.report(tree.mark, ("name",), "missing. A spec with a system needs a name.")
        return self.settings(Header, Node(singles, tree.mark), (), also_known=SECTIONS)

    def settings(
        self, model: type[Model], node: Node, path: tuple[str, ...], also_known: tuple[str, ...] = ()
    ) -> Model | None:
        """Validate one mapping with one pydantic model."""
        if not self.is_mapping(node, path):
            return None
        before = len(self.problems)
        try:
            validated = model.model_validate(node.plain())
        except ValidationError as error:
            self.problems += explain(error, model, node, path, also_known)
            return None
        except (Exception, SystemExit) as error:  # a plugin's validator may raise anything
            self.report(node.mark, path, f"{model.__name__} failed ({type(error).__name__}: {error}).")
            return None
        self.problems += booleans_as_numbers(node, validated.model_dump(), path)
        return validated if len(self.problems) == before else None

    def component(self, kind: str, node: Node | None, path: tuple[str, ...]) -> ComponentSpec | None:
        """Validate one component: its name against the registry, its keys against its own model."""
        if node is None or not self.is_component(kind, node, path):
            return None
        use = node.child("use")
        try:
            registration = self.registry.get(kind, str(use.value))
            model = registration.load_config()
        except (UnknownComponentError, PluginError) as error:
            self.report(use.mark, (*path, "use"), str(error))
            return None
        keys = Node({k: child for k, child in node.value.items() if k != "use"}, node.mark)
        config = self.settings(model, keys, path, also_known=("use",))
        if config is None:
            return None
        return ComponentSpec(kind, registration.name, config, registration, self.folder)

    def is_mapping(self, node: Node, path: tuple[str, ...]) -> bool:
        if not isinstance(node.value, dict):
            self.report(node.mark, path, f"expected a mapping of keys, got {describe(node)}.")
        return isinstance(node.value, dict)

    def is_component(self, kind: str, node: Node, path: tuple[str, ...]) -> bool:
        """Return whether a mapping with a name under `use` stands here; report what does instead."""
        available = f"Available: {', '.join(self.registry.names(kind)) or 'none'}."
        if not isinstance(node.value, dict):
            hint = f" Did you mean {{use: {node.value}}}?" if isinstance(node.value, str) else ""
            message = f"expected a mapping with the key 'use', got {describe(node)}.{hint} {available}"
            self.report(node.mark, path, message)
            return False
        use = node.child("use")
        if use is None:
            close = difflib.get_close_matches("use", node.value, n=1)
            hint = f" Did you mean 'use' where it says '{close[0]}'?" if close else ""
            self.report(node.mark, (*path, "use"), f"missing.{hint} It names the {kind}. {available}")
            return False
        if not isinstance(use.value, SourcedStr):
            message = f"expected the name of a {kind}, got {describe(use)}. {available}"
            self.report(use.mark, (*path, "use"), message)
        return isinstance(use.value, SourcedStr)

    def system(self, node: Node | None) -> SystemSpec | None:
        if node is None or not self.is_mapping(node, ("system",)):
            return None
        keys = {k: child for k, child in node.value.items() if k not in SYSTEM_KINDS}
        general = self.settings(SystemKeys, Node(keys, node.mark), ("system",), also_known=SYSTEM_KINDS)
        parts = {kind: self.component(kind, node.child(kind), ("system", kind)) for kind in SYSTEM_KINDS}
        for kind in SYSTEM_KINDS:
            if node.child(kind) is None:
                available = ", ".join(self.registry.names(kind)) or "none"
                self.report(node.mark, ("system", kind), f"missing. Available: {available}.")
        heard = general and general.microphones
        self.candidates, unfit = wiring.check_chain(parts, heard, node)
        self.problems += unfit
        if general is None or None in parts.values():
            return None
        return SystemSpec(general.microphones, **parts, weights=general.weights, folder=self.folder)

    def training(self, node: Node | None, system: SystemSpec | None) -> tuple[TrainingStage, ...] | None:
        """Validate the stages in their order; null stands for an inherited stage that is dropped."""
        if node is None or node.value is None:
            return ()
        if not self.is_mapping(node, ("training",)):
            return None
        stages = []
        for name, child in node.value.items():
            if not re.fullmatch(STAGE_NAME, name):
                message = "a stage's name consists of lower case letters, digits and underscores."
                self.report(child.mark, ("training", name), message)
            elif child.value is not None:
                stages.append(self.stage(name, child, system))
        if None in stages:
            return None
        for stage in [stage for stage in stages if not stage.trains_detector][1:]:
            message = "a second stage that trains the prior, which is fitted once. Remove one of them."
            self.report(node.child(stage.name).mark, ("training", stage.name), message)
        return tuple(stages)

    def stage(self, name: str, node: Node, system: SystemSpec | None) -> TrainingStage | None:
        path = ("training", name)
        if not self.is_mapping(node, path):
            return None
        own = {"data", "losses"}
        trains = node.child("trains")
        part = trains.value if trains is not None else "detector"
        if not isinstance(part, str) or part not in STAGE_SETTINGS:
            message = f"expected 'detector' or 'prior', got {describe(trains)}."
            self.report(trains.mark, (*path, "trains"), message)
            return None
        model = STAGE_SETTINGS[part]
        keys = Node({k: child for k, child in node.value.items() if k not in own}, node.mark)
        settings = self.settings(model, keys, path, also_known=tuple(own))
        data = self.component("dataset", _given(node, "data"), (*path, "data"))
        losses = self.losses(node, path, system) if model is DetectorStageSettings else None
        if model is PriorStageSettings and _given(node, "losses") is not None:
            message = "a prior learns by its own keys, below system.prior. Remove this."
            self.report(node.child("losses").mark, (*path, "losses"), message)
        if settings is None or (data is None and _given(node, "data") is not None):
            return None
        return TrainingStage(name, settings, data, losses, self.folder)

    def losses(self, node: Node, path: tuple[str, ...], system: SystemSpec | None) -> LossConfig | None:
        """Validate the losses of a stage with the model that its decoder names."""
        if system is None:
            return None
        decoder = system.decoder
        if not system.networks() or decoder.config.losses is None:
            message = (
                f"decoder '{decoder.name}' cannot be trained. Take one that can "
                f"({', '.join(self.trainable_decoders()) or 'none is registered'}) or remove this stage."
            )
            self.report(node.mark, path, message)
            return None
        given = _given(node, "losses") or Node({}, node.mark)
        return self.settings(decoder.config.losses, given, (*path, "losses"))

    def trainable_decoders(self) -> list[str]:
        """Return the decoders whose config names losses."""
        found = []
        for name in self.registry.names("decoder"):
            with contextlib.suppress(PluginError):
                if self.registry.get("decoder", name).load_config().losses is not None:
                    found.append(name)
        return found

    def evaluation(self, node: Node) -> EvaluationSettings | None:
        if not self.is_mapping(node, ("evaluation",)):
            return None
        keys = {k: child for k, child in node.value.items() if k != "metrics"}
        general = self.settings(
            EvaluationKeys, Node(keys, node.mark), ("evaluation",), also_known=("metrics",)
        )
        metrics = self.metrics(node.child("metrics"), ("evaluation", "metrics"))
        if general is None or None in metrics:
            return None
        return EvaluationSettings(general.split, general.pictures, metrics)

    def metrics(self, node: Node | None, path: tuple[str, ...]) -> tuple[ComponentSpec | None, ...]:
        if node is None:
            return ()
        if not isinstance(node.value, list):
            message = f"expected a list of metrics (`- use: ...`), got {describe(node)}."
            self.report(node.mark, path, message)
            return (None,)
        found = [self.component("metric", n, (*path, str(i))) for i, n in enumerate(node.value)]
        seen: set[str] = set()
        for item, metric in zip(node.value, found, strict=True):
            if metric is None:
                continue
            if metric.name in seen:
                message = f"'{metric.name}' stands here twice. Remove one; a variant can have other keys."
                self.report(item.mark, path, message)
            seen.add(metric.name)
        return tuple(found)
