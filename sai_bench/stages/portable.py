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
        code_sha256: hash of the component's source code.
    """

    kind: str
    name: str
    config_json: str
    plugin_files: tuple[tuple[str, str], ...]
    code_sha256: str

    @classmethod
    def of(cls, component: ComponentSpec, plugins: LoadedPlugins) -> PortableComponent:
        """Describe a component of a spec."""
        files = tuple(plugins.files.items())
        config = component.config.model_dump_json(by_alias=True)
        return cls(component.kind, component.name, config, files, component.registration.code_sha256())

    def build(self) -> object:
        """Build the component here (once per process).

        Raises:
            PluginError: a plugin is no longer what the run began with.
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
    component = registration.load_class()
    if registration.code_sha256() != portable.code_sha256:
        raise PluginError(
            f"{portable.kind} '{portable.name}': its source was changed during the run. Run it again."
        )
    return component(config)
