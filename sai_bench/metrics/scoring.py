"""Scoring any DCASE prediction files: no spec and no system needed, and no torch."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sai_bench.code_fingerprint import code_fingerprint
from sai_bench.errors import AnnotationError, ContractError, UnknownComponentError, component_errors
from sai_bench.files import read_arrays
from sai_bench.metrics.diagnosing.bootstrap import bootstrap_interval
from sai_bench.metrics.diagnosing.diagnosis_stage import diagnose_pairs
from sai_bench.metrics.diagnosing.diagnostics import headline_numbers
from sai_bench.metrics.input_judging import judge_inputs, refuse_same_files
from sai_bench.metrics.numbers import checked_numbers
from sai_bench.metrics.official_lookup import lookup_notes, lookup_warnings
from sai_bench.metrics.pairing import FilePair, Pairing, PairingRule, pair_files
from sai_bench.metrics.score_stage import IdentifiedPair, ScorePair, identify, own_arrays
from sai_bench.plugin_loading import LoadedPlugins, load_plugins
from sai_bench.predictions import WORTH_PROCESSES_BYTES
from sai_bench.progress import Reporter
from sai_bench.spec import ComponentSpec
from sai_bench.stages.keys import component_identity
from sai_bench.stages.label_memory import LabelMemory
from sai_bench.stages.portable import PortableComponent
from sai_bench.stages.stage import Context, run_stage

if TYPE_CHECKING:
    from sai_bench.interfaces import Metric

OFFICIAL_PREFIX = "dcase2026_"
"""Metrics whose name starts with this are computed unless others are asked for."""

REPORT = "_report"
"""The key of `Scores.to_json()` beside the metrics; no metric can have this name."""


@dataclass(frozen=True)
class Scores:
    """What came out of scoring two folders.

    Attributes:
        metrics: metric name -> its numbers, JSON-ready; with `bootstrap` (headline name -> see
            `sai_bench.metrics.diagnosing.bootstrap.bootstrap_interval`) and `diagnostics`
            (`sai_bench.metrics.diagnosing.diagnostics.combine_diagnostics`) if they were asked for.
        headlines: metric name -> the names of its most important numbers.
        pairing: which files were scored, and which were not.
        warnings: everything that makes the numbers questionable or differ from the official ones.
        parts: metric name -> its arrays for each recording, in the order of `pairing.pairs`.
        if_complete: metric name -> its headline with the recordings of `pairing.left_out` counted as empty;
            empty if there are none.
        settings: metric name -> the config that it was computed with.
    """

    metrics: dict[str, dict]
    headlines: dict[str, tuple[str, ...]]
    pairing: Pairing
    warnings: tuple[str, ...]
    parts: dict[str, list[dict[str, np.ndarray]]]
    settings: dict[str, dict]
    if_complete: dict[str, dict[str, float | None]]

    def to_json(self) -> dict[str, dict]:
        """Return the numbers of each metric under its name, and everything else under `_report`."""
        return {
            **self.metrics,
            REPORT: {
                "warnings": list(self.warnings),
                "pairing": self.pairing.rule,
                "recordings": [pair.name for pair in self.pairing.pairs],
                "counted_as_empty": list(self.pairing.counted_as_empty),
                "left_out": [pair.name for pair in self.pairing.left_out],
                "headline_with_left_out_as_empty": self.if_complete,
                "unpaired_predictions": [str(path) for path in self.pairing.unpaired_predictions],
                "unpaired_labels": [str(path) for path in self.pairing.unpaired_labels],
                "settings": self.settings,
            },
        }


def score(
    predictions: Path | str,
    labels: Path | str,
    metrics: Sequence[str] = (),
    *,
    pairing: PairingRule = "complete",
    diagnostics: bool = False,
    bootstrap: int = 0,
    workers: int | None = None,
    cache: Path | str | None = None,
    reporter: Reporter | None = None,
    plugins: LoadedPlugins | None = None,
) -> Scores:
    """Score a folder of prediction files against a folder of label files.

    Args:
        predictions: folder of DCASE JSON, searched with its sub-folders.
        labels: likewise.
        metrics: names of metrics; none: every `dcase2026_*` that is registered.
        pairing: `complete` counts a labelled recording without prediction file as empty; `official` leaves
            it out, and reports beside the numbers what they would be with it.
        diagnostics: whether to say what holds the system back; takes about ten times as long.
        bootstrap: how many times to resample the recordings for confidence intervals; 0: no intervals.
        workers: processes that may work at once, None: one per core. The numbers do not depend on it.
        cache: where the parts of each recording are kept for later calls; None: `.sai_bench_cache` in the
            current folder.
        reporter: told about progress; None: nobody is.
        plugins: where metrics come from; None: what is installed.

    Raises:
        AnnotationError: folders or files are not as expected; the message names the file.
        UnknownComponentError: no such metric.
        StageError: a metric raised.
        ValueError: an argument makes no sense.
    """
    from sai_bench.running import open_context

    _check_arguments(metrics, bootstrap, workers)
    plugins = plugins or load_plugins()
    components = [_component(name, plugins) for name in dict.fromkeys(metrics) or default_metrics(plugins)]
    files = pair_files(Path(predictions), Path(labels), pairing)
    refuse_same_files(files.pairs)
    context = open_context(None if cache is None else Path(cache), reporter or Reporter(), workers)
    pairs = _identify_all(files.pairs, context.workers)
    context = _without_idle_workers(context, pairs)
    stored = {c.name: _stored_parts(c, plugins, pairs, context) for c in components}
    parts = {name: [own_arrays(arrays) for arrays in kept] for name, kept in stored.items()}
    numbers, headlines, found = {}, {}, [*files.warnings]
    if stored:
        found += judge_inputs(pairs, next(iter(stored.values())))
    metrics_by_name = {component.name: component.build() for component in components}
    found += lookup_notes(metrics_by_name, files.pairs)
    for component in components:
        metric = metrics_by_name[component.name]
        others = [other for other in metrics_by_name.values() if other is not metric]
        numbers[component.name] = {
            **combine(metric, component.name, parts[component.name]),
            **_file_lists(metric, files),
            **_intervals(metric, component.name, parts[component.name], bootstrap),
            **({"diagnostics": diagnose_pairs(component, plugins, pairs, context)} if diagnostics else {}),
        }
        headlines[component.name] = tuple(metric.headline)
        odd = lookup_warnings(metric, files.pairs, Path(predictions), Path(labels), others)
        found += [f"{component.name}: {text}" for text in odd]
        found += _metric_warnings(metric, component.name, parts[component.name])
    if_complete, troubles = _if_complete(components, plugins, files, parts, context)
    settings = {component.name: component.resolved() for component in components}
    return Scores(numbers, headlines, files, tuple(found + troubles), parts, settings, if_complete)


def _check_arguments(metrics: Sequence[str], bootstrap: int, workers: int | None) -> None:
    if isinstance(metrics, str):
        raise ValueError(f"metrics = {metrics!r}. Expected a list of names, such as [{metrics!r}].")
    if bootstrap < 0:
        raise ValueError(f"bootstrap = {bootstrap}. Expected a number of resamples, or 0 for no intervals.")
    if workers is not None and workers < 1:
        raise ValueError(f"workers = {workers}. Expected 1 or more, or None for one per core.")


def default_metrics(plugins: LoadedPlugins) -> list[str]:
    """Return the names of the official metrics that are registered.

    Raises:
        UnknownComponentError: there are none.
    """
    names = [name for name in plugins.registry.names("metric") if name.startswith(OFFICIAL_PREFIX)]
    if not names:
        raise UnknownComponentError(
            f"No metric {OFFICIAL_PREFIX}* is registered. Name one with --metric, or reinstall sai-bench."
        )
    return names


def combine(metric: Metric, name: str, parts: Sequence[Mapping[str, np.ndarray]]) -> dict:
    """Return a metric's checked numbers for the parts of all recordings, in the order of `Pairing.pairs`.

    Raises:
        StageError: the metric raised.
        ContractError: it returned something else than named numbers.
    """
    with component_errors(f"Metric '{name}' failed to combine its recordings"):
        numbers = metric.combine(parts)
    return checked_numbers(numbers, f"Metric '{name}'")


def _intervals(
    metric: Metric, name: str, parts: Sequence[Mapping[str, np.ndarray]], resamples: int
) -> dict[str, dict]:
    if not resamples:
        return {}
    with component_errors(f"Metric '{name}' failed on resampled recordings"):
        return {"bootstrap": bootstrap_interval(metric, parts, resamples)}


def _file_lists(metric: Metric, files: Pairing) -> dict[str, list[str]]:
    """Return the names of prediction files with and without labels, if the official report lists them."""
    if metric.file_lists is None:
        return {}
    paired = [pair.predictions for pair in files.pairs if pair.predictions]
    sides = zip(metric.file_lists, (paired, files.unpaired_predictions), strict=True)
    return {name: [path.stem for path in paths] for name, paths in sides}


def _if_complete(
    components: Sequence[ComponentSpec],
    plugins: LoadedPlugins,
    files: Pairing,
    parts: Mapping[str, Sequence[Mapping[str, np.ndarray]]],
    context: Context,
) -> tuple[dict[str, dict[str, float | None]], list[str]]:
    """Return each metric's headline with the recordings that were left out counted as empty, and warnings.

    The official evaluators never open the labels of those, so a fault in them is no reason to stop.
    """
    headlines: dict[str, dict[str, float | None]] = {}
    if not files.left_out:
        return headlines, []
    try:
        missing = _identify_all(files.left_out, context.workers)
        for component in components:
            added = map(own_arrays, _stored_parts(component, plugins, missing, context))
            by_name = {pair.name: part for pair, part in zip(files.left_out, added, strict=True)}
            by_name |= {pair.name: p for pair, p in zip(files.pairs, parts[component.name], strict=True)}
            every = [by_name[pair.name] for pair in files.every]
            with component_errors(f"Metric '{component.name}' failed to combine its recordings"):
                headlines[component.name] = headline_numbers(component.build(), every)
    except AnnotationError as error:
        return {}, [f"No numbers with the recordings left out counted as empty: {error}"]
    return headlines, []


def _component(name: str, plugins: LoadedPlugins) -> ComponentSpec:
    registration = plugins.registry.get("metric", name)
    return ComponentSpec("metric", name, registration.load_config()(), registration)


def _identify_all(pairs: Sequence[FilePair], workers: int) -> list[IdentifiedPair]:
    # Threads serve: hashing releases the interpreter.
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(identify, pairs))


def _without_idle_workers(context: Context, pairs: Sequence[IdentifiedPair]) -> Context:
    """Return a context without worker processes if they would start for longer than they work."""
    small = sum(pair.size_bytes for pair in pairs) < WORTH_PROCESSES_BYTES
    return replace(context, workers=1) if small else context


def _stored_parts(
    component: ComponentSpec, plugins: LoadedPlugins, pairs: Sequence[IdentifiedPair], context: Context
) -> list[dict[str, np.ndarray]]:
    try:
        stage = run_stage(
            f"score.{component.name}",
            pairs,
            ScorePair(PortableComponent.of(component, plugins), LabelMemory.of(component, context.cache)),
            {
                "component": component_identity(component),
                "code": code_fingerprint("sai_bench.metrics.score_stage"),
            },
            context,
            parallel=True,
            identity=lambda pair: pair.content_sha256,
        )
    except AnnotationError as error:  # another metric may read the file differently
        raise AnnotationError(
            f"{error} (metric {component.name}){_where_to_see_all(error, pairs)}"
        ) from error
    return [read_arrays(stage.paths[pair.name]) for pair in pairs]


def _where_to_see_all(error: AnnotationError, pairs: Sequence[IdentifiedPair]) -> str:
    """Return the next step if the error is about a prediction file: scoring stops at the first fault."""
    for pair in pairs:
        if pair.predictions and str(error).startswith(f"{pair.predictions}: "):
            folder = shlex.quote(str(pair.predictions.parent))
            return f" Run `sai-bench check-submission {folder}` to see all problems."
    return ""


def _metric_warnings(metric: Metric, name: str, parts: Sequence[Mapping[str, np.ndarray]]) -> list[str]:
    with component_errors(f"Metric '{name}' failed to judge its recordings"):
        warnings = metric.warnings(parts)
    if not isinstance(warnings, list) or not all(isinstance(text, str) for text in warnings):
        raise ContractError(f"Metric '{name}' returned warnings that are no list of text.")
    return [f"{name}: {text}" for text in warnings]
