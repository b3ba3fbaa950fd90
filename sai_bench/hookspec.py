"""The one public hook. A plugin implements it; the built-in components do, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from sai_bench.registry import Registrar

PROJECT = "sai_bench"
ENTRY_POINT_GROUP = "sai_bench"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def sai_bench_register(register: Registrar) -> None:
    """Register components by calling `register.component(...)` once for each.

    Keep the module that holds this hook light: name classes and config models as `"module:Class"` strings,
    so that listing components imports none of them. A single-file plugin may pass the classes themselves.

    Args:
        register: collects the registrations; see `sai_bench.registry.Registrar.component`.
    """
