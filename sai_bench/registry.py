"""What is registered: components by kind and name, held as strings until somebody needs the class."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sai_bench.errors import PluginError, UnknownComponentError, did_you_mean

if TYPE_CHECKING:
    from sai_bench.config import ComponentConfig

KINDS = {
    "front_end": "waveform [B,M,S] -> features [B,C,T,F]",
    "backbone": "features [B,C,T,F] -> sphere features [B,N,D,h,w]",
    "decoder": "sphere features -> candidates: classes, scores, masks",
    "prior": "waveform [M,S] -> class activity [K,N]",
    "fusion": "detector scores and class activity -> new scores",
    "compressor": "point sets -> smaller point sets",
    "dataset": "split name -> recordings with labels",
    "metric": "predictions and labels -> named numbers",
}
"""The component kinds in the order of the signal, with what goes in and comes out."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Origin:
    """Where a component comes from.

    Attributes:
        label: for people: `sai-bench 0.1.0` or the path of a single-file plugin.
        path: the file of a single-file plugin, None for an installed distribution.
        code_sha256: hash of that file and what it imports, when it was loaded.
    """

    label: str
    path: Path | None = None
    code_sha256: str | None = None


@dataclass(frozen=True)
class Registration:
    """One component as registered.

    Attributes:
        target: the class, as `"module:Class"` or (single-file plugins) the class itself.
        config: its pydantic config model, likewise.
    """

    kind: str
    name: str
    target: str | type
    config: str | type
    summary: str
    origin: Origin

    def load_class(self) -> type:
        """Import and return the component's class.

        Raises:
            PluginError: it cannot be imported, or is no complete component of its kind.
        """
        from sai_bench.interfaces import KIND_CLASSES

        if isinstance(self.target, str):
            module = self.target.partition(":")[0]
            # The import below has more to say about a module that is missing or wrong.
            with contextlib.suppress(PluginError, SyntaxError):
                _CODE_AT_IMPORT.setdefault(module, _code_of_module(module))
        component, base = self._load(self.target), KIND_CLASSES[self.kind]
        where = f"{self.kind} '{self.name}' from {self.origin.label}: {component.__name__}"
        if not issubclass(component, base):
            raise PluginError(f"{where} is no {base.__name__}. Derive it from sai_bench.{base.__name__}.")
        missing = sorted(getattr(component, "__abstractmethods__", ()))
        if missing:
            raise PluginError(
                f"{where} does not define {', '.join(missing)}. See `sai_bench.{base.__name__}`."
            )
        return component

    def code_sha256(self) -> str:
        """Return the hash of the source code behind this component, as it runs in this process.

        Once the class is imported this is the code of that moment: Python does not notice later edits.
        """
        from sai_bench.interfaces import KIND_CLASSES

        # The base class does part of every component's work.
        parts = [_code_of_module(KIND_CLASSES[self.kind].__module__)]
        if self.origin.code_sha256 is not None:
            parts.append(self.origin.code_sha256)
        if isinstance(self.target, str):
            parts.append(_code_of_module(self.target.partition(":")[0]))
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    def description(self) -> str:
        """Return what the docstring of the component's class says, empty if it has none.

        Where the class stands in its module's source it is read there: importing it may bring torch.

        Raises:
            PluginError: the class has to be imported and cannot be.
        """
        written = _written_docstring(self.target) if isinstance(self.target, str) else None
        return written or inspect.getdoc(self.load_class()) or ""

    def load_config(self) -> type[ComponentConfig]:
        """Import and return the component's config model."""
        model = self._load(self.config)
        from sai_bench.config import ComponentConfig

        if not issubclass(model, ComponentConfig):
            raise PluginError(
                f"{self.kind} '{self.name}' from {self.origin.label}: its config {model.__name__} is no "
                "sai_bench.ComponentConfig. Derive the config model from sai_bench.ComponentConfig."
            )
        return model

    def _load(self, target: str | type) -> type:
        if not isinstance(target, str):
            return target
        module, _, attribute = target.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"{self.kind} '{self.name}' from {self.origin.label}: cannot import {target} "
                f"({type(error).__name__}: {error}). Repair the plugin or remove it from the spec."
            ) from error
        if not isinstance(found, type):
            raise PluginError(
                f"{self.kind} '{self.name}' from {self.origin.label}: {target} is a "
                f"{type(found).__name__}, expected a class."
            )
        return found


