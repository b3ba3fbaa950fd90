"""sai_bench: declare, run, score and compare semantic acoustic imaging systems.

Importing this package is cheap on purpose: names below load their module on first use, and torch, numpy
and pydantic stay out until a component needs them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from sai_bench.hookspec import hookimpl

if TYPE_CHECKING:
    from sai_bench.audio import resample
    from sai_bench.config import (
        BackboneConfig,
        ComponentConfig,
        DatasetConfig,
        DecoderConfig,
        FrontEndConfig,
        LossConfig,
        SpecFile,
        SpecPath,
    )
    from sai_bench.interfaces import (
        Backbone,
        Candidates,
        CandidateSpec,
        Compressor,
        Dataset,
        Decoder,
        Example,
        FeatureSpec,
        FrontEnd,
        Fusion,
        Metric,
        Prior,
        Recording,
        RenderedRecording,
        SphereSpec,
    )
    from sai_bench.spec import load_spec
    from sai_bench.sphere import CLASS_NAMES, frame_count
    from sai_bench.system import System

__version__ = "0.1.0"

_HOMES = {
    "sai_bench.audio": ("resample",),
    "sai_bench.config": (
        "BackboneConfig",
        "ComponentConfig",
        "DatasetConfig",
        "DecoderConfig",
        "FrontEndConfig",
        "LossConfig",
        "SpecFile",
        "SpecPath",
    ),
    "sai_bench.interfaces": (
        "Backbone",
        "CandidateSpec",
        "Candidates",
        "Compressor",
        "Dataset",
        "Decoder",
        "Example",
        "FeatureSpec",
        "FrontEnd",
        "Fusion",
        "Metric",
        "Prior",
        "Recording",
        "RenderedRecording",
        "SphereSpec",
    ),
    "sai_bench.spec": ("load_spec",),
    "sai_bench.sphere": ("CLASS_NAMES", "frame_count"),
    "sai_bench.system": ("System",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "CLASS_NAMES",
    "Backbone",
    "BackboneConfig",
    "CandidateSpec",
    "Candidates",
    "ComponentConfig",
    "Compressor",
    "Dataset",
    "DatasetConfig",
    "Decoder",
    "DecoderConfig",
    "Example",
    "FeatureSpec",
    "FrontEnd",
    "FrontEndConfig",
    "Fusion",
    "LossConfig",
    "Metric",
    "Prior",
    "Recording",
    "RenderedRecording",
    "SpecFile",
    "SpecPath",
    "SphereSpec",
    "System",
    "__version__",
    "frame_count",
    "hookimpl",
    "load_spec",
    "resample",
]


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'sai_bench' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
