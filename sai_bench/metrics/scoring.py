"""Scoring any DCASE prediction files: no spec and no system needed, and no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sai_bench.code_fingerprint import code_fingerprint
from sai_bench.errors import AnnotationError, ContractError, UnknownComponentError, component_errors
from sai_bench.files import read_arrays
from sai_bench.metrics.bootstrap import bootstrap_interval
from sai_bench.metrics.numbers import checked_numbers
from sai_bench.metrics.pair_diagnosing import diagnose_pairs
from sai_bench.metrics.pair_scoring import INPUT_COUNTS, IdentifiedPair, ScorePair, identify, own_arrays
from sai_bench.metrics.pairing import Pairing, PairingRule, pair_files, shortened, suffix_of
from sai_bench.plugin_loading import LoadedPlugins, load_plugins
from sai_bench.predictions import WORTH_PROCESSES_BYTES
from sai_bench.progress import Reporter
from sai_bench.spec import ComponentSpec
from sai_bench.stages.keys import component_identity
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
            `sai_bench.metrics.bootstrap.bootstrap_interval`) and `diagnostics`
            (`sai_bench.metrics.diagnostics.combine_diagnostics`) if they were asked for.
        headlines: metric name -> the names of its most important numbers.
        pairing: which files were scored, and which were not.
        warnings: everything that makes the numbers questionable or differ from the official ones.
        parts: metric name -> its arrays for each recording, in the order of `pairing.pairs`.
        settings: metric name -> the config that it was computed with.
    """

    metrics: dict[str, dict]
    headlines: dict[str, tuple[str, ...]]
    pairing: Pairing
    warnings: tuple[str, ...]
    parts: dict[str, list[dict[str, np.ndarray]]]
    settings: dict[str, dict]

    def to_json(self) -> dict[str, dict]:
        """Return the numbers of each metric under its name, and everything else under `_report`."""
        return {
            **self.metrics,
            REPORT: {
                "warnings": list(self.warnings),
                "pairing": self.pairing.rule,
                "recordings": [pair.name for pair in self.pairing.pairs],
                "counted_as_empty": list(self.pairing.counted_as_empty),
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
    cache: Path | None = None,
    reporter: Reporter | None = None,
    plugins: LoadedPlugins | None = None,
) -> Scores:
    """Score a folder of prediction files against a folder of label files.

    Args:
        predictions: folder of DCASE JSON, searched with its sub-folders.
        labels: likewise.
        metrics: names of metrics; none: every `dcase2026_*` that is registered.
        pairing: `complete` counts a labelled recording without prediction file as empty; `official` leaves
            it out.
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
    """
    from sai_bench.running import open_context

    plugins = plugins or load_plugins()
    components = [_component(name, plugins) for name in dict.fromkeys(metrics) or default_metrics(plugins)]
    files = pair_files(Path(predictions), Path(labels), pairing)
    context = open_context(cache, reporter or Reporter(), workers)
    pairs = _identify_all(files, context.workers)
    context = _without_idle_workers(context, pairs)
    stored = {c.name: _stored_parts(c, plugins, pairs, context) for c in components}
    parts = {name: [own_arrays(arrays) for arrays in kept] for name, kept in stored.items()}
    numbers, headlines, found = {}, {}, [*files.warnings]
    if stored:
        found += _input_warnings(next(iter(stored.values())))
    for component in components:
        metric = component.build()
        numbers[component.name] = {
            **combine(metric, component.name, parts[component.name]),
            **_intervals(metric, component.name, parts[component.name], bootstrap),
            **({"diagnostics": diagnose_pairs(component, plugins, pairs, context)} if diagnostics else {}),
        }
        headlines[component.name] = tuple(metric.headline)
        found += [f"{component.name}: {text}" for text in _name_warnings(metric, files)]
        found += _metric_warnings(metric, component.name, parts[component.name])
    settings = {component.name: component.resolved() for component in components}
    return Scores(numbers, headlines, files, tuple(found), parts, settings)


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
    """Return a metric's checked numbers for the parts of all recordings, in recording name order.

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


def _component(name: str, plugins: LoadedPlugins) -> ComponentSpec:
    registration = plugins.registry.get("metric", name)
    return ComponentSpec("metric", name, registration.load_config()(), registration)


def _identify_all(files: Pairing, workers: int) -> list[IdentifiedPair]:
    # Threads serve: hashing releases the interpreter.
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(identify, files.pairs))


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
            ScorePair(PortableComponent.of(component, plugins)),
            {
                "component": component_identity(component),
                "code": code_fingerprint("sai_bench.metrics.pair_scoring"),
            },
            context,
            parallel=True,
            identity=lambda pair: pair.content_sha256,
        )
    except AnnotationError as error:  # another metric may read the file differently
        raise AnnotationError(f"{error} (metric {component.name})") from error
    return [read_arrays(stage.paths[pair.name]) for pair in pairs]


def _input_warnings(stored: Sequence[Mapping[str, np.ndarray]]) -> list[str]:
    labels, labels_with_score, predictions, predictions_with_score = sum(s[INPUT_COUNTS] for s in stored)
    warnings = []
    if predictions and not predictions_with_score:
        warnings.append(
            f"None of the {predictions} predictions has a score: are these labels, or are the folders "
            "exchanged? Every score counts as 0."
        )
    elif predictions_with_score < predictions:
        warnings.append(
            f"{predictions - predictions_with_score} of {predictions} predictions have no score. It counts "
            "as 0."
        )
    if labels_with_score:
        warnings.append(
            f"{labels_with_score} of {labels} labels have a score: are these predictions, or are the folders "
            "exchanged? Scores of labels are not used."
        )
    return warnings


def _name_warnings(metric: Metric, files: Pairing) -> list[str]:
    """Return a warning for each side whose files the metric's official evaluator would not find."""
    sides = (
        ("prediction", metric.prediction_suffixes, [p.predictions for p in files.pairs if p.predictions]),
        ("label", metric.label_suffixes, [p.labels for p in files.pairs]),
    )
    warnings = []
    for side, suffixes, paths in sides:
        odd = [path.name for path in paths if suffixes is not None and suffix_of(path) not in suffixes]
        if odd:
            expected = " or ".join(f"NAME{suffix}.json" for suffix in suffixes)
            warnings.append(
                f"{len(odd)} {side} files have names that the official evaluator does not find "
                f"({shortened(odd)}). It expects {expected}."
            )
    return warnings


def _metric_warnings(metric: Metric, name: str, parts: Sequence[Mapping[str, np.ndarray]]) -> list[str]:
    with component_errors(f"Metric '{name}' failed to judge its recordings"):
        warnings = metric.warnings(parts)
    if not isinstance(warnings, list) or not all(isinstance(text, str) for text in warnings):
        raise ContractError(f"Metric '{name}' returned warnings that are no list of text.")
    return [f"{name}: {text}" for text in warnings]
