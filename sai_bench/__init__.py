"""sai_bench: declare, run, score and compare semantic acoustic imaging systems.

Importing this package is cheap on purpose: names below load their module on first use, and torch, numpy
and pydantic stay out until a component needs them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from sai_bench.hookspec import hookimpl

if TYPE_CHECKING:
    from sai_bench.config import ComponentConfig
    from sai_bench.interfaces import (
        Backbone,
        Compressor,
        Dataset,
        Decoder,
        FrontEnd,
        Fusion,
        Metric,
        Prior,
    )
    from sai_bench.spec import load_spec
    from sai_bench.system import System

__version__ = "0.1.0"

_HOME = {
    "ComponentConfig": "sai_bench.config",
    "FrontEnd": "sai_bench.interfaces",
    "Backbone": "sai_bench.interfaces",
    "Decoder": "sai_bench.interfaces",
    "Prior": "sai_bench.interfaces",
    "Fusion": "sai_bench.interfaces",
    "Compressor": "sai_bench.interfaces",
    "Dataset": "sai_bench.interfaces",
    "Metric": "sai_bench.interfaces",
    "System": "sai_bench.system",
    "load_spec": "sai_bench.spec",
}

__all__ = [
    "Backbone",
    "ComponentConfig",
    "Compressor",
    "Dataset",
    "Decoder",
    "FrontEnd",
    "Fusion",
    "Metric",
    "Prior",
    "System",
    "__version__",
    "hookimpl",
    "load_spec",
]


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'sai_bench' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
