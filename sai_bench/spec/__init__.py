"""Specs: YAML files that declare a system, its data and how it is scored.

YAML with line numbers (`yaml_source`) -> one tree out of `extends` and overrides (`merging`) -> each
component's own config model (`validation`) -> do the parts fit (`wiring`) -> `Spec`.
"""

from sai_bench.spec.json_schema import spec_json_schema
from sai_bench.spec.models import (
    SYSTEM_KINDS,
    ComponentSpec,
    EvaluationSettings,
    ExportSettings,
    InferenceSettings,
    SystemSpec,
)
from sai_bench.spec.spec import Spec, load_spec
from sai_bench.spec.training_settings import DetectorStageSettings, PriorStageSettings, TrainingStage

__all__ = [
    "SYSTEM_KINDS",
    "ComponentSpec",
    "DetectorStageSettings",
    "EvaluationSettings",
    "ExportSettings",
    "InferenceSettings",
    "PriorStageSettings",
    "Spec",
    "SystemSpec",
    "TrainingStage",
    "load_spec",
    "spec_json_schema",
]
