"""The stages of one system over the recordings of a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sai_bench.code_fingerprint import code_fingerprint
from sai_bench.errors import component_errors
from sai_bench.files import read_arrays
from sai_bench.metrics.numbers import checked_numbers
from sai_bench.spec.wiring import notes_on_context
from sai_bench.stages import works
from sai_bench.stages.keys import component_identity
from sai_bench.stages.label_memory import LabelMemory
from sai_bench.stages.portable import PortableComponent
from sai_bench.stages.stage import Context, StageFiles, run_stage
from sai_bench.weights import Heard, note_on_untrained, notes_on_heard, read_header

if TYPE_CHECKING:
    from sai_bench.interfaces import Recording
    from sai_bench.spec import Spec
    from sai_bench.stages.fitting import FittedPrior


@dataclass(frozen=True)
class Predicted:
    """What prediction leaves behind.

    Attributes:
        stages: detect, prior, fuse, compress.
        predictions: the files of the last stage: DCASE JSON.
        notes: what the components say the user must know.
        dense_bytes: recording name -> size of its JSON without compression.
    """

    stages: tuple[StageFiles, ...]
    predictions: StageFiles
    notes: tuple[str, ...]
    dense_bytes: dict[str, int]


@dataclass(frozen=True)
class Scored:
    """What scoring leaves behind: the stage of each metric and its numbers."""

    stages: tuple[StageFiles, ...]
    metrics: dict[str, dict]


def predict(
    spec: Spec, recordings: Sequence[Recording], fitted: FittedPrior | None, context: Context
) -> Predicted:
    """Run detect, prior, fuse and compress; what is stored already is reused."""
    system = spec.require_system()
    about_networks = notes_on_networks(spec)
    for note in about_networks:
        context.reporter.line(f"note: {note}")
    detect = run_stage(
        "detect",
        recordings,
        works.Detect(spec),
        {
            "components": [
                component_identity(c) for c in (system.front_end, system.backbone, system.decoder)
            ],
            "microphones": system.microphones,
            "weights": _weights_of_networks(spec),
            "inference": spec.inference.model_dump(mode="json"),
            "code": code_fingerprint("sai_bench.detector"),
        },
        context,
    )
    apply_prior = works.ApplyPrior(system, fitted.weights if fitted else None)
    with component_errors(f"Building prior '{system.prior.name}' failed"):
        notes = tuple(f"prior {system.prior.name}: {note}" for note in apply_prior.build().notes())
    for note in notes:
        context.reporter.line(f"note: {note}")
    prior = run_stage(
        "prior",
        recordings,
        apply_prior,
        {
            "component": component_identity(system.prior),
            "microphones": system.microphones,
            "weights": fitted.sha256 if fitted else None,
            "code": code_fingerprint("sai_bench.audio", "sai_bench.class_activity", "sai_bench.predictions"),
        },
        context,
    )
    export_code = code_fingerprint("sai_bench.export")
    fuse = run_stage(
        "fuse",
        recordings,
        works.Fuse(system.fusion, spec.export, detect.paths, prior.paths),
        {
            "detect": detect.key,
            "prior": prior.key,
            "component": component_identity(system.fusion),
            "export": spec.export.model_dump(mode="json"),
            "code": export_code,
        },
        context,
    )
    compress = run_stage(
        "compress",
        recordings,
        works.Compress(
            PortableComponent.of(system.compressor, spec.plugins), spec.export, detect.paths, fuse.paths
        ),
        {"fuse": fuse.key, "component": component_identity(system.compressor), "code": export_code},
        context,
        suffix=".json",
        parallel=True,
    )
    sizes = {name: int(read_arrays(path)["dense_bytes"]) for name, path in fuse.paths.items()}
    return Predicted((detect, prior, fuse, compress), compress, about_networks + notes, sizes)


def notes_on_networks(spec: Spec) -> tuple[str, ...]:
    """Return what the user must know of the detector's networks before trusting numbers made with them.

    Raises:
        WeightsError: the spec's weights file cannot be read.
    """
    return (*_notes_on_weights(spec), *notes_on_context(spec.require_system(), spec.inference))


def _notes_on_weights(spec: Spec) -> tuple[str, ...]:
    system = spec.require_system()
    names = [component.name for component in system.networks()]
    if system.weights is not None:
        header, heard = read_header(system.weights), Heard(system.microphones, spec.inference.segment_s)
        about_heard = notes_on_heard(header, heard, networks=bool(names))
        return (*note_on_untrained(header, system.networks()), *about_heard)
    if not names:
        return ()
    return (
        f"detector: THE NETWORKS ARE RANDOM ({', '.join(names)}), system.weights names no file. Scores "
        "mean nothing; only timings count.",
    )


def _weights_of_networks(spec: Spec) -> dict[str, str] | int | None:
    """Return what determines the detector's weights: a file's tensors, the seed, or nothing."""
    system = spec.require_system()
    if not system.networks():
        return None
    if system.weights is None:
        return spec.seed
    # What the header says is believed: tensors that do not match it are refused by whoever reads them.
    return {kind: sha256 for kind, sha256 in read_header(system.weights).sha256.items() if kind != "prior"}


def score(spec: Spec, recordings: Sequence[Recording], predictions: StageFiles, context: Context) -> Scored:
    """Score predictions with every metric of the spec."""
    stages, metrics = [], {}
    for component in spec.evaluation.metrics:
        stage = run_stage(
            f"score.{component.name}",
            recordings,
            works.Score(
                PortableComponent.of(component, spec.plugins),
                LabelMemory.of(component, context.cache),
                predictions.paths,
            ),
            {
                "compress": predictions.key,
                "component": component_identity(component),
                "code": code_fingerprint("sai_bench.predictions"),
            },
            context,
            parallel=True,
        )
        stages.append(stage)
        parts = [read_arrays(stage.paths[r.name]) for r in recordings]
        with component_errors(f"Metric '{component.name}' failed to combine its recordings"):
            numbers = component.build().combine(parts)
        metrics[component.name] = checked_numbers(numbers, f"Metric '{component.name}'")
    return Scored(tuple(stages), metrics)
