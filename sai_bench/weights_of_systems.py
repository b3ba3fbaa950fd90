"""The weights file of a whole system: writing it, and checking that one fits a spec."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sai_bench.before_work import check_system
from sai_bench.errors import OutputError, WeightsError, component_errors
from sai_bench.files import check_writable
from sai_bench.network_state import arrays_of
from sai_bench.networks import DETECTOR_KINDS, build_parts, load_into
from sai_bench.running import fitted_prior, trained_system
from sai_bench.stages.fitting import prior_among, why_unused
from sai_bench.weights import (
    KINDS,
    Heard,
    Weights,
    check_configs,
    note_on_untrained,
    notes_on_heard,
    read_header,
    read_weights,
    write_weights,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np

    from sai_bench.spec import Spec
    from sai_bench.stages.stage import Context


@dataclass(frozen=True)
class WeightsSummary:
    """What a weights file holds.

    Attributes:
        path: of the file.
        sha256: kind -> hash of its tensors.
        values: kind -> how many numbers.
        notes: what to know before using it with the spec that it was checked with.
    """

    path: Path
    sha256: Mapping[str, str]
    values: dict[str, int]
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the summary as text."""
        counts = [
            f"{kind}: {count:,} values, sha256 {self.sha256[kind]}" for kind, count in self.values.items()
        ]
        return [*(counts or ["no component of this system has weights"]), *(f"note: {n}" for n in self.notes)]


def export_weights(spec: Spec, path: Path, context: Context) -> WeightsSummary:
    """Write the weights of a spec's networks and of its prior, if that needs fitting, to one file.

    Networks have the weights of `system.weights`, those that the spec's training stages leave, or the random
    ones that follow from the spec's seed. What needs training is trained first, unless an earlier run left
    its weights.

    Raises:
        OutputError: the file cannot be written there.
        WeightsError: the spec's own weights do not fit.
    """
    if path.suffix != ".safetensors":
        raise OutputError(f"{path}: expected a name that ends in .safetensors.")
    check_writable(path)
    check_system(spec)
    spec, _ = trained_system(spec, context)
    system = spec.require_system()
    with component_errors("Building the system failed"):
        parts = build_parts(system, spec.seed)
    tensors = {kind: arrays_of(part) for kind, part in parts.items()}
    fitted = fitted_prior(spec, context)
    if fitted is not None:
        tensors["prior"] = fitted.weights
    untrained = DETECTOR_KINDS if system.weights is None else read_header(system.weights).untrained
    return write_system_weights(path, spec, tensors, untrained)


def write_system_weights(
    path: Path,
    spec: Spec,
    tensors: Mapping[str, Mapping[str, np.ndarray]],
    untrained: Iterable[str] = (),
) -> WeightsSummary:
    """Write tensors of a spec's components to a weights file.

    Args:
        path: of the file.
        spec: whose configs the tensors belong to.
        tensors: kind -> name -> array; kinds without any are left out.
        untrained: the kinds whose tensors are initial random numbers.
    """
    system = spec.require_system()
    tensors = {kind: named for kind, named in tensors.items() if named}
    # Front end, backbone and decoder were made for one another, weights or not.
    described = {*tensors, *(DETECTOR_KINDS if tensors.keys() - {"prior"} else ())}
    components = {c.kind: c.resolved() for c in system.components() if c.kind in described}
    random = [kind for kind in untrained if kind in tensors]
    weights = write_weights(path, tensors, components, _heard(spec), random)
    return _summary(weights, note_on_untrained(weights, system.networks()))


def check_weights(spec: Spec, path: Path) -> WeightsSummary:
    """Check that a file fits a spec's system, with what a run would use of it.

    Raises:
        WeightsError: it does not. Every difference of configs is named, or else every misfit of tensors.
    """
    system = spec.require_system()
    weights = read_weights(path)
    unused = why_unused(weights, spec)
    used = [getattr(system, kind) for kind in KINDS if kind != "prior" or not unused]
    check_configs(weights, used)
    problems = [
        str(error) for error in (_misfit_of_detector(spec, weights), _misfit_of_prior(spec, weights)) if error
    ]
    if problems:
        raise WeightsError("\n".join(problems))
    notes = (
        *note_on_untrained(weights, system.networks()),
        *([unused] if unused else ()),
        *notes_on_heard(weights, _heard(spec), networks=bool(system.networks())),
    )
    return _summary(weights, notes)


def _misfit_of_detector(spec: Spec, weights: Weights) -> WeightsError | None:
    system = spec.require_system()
    try:
        with component_errors("Building the system failed"):
            load_into(build_parts(replace(system, weights=None), spec.seed), weights, system)
    except WeightsError as error:
        return error
    return None


def _misfit_of_prior(spec: Spec, weights: Weights) -> WeightsError | None:
    component, prior = spec.require_system().prior, prior_among(weights, spec)
    try:
        with component_errors(f"Loading the weights of prior '{component.name}' failed"):
            if prior is not None:
                component.build().load_weights(prior.weights)
    except WeightsError as error:
        return error
    return None


def _heard(spec: Spec) -> Heard:
    return Heard(spec.require_system().microphones, spec.inference.segment_s)


def _summary(weights: Weights, notes: tuple[str, ...] = ()) -> WeightsSummary:
    values = {kind: sum(array.size for array in named.values()) for kind, named in weights.tensors.items()}
    return WeightsSummary(weights.path, weights.sha256, values, notes)
