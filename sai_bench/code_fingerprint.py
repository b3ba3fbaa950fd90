"""A hash of the source code behind a component or stage, so that results of older code are never reused.

The hash covers a module and every module that it imports, directly or not, from its own package or from the
sai_bench core. Libraries are not followed: their versions stand in the run record. Nothing is imported; the
sources are found and parsed.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

CORE = "sai_bench"


@functools.cache
def code_fingerprint(module: str) -> str:
    """Return the SHA-256 of the sources behind `module` as hexadecimal text.

    Raises:
        ModuleNotFoundError: the module does not exist.
    """
    package = module.partition(".")[0]
    found: dict[str, bytes] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or name == CORE:
            continue
        path = _source_path(name)
        if path is None:
            continue
        source = path.read_bytes()
        found[name] = source
        is_package = path.name == "__init__.py"
        for imported in _imports(source, name if is_package else name.rpartition(".")[0]):
            if imported.partition(".")[0] in (package, CORE):
                waiting.append(imported)
    if module not in found:
        raise ModuleNotFoundError(f"No source found for module {module!r}", name=module)
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(name.encode() + b"\0" + hashlib.sha256(found[name]).digest())
    return digest.hexdigest()


@functools.cache
def _source_path(module: str) -> Path | None:
    """Return where a module's source stands, None if `module` is no module (but a class, say)."""
    parent, _, leaf = module.rpartition(".")
    if not parent:
        spec = importlib.util.find_spec(module)
        return Path(spec.origin) if spec and spec.origin else None
    # Not find_spec for inner modules: it would import the parent packages.
    parent_path = _source_path(parent)
    if parent_path is None or parent_path.name != "__init__.py":
        return None
    for candidate in (parent_path.parent / f"{leaf}.py", parent_path.parent / leaf / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _imports(source: bytes, package: str) -> Iterator[str]:
    """Yield the dotted names that a source imports, also inside functions, but not for type checkers."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            waiting.extend(node.orelse)
        else:
            waiting.extend(ast.iter_child_nodes(node))


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"
