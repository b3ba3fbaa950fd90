"""Diagnostics of scored files, recording by recording: the stage behind `sai-bench score --diagnostics`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sai_bench.code_fingerprint import code_fingerprint
from sai_bench.errors import component_errors
from sai_bench.files import encode_arrays, read_arrays
from sai_bench.metrics.diagnosing.diagnostics import combine_diagnostics, diagnose_recording, score_thresholds
from sai_bench.metrics.score_stage import IdentifiedPair, read_pair
from sai_bench.stages.keys import component_identity
from sai_bench.stages.portable import PortableComponent
from sai_bench.stages.stage import Context, run_stage

if TYPE_CHECKING:
    from sai_bench.plugin_loading import LoadedPlugins
    from sai_bench.spec import ComponentSpec


@dataclass
class DiagnosePair:
    """One recording's part of a metric's diagnostics."""

    metric: PortableComponent
    thresholds: tuple[float, ...]

    def build(self) -> object:
        """Build the metric."""
        return self.metric.build()

    def __call__(self, pair: IdentifiedPair) -> bytes:
        """Return the arrays of `diagnose_recording`."""
        metric = self.metric.build()
        return encode_arrays(diagnose_recording(metric, *read_pair(metric, pair), self.thresholds))


def diagnose_pairs(
    component: ComponentSpec, plugins: LoadedPlugins, pairs: Sequence[IdentifiedPair], context: Context
) -> dict[str, object]:
    """Return what `sai_bench.metrics.diagnosing.diagnostics` says about scored files, JSON-ready."""
    metric = component.build()
    predictions = (metric.read(pair.predictions, "prediction") for pair in pairs if pair.predictions)
    thresholds = score_thresholds(predictions)
    stage = run_stage(
        f"diagnose.{component.name}",
        pairs,
        DiagnosePair(PortableComponent.of(component, plugins), tuple(thresholds)),
        {
            "component": component_identity(component),
            "thresholds": [repr(threshold) for threshold in thresholds],
            "code": code_fingerprint(
                "sai_bench.metrics.diagnosing.diagnostics", "sai_bench.metrics.score_stage"
            ),
        },
        context,
        parallel=True,
        identity=lambda pair: pair.content_sha256,
    )
    with component_errors(f"Metric '{component.name}' failed to combine its diagnostics"):
        return combine_diagnostics(
            metric,
            [pair.name for pair in pairs],
            [read_arrays(stage.paths[pair.name]) for pair in pairs],
            thresholds,
            {pair.name: pair.labels for pair in pairs},
        )
