"""Keys: a hash of everything that determines a stage's results."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sai_bench.files import sha256_of

if TYPE_CHECKING:
    from sai_bench.interfaces import Recording
    from sai_bench.spec import ComponentSpec

_NUMERIC_LIBRARIES = ("numpy", "scipy", "numba", "torch", "torchaudio")


def key_of(parts: dict) -> str:
    """Return the SHA-256 of JSON-ready `parts`, independent of their order."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def component_identity(component: ComponentSpec) -> dict:
    """Return what determines a component's behaviour: name, config, files that the config names, code."""
    return {
        **component.resolved(),
        "code": component.registration.code_sha256(),
        "files": _hashes_of_files(component.config.model_dump()),
    }


def recording_identity(recording: Recording) -> str:
    """Return a hash of a recording: audio, labels and the array that made it."""
    array = recording.array
    return key_of(
        {
            "content": recording.content_sha256,
            "array": [array.name, array.baffle, array.positions_m.tolist()],
        }
    )


@functools.cache
def library_versions() -> dict[str, str]:
    """Return the versions of the libraries whose arithmetic the results depend on."""
    return {name: importlib.metadata.version(name) for name in _NUMERIC_LIBRARIES}


def _hashes_of_files(value: object) -> list[str]:
    """Return a hash for each path in a config: of the file's content, or of a folder's listing."""
    if isinstance(value, Path):
        return [_hash_of_path(value)]
    if isinstance(value, Mapping):
        return [found for item in value.values() for found in _hashes_of_files(item)]
    if isinstance(value, set | frozenset):
        return sorted(found for item in value for found in _hashes_of_files(item))
    if isinstance(value, list | tuple):
        return [found for item in value for found in _hashes_of_files(item)]
    return []


def _hash_of_path(path: Path) -> str:
    if path.is_file():
        return sha256_of(path)
    if path.is_dir():
        inside = sorted(p for p in path.rglob("*") if p.is_file())
        stats = [(p.relative_to(path).as_posix(), p.stat().st_size, p.stat().st_mtime_ns) for p in inside]
        return key_of({"folder": stats})
    return "absent"
