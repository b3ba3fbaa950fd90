"""A component that can be sent to a worker process: named, not pickled."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sai_bench.spec import ComponentSpec


@dataclass(frozen=True)
class PortableComponent:
    """Enough to build a component in another process, single-file plugins included."""

    kind: str
    name: str
    config_json: str
    plugin_files: tuple[str, ...]

    @classmethod
    def of(cls, component: ComponentSpec, plugin_files: tuple[str, ...]) -> PortableComponent:
        """Describe a component of a spec."""
        return cls(component.kind, component.name, component.config.model_dump_json(), plugin_files)

    def build(self) -> object:
        """Build the component here (once per process)."""
        return _build(self)


@functools.cache
def _build(portable: PortableComponent) -> object:
    from sai_bench.plugin_loading import load_plugins

    registry = load_plugins([Path(f) for f in portable.plugin_files]).registry
    registration = registry.get(portable.kind, portable.name)
    config = registration.load_config().model_validate_json(portable.config_json)
    return registration.load_class()(config)
