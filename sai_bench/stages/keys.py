"""Keys: a hash of everything that determines a stage's results."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
from typing import TYPE_CHECKING

from sai_bench.code_fingerprint import code_fingerprint

if TYPE_CHECKING:
    from sai_bench.registry import Registration
    from sai_bench.spec import ComponentSpec

_NUMERIC_LIBRARIES = ("numpy", "scipy", "torch", "torchaudio")


def key_of(parts: dict) -> str:
    """Return the SHA-256 of JSON-ready `parts`, independent of their order."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def component_identity(component: ComponentSpec) -> dict:
    """Return what determines a component's behaviour: name, config and source code."""
    return {**component.resolved(), "code": component_code(component.registration)}


def component_code(registration: Registration) -> str:
    """Return the hash of a component's source: of its module and imports, or of its plugin file."""
    if registration.origin.sha256 is not None:
        return registration.origin.sha256
    if isinstance(registration.target, str):
        return code_fingerprint(registration.target.partition(":")[0])
    return code_fingerprint(registration.target.__module__)


@functools.cache
def library_versions() -> dict[str, str]:
    """Return the versions of the libraries whose arithmetic the results depend on."""
    return {name: importlib.metadata.version(name) for name in _NUMERIC_LIBRARIES}
