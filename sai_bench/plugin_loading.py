"""Finding plugins and filling the registry: each in its own `try`, so that one broken plugin stays alone."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pluggy

from sai_bench import hookspec
from sai_bench.code_fingerprint import code_fingerprint
from sai_bench.errors import PluginError
from sai_bench.registry import Origin, Registrar, Registry

DISABLE_VARIABLE = "SAI_BENCH_DISABLE_PLUGINS"
STRICT_VARIABLE = "SAI_BENCH_STRICT_PLUGINS"


@dataclass
class LoadedPlugins:
    """The filled registry and what went wrong with plugins nobody asked for by name."""

    registry: Registry = field(default_factory=Registry)
    warnings: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    """Single-file plugins in use: resolved path -> sha256 of the content."""


def load_plugins(files: Iterable[Path] = ()) -> LoadedPlugins:
    """Load installed plugins, then the single files that the user asked for.

    The environment variable SAI_BENCH_DISABLE_PLUGINS (entry-point names, comma separated) leaves installed
    plugins out; SAI_BENCH_STRICT_PLUGINS=1 turns a broken installed plugin into an error.

    Raises:
        PluginError: a file is broken or missing, two components share a name, or (strict) an installed
            plugin is broken.
    """
    loaded = LoadedPlugins()
    _load_installed(loaded)
    for path in files:
        add_plugin_file(loaded, Path(path))
    return loaded


def add_plugin_file(loaded: LoadedPlugins, path: Path) -> None:
    """Load one single-file plugin into `loaded`; asking for the same file twice counts once.

    Raises:
        PluginError: the file is missing, raises, registers nothing or takes a name that is taken.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PluginError(
            f"{path}: cannot read this plugin ({error.strerror}). Expected a Python file that implements "
            "sai_bench_register; check the path (in a spec it is relative to the spec file)."
        ) from error
    if path.suffix != ".py":
        raise PluginError(f"{path}: not a Python file. Expected a name that ends in .py.")
    sha256 = hashlib.sha256(content).hexdigest()
    place = str(path.resolve())
    if loaded.files.get(place) == sha256:
        return
    try:
        origin = Origin(str(path), path.resolve(), code_fingerprint(path))
        registrar = _call_hook(_run_file(path, content, sha256), origin)
    except PluginError:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise PluginError(
            f"{path}: this plugin cannot be loaded ({type(error).__name__}: {error}; {_place_of(error)}). "
            "Repair it; modules that it imports must be installed or on PYTHONPATH."
        ) from error
    if not registrar.registrations:
        raise PluginError(
            f"{path}: this plugin registers nothing. Expected a function `sai_bench_register(register)` "
            "marked with @sai_bench.hookimpl that calls register.component(...)."
        )
    loaded.registry.add_all(registrar.registrations)
    loaded.files[place] = sha256


def _load_installed(loaded: LoadedPlugins) -> None:
    disabled = {n.strip() for n in os.environ.get(DISABLE_VARIABLE, "").split(",") if n.strip()}
    strict = os.environ.get(STRICT_VARIABLE, "") not in ("", "0")
    entry_points = importlib.metadata.entry_points(group=hookspec.ENTRY_POINT_GROUP)
    # The built-ins first: an outsider who takes a built-in's name is the one who gets the message.
    for entry_point in sorted(entry_points, key=lambda e: (e.name != "builtin", e.name, e.value)):
        if entry_point.name in disabled:
            continue
        problem = _load_entry_point(entry_point, loaded)
        if problem is None:
            continue
        if strict:
            raise PluginError(problem)
        loaded.warnings.append(problem)
    if not len(loaded.registry):
        loaded.warnings.append(
            "No components are registered at all. Install again: pip install --force-reinstall sai-bench"
        )


def _load_entry_point(entry_point, loaded: LoadedPlugins) -> str | None:
    """Load one installed plugin; return the warning if it is broken."""
    distribution = entry_point.dist
    label = f"{distribution.name} {distribution.version}" if distribution else entry_point.value
    try:
        registrar = _call_hook(entry_point.load(), Origin(label))
        if not registrar.registrations:
            return f"Plugin '{entry_point.name}' of {label} registers nothing."
        loaded.registry.add_all(registrar.registrations)
    except PluginError as error:
        reason = str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may even call sys.exit at import
        reason = f"{type(error).__name__}: {error}"
    else:
        return None
    reason = " ".join(reason.split())
    return (
        f"Plugin '{entry_point.name}' of {label} is broken and was skipped ({reason}). Repair or uninstall "
        f"it, or set {DISABLE_VARIABLE}={entry_point.name}."
    )


def _call_hook(module: ModuleType, origin: Origin) -> Registrar:
    """Call one plugin's hook and return what it registered.

    A manager per plugin, because the origin must be known and because one manager for all would stop at the
    first failure and call the last plugin first.
    """
    manager = pluggy.PluginManager(hookspec.PROJECT)
    manager.add_hookspecs(hookspec)
    manager.register(module)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(f"{origin.label}: {error}. The hook is called sai_bench_register.") from error
    registrar = Registrar(origin)
    manager.hook.sai_bench_register(register=registrar)
    return registrar


def _run_file(path: Path, content: bytes, sha256: str) -> ModuleType:
    """Run a file's content as a module under a name of its own.

    The content was read once, for its hash and for this: what runs is what the hash says. The module must
    stand in sys.modules before it runs: dataclasses and pydantic look their own module up.
    """
    place = hashlib.sha256(f"{path.resolve()}:{sha256}".encode()).hexdigest()[:16]
    name = f"sai_bench_plugin_file_{place}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(path.resolve())
    sys.modules[name] = module
    try:
        exec(compile(content, module.__file__, "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _place_of(error: BaseException) -> str:
    """Return the innermost place of an exception, such as `my_prior.py, line 12`."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}"
