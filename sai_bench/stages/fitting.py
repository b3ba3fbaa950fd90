"""Fitting the prior to the train split, once for each combination of config, code, data and seed."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sai_bench.audio import read_heard
from sai_bench.code_fingerprint import code_fingerprint
from sai_bench.errors import ContractError, component_errors
from sai_bench.files import arrays_sha256, encode_arrays, read_arrays
from sai_bench.interfaces import Example, Prior, Progress
from sai_bench.predictions import activity, read_annotations
from sai_bench.sphere import frame_count
from sai_bench.stages.keys import component_identity, key_of, library_versions, recording_identity
from sai_bench.stages.labelled import labelled_recordings
from sai_bench.stages.stored import is_stored, read_note, store
from sai_bench.threads import one_blas_thread
from sai_bench.weights import Weights, check_configs, read_weights

if TYPE_CHECKING:
    import numpy as np

    from sai_bench.interfaces import Dataset, Recording
    from sai_bench.spec import Spec
    from sai_bench.stages.stage import Context

TRAIN_SPLIT = "train"


@dataclass(frozen=True)
class FittedPrior:
    """Weights of a fitted prior.

    Attributes:
        weights: named arrays.
        sha256: hash of the arrays.
        recordings: how many recordings it was fitted to, None if a weights file has it.
        seconds: how long that took when it was done.
        reused: whether an earlier run left the weights.
        source: the weights file, None if it was fitted here.
    """

    weights: Mapping[str, np.ndarray]
    sha256: str
    recordings: int | None
    seconds: float
    reused: bool
    source: Path | None = None


def needs_fit(spec: Spec) -> bool:
    """Return whether the spec's prior must be fitted, with its config (imports the prior's module).

    Raises:
        ContractError: the prior's class says one thing and defines another.
    """
    component = spec.require_system().prior
    prior = component.registration.load_class()
    fits, loads = prior.fit is not Prior.fit, prior.load_weights is not Prior.load_weights
    if prior.needs_fit and not (fits and loads):
        missing = "load_weights" if fits else "fit"
        raise ContractError(f"Prior '{component.name}' has needs_fit = True, but does not define {missing}.")
    if fits and not prior.needs_fit:
        raise ContractError(
            f"Prior '{component.name}' defines fit, but would never be fitted. Set needs_fit = True in it."
        )
    return prior.needs_fit and prior.needs_fit_with(component.config)


def fit_prior(spec: Spec, dataset: Dataset, context: Context, split: str = TRAIN_SPLIT) -> FittedPrior:
    """Fit the spec's prior, one that needs it, to a split, or take the stored weights.

    Raises:
        DatasetError: the data set has no labelled recordings in that split.
        StageError: the prior raised.
    """
    component = spec.require_system().prior
    recordings = labelled_recordings(
        dataset,
        split,
        context.reporter,
        needed_by=f"prior '{component.name}' must be fitted",
        instead="Give the data set some, or take a prior that needs no fit, such as uniform.",
    )
    key = key_of(
        {
            "stage": "fit",
            "prior": component_identity(component),
            "seed": spec.seed,
            "microphones": spec.require_system().microphones,
            "recordings": [recording_identity(r) for r in recordings],
            "libraries": library_versions(),
            "code": code_fingerprint("sai_bench.audio", "sai_bench.predictions"),
        }
    )
    path = context.cache / "fit" / f"{component.name}-{key[:16]}.npz"
    reused = is_stored(path)
    if reused:
        context.reporter.line(f"fit: prior {component.name} reused")
    else:
        with (
            context.reporter.task("fit") as progress,
            component_errors(f"Fitting prior '{component.name}' failed"),
            one_blas_thread(),
        ):
            prior = component.build()
            begun = time.perf_counter()
            examples = _Examples(recordings, spec.require_system().microphones, progress)
            weights = prior.fit(examples, spec.seed)
            if not isinstance(weights, Mapping):
                raise ContractError(
                    f"Prior '{component.name}': fit returned {type(weights).__name__}, expected a dict of "
                    "name -> array."
                )
            store(path, encode_arrays(weights), time.perf_counter() - begun)
        context.reporter.line(f"fit: prior {component.name} on {len(recordings)} recordings")
    weights = read_arrays(path)
    return FittedPrior(weights, arrays_sha256(weights), len(recordings), read_note(path).seconds, reused)


def prior_of_file(spec: Spec) -> FittedPrior | None:
    """Return the prior of the spec's weights file, None if there is no file or no such prior in it.

    Raises:
        WeightsError: the file cannot be read, or has this prior with another config.
    """
    path = spec.require_system().weights
    return None if path is None else prior_among(read_weights(path), spec)


def prior_among(weights: Weights, spec: Spec) -> FittedPrior | None:
    """Return the prior among weights, None if there is none that the spec uses (see `why_unused`).

    Raises:
        WeightsError: it is there with another config.
    """
    if "prior" not in weights.tensors or why_unused(weights, spec):
        return None
    check_configs(weights, [spec.require_system().prior])
    arrays, sha256 = weights.tensors["prior"], weights.sha256["prior"]
    return FittedPrior(arrays, sha256, None, 0.0, reused=True, source=weights.path)


def why_unused(weights: Weights, spec: Spec) -> str:
    """Return why a spec does not use the prior among weights; nothing if it does, or there is none.

    Whoever swaps the prior keeps the detector's weights.
    """
    if "prior" not in weights.tensors:
        return ""
    made_for, wanted = weights.components.get("prior", {}).get("use"), spec.require_system().prior.name
    if made_for != wanted:
        return f"its prior '{made_for}' is not used: the spec has '{wanted}'"
    return "" if needs_fit(spec) else f"its prior '{made_for}' is not used: the spec's needs no weights"


class _Examples(Collection):
    """The training recordings, read anew each time somebody goes through them."""

    def __init__(self, recordings: Sequence[Recording], microphones: str, progress: Progress):
        self._recordings = recordings
        self._microphones = microphones
        self._progress = progress

    def __len__(self) -> int:
        return len(self._recordings)

    def __iter__(self) -> Iterator[Example]:
        for done, recording in enumerate(self._recordings):
            self._progress(done, len(self))
            waveform, rate, _ = read_heard(recording, self._microphones)
            frames = frame_count(waveform.shape[1], rate)
            yield Example(waveform, rate, activity(read_annotations(recording.labels_path), frames))
        self._progress(len(self), len(self))

    def __contains__(self, example: object) -> bool:
        return any(example is one for one in self)
