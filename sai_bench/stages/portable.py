"""A component that can be sent to a worker process: named, not pickled."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sai_bench.errors import PluginError

if TYPE_CHECKING:
    from sai_bench.plugin_loading import LoadedPlugins
    from sai_bench.spec import ComponentSpec


@dataclass(frozen=True)
class PortableComponent:
    """Enough to build a component in another process.

    Attributes:
        kind: such as `compressor`.
        name: its name.
        config_json: its validated config.
        plugin_files: (path, SHA-256) of the single-file plugins in use.
    """

    kind: str
    name: str
    config_json: str
    plugin_files: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, component: ComponentSpec, plugins: LoadedPlugins) -> PortableComponent:
        """Describe a component of a spec."""
        files = tuple(plugins.files.items())
        return cls(component.kind, component.name, component.config.model_dump_json(), files)

    def build(self) -> object:
        """Build the component here (once per process).

        Raises:
            PluginError: a plugin file is no longer what the spec was loaded with.
        """
        return _build(self)


@functools.cache
def _build(portable: PortableComponent) -> object:
    from sai_bench.plugin_loading import load_plugins

    loaded = load_plugins(Path(path) for path, _ in portable.plugin_files)
    for path, sha256 in portable.plugin_files:
        if loaded.files[path] != sha256:
            raise PluginError(f"{path}: this plugin was changed during the run. Run the command again.")
    registration = loaded.registry.get(portable.kind, portable.name)
    config = registration.load_config().model_validate_json(portable.config_json)
    return registration.load_class()(config)
