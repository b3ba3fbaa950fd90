"""A loaded spec: what `load_spec` returns and everybody else works with."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sai_bench.config import SourcedStr
from sai_bench.errors import PluginError, SpecError
from sai_bench.files import safe_name
from sai_bench.plugin_loading import LoadedPlugins, add_plugin_file, load_plugins
from sai_bench.registry import Registry
from sai_bench.spec.json_schema import VARIANT_NAME
from sai_bench.spec.merging import check_dotted, merge, override_tree, read_tree
from sai_bench.spec.models import (
    ComponentSpec,
    EvaluationSettings,
    ExportSettings,
    InferenceSettings,
    SystemSpec,
    relative_to_folder,
)
from sai_bench.spec.problems import Mark, Problem, shown_path, spec_error
from sai_bench.spec.training_settings import TrainingStage
from sai_bench.spec.validation import Sections, validate
from sai_bench.spec.yaml_source import Node, describe

_IN_VARIANTS = ("seed", "data", "system", "training", "inference", "export", "evaluation")


@dataclass(frozen=True)
class Spec:
    """A spec that has been read, merged, overridden and checked.

    Attributes:
        path: the file, absolute.
        name: what the system is called; a fragment without a name is called like its file.
        seed: seed of everything random.
        data: the data set, None in a spec without one.
        system: None in a fragment.
        training: stages in the order in which they run; none if nothing is trained.
        inference: how recordings go through the detector.
        export: what becomes a detection.
        evaluation: what is scored.
        variants: further systems by name; each is this spec with the variant's values laid on it.
        plugins: the registry that the components come from, with this spec's single-file plugins.
    """

    path: Path
    name: str
    seed: int
    data: ComponentSpec | None
    system: SystemSpec | None
    training: tuple[TrainingStage, ...]
    inference: InferenceSettings
    export: ExportSettings
    evaluation: EvaluationSettings
    variants: dict[str, Spec] = field(default_factory=dict)
    plugins: LoadedPlugins = field(default_factory=LoadedPlugins, repr=False)

    @property
    def folder(self) -> Path:
        """Return the folder that relative paths in `resolved()` start from."""
        return self.path.parent

    def resolved(self) -> dict:
        """Return the whole spec with every default written out, JSON-ready.

        Paths are relative to the spec's folder, so that the result is the same on another machine; written
        as YAML into that folder it loads as the same spec (if all paths lie near it, see
        `relative_to_folder`).
        """
        plain = {
            "name": self.name,
            "seed": self.seed,
            "plugins": [relative_to_folder(Path(file), self.folder) for file in self.plugins.files],
            **self._sections(),
        }
        variants = {name: _differences(self, variant) for name, variant in self.variants.items()}
        return plain | {"variants": variants}

    def _sections(self) -> dict:
        optional = {"data": self.data, "system": self.system}
        return {key: part.resolved() for key, part in optional.items() if part is not None} | {
            **self._training(),
            "inference": self.inference.model_dump(mode="json"),
            "export": self.export.model_dump(mode="json"),
            "evaluation": self.evaluation.resolved(),
        }

    def _training(self) -> dict:
        stages = {stage.name: stage.resolved() for stage in self.training}
        return {"training": stages} if stages else {}

    def parts(self) -> dict[str, object]:
        """Return what a variant may change, resolved, by dotted path: each component and section a value."""
        parts = {"seed": self.seed, **self._sections()}
        for section in ("system", "training"):
            inner = parts.pop(section, {})
            parts |= {f"{section}.{key}": value for key, value in inner.items()}
        return parts

    @property
    def sha256(self) -> str:
        """Return the hash of the canonical JSON of `resolved()`."""
        text = json.dumps(self.resolved(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def require_system(self) -> SystemSpec:
        """Return the system.

        Raises:
            SpecError: the spec is a fragment without one.
        """
        if self.system is None:
            raise SpecError([f"{shown_path(self.path)}: system: missing, and this command needs a system."])
        return self.system

    def require_data(self) -> ComponentSpec:
        """Return the data set.

        Raises:
            SpecError: the spec has none.
        """
        if self.data is None:
            raise SpecError(
                [
                    f"{shown_path(self.path)}: data: missing, and this command needs a data set. Write a "
                    f"spec with `extends: {self.path.name}` and a section `data`, such as "
                    "{use: simulated_rooms, folder: ../data}."
                ]
            )
        return self.data


def load_spec(
    path: str | Path,
    *,
    overrides: Sequence[str] = (),
    plugin_files: Sequence[Path] = (),
    plugins: LoadedPlugins | None = None,
) -> Spec:
    """Read a spec and check everything in it that can be known before building.

    Args:
        path: the YAML file.
        overrides: `PATH=VALUE` texts that win over the file, such as `system.fusion.alpha=0.3`.
        plugin_files: single-file plugins besides those that the spec names.
        plugins: what has been loaded already (left unchanged); default: the installed plugins.

    Raises:
        SpecError: with all problems, sorted by file and line.
        PluginError: an installed plugin is broken and the environment asks for strictness.
    """
    path = Path(path)
    tree, reading = read_tree(path, overrides)
    loading: list[Problem] = []
    loaded = _own_copy(plugins if plugins is not None else load_plugins())
    for file in plugin_files:
        loading += _load_plugin(loaded, Path(file), Mark(f"--plugin {file}"), "")
    loading += _load_named_plugins(loaded, tree.child("plugins"))
    reader = _Reader(Path(os.path.abspath(path)), loaded)
    spec, checking = reader.read(tree)
    # A value that could not be read was reported already; what the check says about it is an echo.
    told = {(problem.mark, problem.path) for problem in reading}
    problems = [*reading, *loading, *(p for p in checking if (p.mark, p.path) not in told)]
    if problems:
        raise spec_error(problems)
    return spec


def _own_copy(plugins: LoadedPlugins) -> LoadedPlugins:
    registry = Registry()
    registry.add_all(list(plugins.registry))
    return LoadedPlugins(registry, list(plugins.warnings), dict(plugins.files))


def _load_named_plugins(loaded: LoadedPlugins, node: Node | None) -> list[Problem]:
    """Load the files under `plugins:`; return what is wrong with them."""
    if node is None:
        return []
    if not isinstance(node.value, list):
        return [Problem(node.mark, "plugins", f"expected a list of Python files, got {describe(node)}.")]
    problems = []
    for index, item in enumerate(node.value):
        path = f"plugins.{index}"
        if isinstance(item.value, SourcedStr) and item.value:
            file = item.value.folder / os.path.expanduser(item.value)
            problems += _load_plugin(loaded, file, item.mark, path)
        else:
            message = f"expected the path of a Python file, got {describe(item)}."
            problems.append(Problem(item.mark, path, message))
    return problems


def _load_plugin(loaded: LoadedPlugins, file: Path, mark: Mark, path: str) -> list[Problem]:
    try:
        add_plugin_file(loaded, Path(shown_path(file)))
    except (PluginError, ValueError) as error:
        return [Problem(mark, path, str(error))]
    return []


class _Reader:
    """Turns merged trees of one file into specs: the main one and its variants."""

    def __init__(self, path: Path, loaded: LoadedPlugins):
        self.path = path.parent.resolve() / path.name
        self.loaded = loaded

    def read(self, tree: Node) -> tuple[Spec | None, list[Problem]]:
        """Return (spec, problems); the spec is None if there are problems."""
        sections, problems = validate(tree, self.loaded.registry, self.path.parent)
        variants, wrong = self._variants(tree, set(problems), self._name(sections))
        problems = [*problems, *wrong]
        return (None if problems else self._spec(sections, variants)), problems

    def _spec(self, sections: Sections, variants: dict[str, Spec]) -> Spec:
        return Spec(
            path=self.path,
            name=self._name(sections),
            seed=sections.header.seed,
            data=sections.data,
            system=sections.system and sections.system.with_inference(sections.inference),
            training=sections.training,
            inference=sections.inference,
            export=sections.export,
            evaluation=sections.evaluation,
            variants=variants,
            plugins=self.loaded,
        )

    def _name(self, sections: Sections) -> str:
        header = sections.header
        return (header.name if header else None) or safe_name(self.path.stem)

    def _variants(
        self, tree: Node, known: set[Problem], spec_name: str
    ) -> tuple[dict[str, Spec], list[Problem]]:
        node = tree.child("variants")
        if node is None or node.value is None:
            return {}, []
        if not isinstance(node.value, dict):
            return {}, [Problem(node.mark, "variants", f"expected a mapping of names, got {describe(node)}.")]
        base = Node({key: child for key, child in tree.value.items() if key != "variants"}, tree.mark)
        found, problems = {}, []
        for name, changes in node.value.items():
            wrong = _malformed_changes(name, changes)
            if name == spec_name:
                message = "a variant cannot be named like the spec, whose own results stand under that name."
                wrong.append(Problem(changes.mark, f"variants.{name}", message))
            if not wrong:
                sections, wrong = self._variant(name, base, changes, known)
                if not wrong and not known:
                    found[name] = self._spec(sections, {})
            problems += wrong
        return found, problems

    def _variant(
        self, name: str, base: Node, changes: Node, known: set[Problem]
    ) -> tuple[Sections, list[Problem]]:
        """Check one variant; what is wrong with the main spec is not said again."""
        changed = merge(base, override_tree(changes.value.items()))
        sections, problems = validate(changed, self.loaded.registry, self.path.parent)
        own_marks = changes.marks()
        return sections, [
            Problem(
                problem.mark if problem.mark in own_marks else changes.mark,
                f"variants.{name}.{problem.path}",
                problem.message,
            )
            for problem in problems
            if problem not in known
        ]


def _malformed_changes(name: str, changes: Node) -> list[Problem]:
    path = f"variants.{name}"
    if not re.fullmatch(VARIANT_NAME, name):
        message = "a variant's name consists of lower case letters, digits and underscores."
        return [Problem(changes.mark, path, message)]
    if not isinstance(changes.value, dict):
        message = f"expected keys such as `system.fusion.alpha: 0.3`, got {describe(changes)}."
        return [Problem(changes.mark, path, message)]
    problems = []
    for key, child in changes.value.items():
        if not check_dotted(key):
            problems.append(Problem(child.mark, f"{path}.{key}", "expected a dotted path of keys."))
        elif key.split(".")[0] in ("name", "plugins", "extends", "variants"):
            message = f"a variant cannot change this. It can: {', '.join(_IN_VARIANTS)}."
            problems.append(Problem(child.mark, f"{path}.{key}", message))
    return problems


def _differences(spec: Spec, variant: Spec) -> dict:
    """Return what a variant changes, as dotted path -> value: a component, a stage or a section each."""
    old, new = spec.parts(), variant.parts()
    dropped = {path: None for path in old if path not in new and path.startswith("training.")}
    return dropped | {path: value for path, value in new.items() if old.get(path) != value}
