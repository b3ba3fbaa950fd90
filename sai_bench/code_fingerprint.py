"""A hash of the source code behind a component or stage, so that results of older code are never reused.

The hash covers a file and every module that it imports, directly or not, if that module is part of sai_bench,
of a package that registers components, of the file's own package, or the user's own code (importable from
anywhere but the standard library and the folder of installed packages). Installed libraries are not followed:
their versions are part of the keys. Nothing is imported; sources are found and parsed.

A facade only gathers names from their modules: `from sai_bench.interfaces import Fusion` leads to the module
of Fusion and to none of the others.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from sai_bench.hookspec import ENTRY_POINT_GROUP

CORE = "sai_bench"

_FACADES = (CORE, "sai_bench.interfaces")


def code_fingerprint(*starts: str | Path) -> str:
    """Return the SHA-256 of the sources behind modules (dotted names) or files, as hexadecimal text.

    Raises:
        ModuleNotFoundError: a module does not exist.
    """
    found: dict[str, bytes] = {}
    waiting: list[tuple[str, Path]] = []
    own_packages = set()
    for start in starts:
        if isinstance(start, Path):
            waiting.append((f"file {start.name}", start))
            continue
        path = source_path(start)
        if path is None:
            raise ModuleNotFoundError(f"No source found for module {start!r}", name=start)
        own_packages.add(start.partition(".")[0])
        waiting.append((start, path))
    while waiting:
        name, path = waiting.pop()
        if name in found:
            continue
        digest, imports = _parsed(path, name)
        found[name] = digest
        for imported in imports:
            path = source_path(imported) if imported != CORE else None
            if path is not None and _is_followed(imported.partition(".")[0], own_packages):
                waiting.append((imported, path))
    whole = hashlib.sha256()
    for name in sorted(found):
        whole.update(name.encode() + b"\0" + found[name])
    return whole.hexdigest()


def _is_followed(package: str, own_packages: set[str]) -> bool:
    return package in own_packages or package in _component_packages() or _is_users_own(package)


@functools.cache
def _component_packages() -> frozenset[str]:
    """Return sai_bench and the packages that register components."""
    entry_points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    return frozenset({CORE} | {entry_point.value.partition(".")[0] for entry_point in entry_points})


@functools.cache
def _is_users_own(package: str) -> bool:
    path = source_path(package) or next(iter(_search_folders(package)), None)
    if path is None:
        return False
    installed = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    return not any(path.resolve().is_relative_to(Path(folder).resolve()) for folder in installed)


@functools.cache
def source_path(module: str) -> Path | None:
    """Return where a module's source stands, None if `module` is no module with a file (but a class, say)."""
    parent, _, leaf = module.rpartition(".")
    if not parent:
        spec = _find_top_level(module)
        return Path(spec.origin) if spec and spec.origin and Path(spec.origin).is_file() else None
    # Not find_spec for inner modules: it would import the parent packages.
    for folder in _search_folders(parent):
        for candidate in (folder / leaf / "__init__.py", folder / f"{leaf}.py", *folder.glob(f"{leaf}.*.so")):
            if candidate.is_file():
                return candidate
    return None


@functools.cache
def _search_folders(package: str) -> tuple[Path, ...]:
    """Return the folders in which a package's modules lie; several for a namespace package."""
    parent, _, leaf = package.rpartition(".")
    if not parent:
        spec = _find_top_level(package)
        return tuple(Path(folder) for folder in (spec and spec.submodule_search_locations) or ())
    return tuple(folder / leaf for folder in _search_folders(parent) if (folder / leaf).is_dir())


def _find_top_level(module: str):
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError):  # ValueError: such as __main__, which has no spec
        return None


def _parsed(path: Path, name: str) -> tuple[bytes, tuple[str, ...]]:
    """Return the hash of a file and the dotted names that it imports; compiled code imports nothing known."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).digest()
    if path.suffix != ".py":
        return digest, ()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return digest, _imports_of(digest, content, package)


_remembered: dict[tuple[bytes, str], tuple[str, ...]] = {}


def _imports_of(digest: bytes, content: bytes, package: str) -> tuple[str, ...]:
    """Return the imports of a source; parsing costs milliseconds, so each content is parsed once."""
    if (digest, package) not in _remembered:
        _remembered[digest, package] = tuple(_imports(content, package))
    return _remembered[digest, package]


def _imports(source: bytes, package: str) -> Iterator[str]:
    """Yield the dotted names that a source imports, also inside functions, but not for type checkers."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            names = [alias.name for alias in node.names]
            if base in _FACADES and package != base and "*" not in names:
                yield from (_homes(base).get(name, f"{base}.{name}") for name in names)
            else:
                yield base
                yield from (f"{base}.{name}" for name in names)
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            waiting.extend(node.orelse)
        else:
            waiting.extend(ast.iter_child_nodes(node))


@functools.cache
def _homes(facade: str) -> dict[str, str]:
    """Return the module of each name that a facade gathers, also of those that it loads on first use."""
    homes = {}
    for node in ast.walk(ast.parse(source_path(facade).read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{CORE}."):
            further = _homes(node.module) if node.module in _FACADES else {}
            homes |= {alias.name: further.get(alias.name, node.module) for alias in node.names}
    return homes


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"