def _written_docstring(target: str) -> str | None:
    """Return the docstring of a class `"module:Class"` from its source, None if it cannot be found there."""
    from sai_bench.code_fingerprint import source_path

    module, _, name = target.partition(":")
    path = source_path(module)
    if path is None or path.suffix != ".py":
        return None
    with contextlib.suppress(SyntaxError):
        for node in ast.parse(path.read_bytes()).body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return ast.get_docstring(node)
    return None


_CODE_AT_IMPORT: dict[str, str] = {}
"""Module -> hash of the code behind it when this process imported it, as `sys.modules` holds the module."""


def _code_of_module(module: str) -> str:
    from sai_bench.code_fingerprint import code_fingerprint

    try:
        return _CODE_AT_IMPORT.get(module) or code_fingerprint(module)
    except ModuleNotFoundError as error:
        raise PluginError(f"{error}. Install the package that a component comes from.") from error


class Registry:
    """All components of this process, filled by plugin loading and read by everybody else."""

    def __init__(self):
        self._components: dict[tuple[str, str], Registration] = {}

    def __iter__(self) -> Iterator[Registration]:
        order = list(KINDS)
        return iter(sorted(self._components.values(), key=lambda c: (order.index(c.kind), c.name)))

    def __len__(self) -> int:
        return len(self._components)

    def names(self, kind: str) -> list[str]:
        """Return the sorted names of one kind."""
        return sorted(name for k, name in self._components if k == kind)

    def get(self, kind: str, name: str) -> Registration:
        """Return one registration.

        Raises:
            UnknownComponentError: no such kind or name; the message suggests the closest.
        """
        if kind not in KINDS:
            raise unknown_kind(kind)
        try:
            return self._components[kind, name]
        except KeyError:
            available = self.names(kind)
            raise UnknownComponentError(
                f"Unknown {kind} '{name}'.{did_you_mean(name, available)} "
                f"Available: {', '.join(available) or 'none'}."
            ) from None

    def add_all(self, registrations: list[Registration]) -> None:
        """Add the registrations of one plugin: all of them, or none.

        Raises:
            PluginError: a name is taken; the message names both origins.
        """
        staged = dict(self._components)
        for new in registrations:
            old = staged.get((new.kind, new.name))
            if old is not None:
                raise PluginError(
                    f"Two {new.kind} components are named '{new.name}': one from {old.origin.label}, "
                    f"one from {new.origin.label}. Rename one of them."
                )
            staged[new.kind, new.name] = new
        self._components = staged


@dataclass
class Registrar:
    """What a plugin's hook receives: collects registrations until the plugin has finished."""

    origin: Origin
    registrations: list[Registration] = field(default_factory=list)

    def component(
        self, kind: str, name: str, target: str | type, *, config: str | type, summary: str
    ) -> None:
        """Register one component.

        Args:
            kind: one of the eight kinds, such as `"fusion"`.
            name: what a spec says after `use:`; lower case letters, digits and underscores.
            target: the class as `"module:Class"`, or the class itself in a single-file plugin.
            config: its config model (a `sai_bench.ComponentConfig`), likewise.
            summary: one line for `sai-bench list`.

        Raises:
            PluginError: an argument is malformed.
        """
        where = f"{self.origin.label}: component {name!r}"
        if kind not in KINDS:
            raise PluginError(
                f"{where}: unknown kind {kind!r}.{did_you_mean(str(kind), KINDS)} Kinds: {', '.join(KINDS)}."
            )
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise PluginError(f"{where}: a name is lower_case_with_underscores.")
        for role, value in (("target", target), ("config", config)):
            if isinstance(value, type) and self.origin.path is None:
                raise PluginError(
                    f"{where}: {role} is a class. An installed plugin names it as 'module:Class', so that "
                    "listing components imports none."
                )
            if not isinstance(value, type) and not (isinstance(value, str) and _TARGET.fullmatch(value)):
                raise PluginError(f"{where}: {role} must be 'module:Class' or a class.")
        if not isinstance(summary, str) or not summary.strip():
            raise PluginError(f"{where}: needs a one-line summary.")
        self.registrations.append(Registration(kind, name, target, config, summary, self.origin))


def unknown_kind(kind: str) -> UnknownComponentError:
    """Return the error for a kind that does not exist."""
    return UnknownComponentError(
        f"Unknown kind '{kind}'.{did_you_mean(kind, KINDS)} Kinds: {', '.join(KINDS)}."
    )
