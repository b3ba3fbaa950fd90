"""From what a run left behind to its run record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import soundfile

from sai_bench.predictions import read_annotations
from sai_bench.results.environment import describe_environment
from sai_bench.results.record import (
    ComponentRecord,
    DataRecord,
    FitRecord,
    RunRecord,
    StageTiming,
    VariantResult,
)

if TYPE_CHECKING:
    from sai_bench.running import SystemRun
    from sai_bench.spec import ComponentSpec, Spec


def build_record(spec: Spec, runs: Sequence[SystemRun], started: datetime) -> RunRecord:
    """Return the record of a run of `spec`; `runs` holds its own system first, then the variants."""
    components = _components(spec)
    resolved = spec.resolved()
    data = _data(runs[0])
    variants, notes = {}, []
    for run in runs:
        used, its_data = _components(run.spec), _data(run)
        notes += (f"{run.name}: {note}" for note in run.predicted.notes)
        if its_data != data:
            notes.append(
                f"{run.name}: other data, {its_data.root}, split {its_data.split}, "
                f"{its_data.recordings} recordings"
            )
        variants[run.name] = VariantResult(
            metrics=run.scored.metrics,
            stages=_stages(run),
            files=_files(run),
            changes=resolved["variants"].get(run.name, {}),
            components={k: c for k, c in used.items() if components.get(k) != c},
            fits=_fits(run),
            data=None if its_data == data else its_data,
        )
    return RunRecord(
        name=spec.name,
        spec=resolved,
        spec_sha256=spec.sha256,
        seed=spec.seed,
        components=components,
        plugin_files=dict(zip(resolved["plugins"], spec.plugins.files.values(), strict=True)),
        data=data,
        variants=variants,
        headlines={
            m.name: m.registration.load_class().headline for run in runs for m in run.spec.evaluation.metrics
        },
        environment=describe_environment(),
        started=started,
        finished=datetime.now(UTC),
        notes=tuple(notes),
    )


def _data(run: SystemRun) -> DataRecord:
    return DataRecord(
        root=run.dataset.root.name,
        manifest_sha256=run.dataset.manifest_sha256,
        split=run.spec.evaluation.split,
        recordings=len(run.recordings),
        audio_s=_audio_s(run),
    )


def _audio_s(run: SystemRun) -> float:
    return sum(soundfile.info(r.audio_path).duration for r in run.recordings)


def _components(spec: Spec) -> dict[str, ComponentRecord]:
    components = {c.kind: c for c in spec.system.components()}
    components["dataset"] = spec.data
    components |= {f"metrics.{m.name}": m for m in spec.evaluation.metrics}
    return {place: _component(c) for place, c in components.items()}


def _component(component: ComponentSpec) -> ComponentRecord:
    origin = component.registration.origin
    label = origin.path.name if origin.path else origin.label
    return ComponentRecord(
        name=component.name, origin=label, code_sha256=component.registration.code_sha256()
    )


def _stages(run: SystemRun) -> dict[str, StageTiming]:
    audio_s = _audio_s(run)
    return {
        files.stage: StageTiming.measured(
            recordings=len(files.paths), reused=files.reused, seconds=files.seconds, audio_s=audio_s
        )
        for files in (*run.predicted.stages, *run.scored.stages)
    }


def _files(run: SystemRun) -> dict[str, int | float]:
    paths = run.predicted.predictions.paths.values()
    sizes = [path.stat().st_size for path in paths]
    dense = run.predicted.dense_bytes.values()
    return {
        "detections": sum(len(read_annotations(path)) for path in paths),
        "prediction_bytes_total": sum(sizes),
        "prediction_bytes_max": max(sizes),
        "prediction_bytes_mean": sum(sizes) / len(sizes),
        "dense_bytes_total": sum(dense),
        "dense_bytes_max": max(dense),
    }


def _fits(run: SystemRun) -> dict[str, FitRecord]:
    """Return how each trained stage of the detector and the prior came about."""
    fits = {
        f"detector.{stage.result.stage}": FitRecord(
            weights_sha256=stage.result.sha256,
            recordings=stage.result.recordings,
            seconds=stage.result.seconds,
            reused=stage.reused,
            steps=stage.result.steps,
        )
        for stage in run.trained
    }
    if run.fitted is not None:
        fits["prior"] = FitRecord(
            weights_sha256=run.fitted.sha256,
            recordings=run.fitted.recordings,
            seconds=run.fitted.seconds,
            reused=run.fitted.reused,
        )
    return fits
