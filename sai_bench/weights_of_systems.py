"""The weights file of a whole system: writing it, and checking that one fits a spec."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sai_bench.errors import OutputError, component_errors
from sai_bench.networks import DETECTOR_KINDS, arrays_of, build_parts, load_into
from sai_bench.running import fitted_prior
from sai_bench.weights import check_configs, read_weights, write_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from sai_bench.spec import Spec
    from sai_bench.stages.stage import Context


@dataclass(frozen=True)
class WeightsSummary:
    """What a weights file holds.

    Attributes:
        path: of the file.
        sha256: hash of its tensors.
        values: kind -> how many numbers.
    """

    path: Path
    sha256: str
    values: dict[str, int]

    def lines(self) -> list[str]:
        """Return the summary as text."""
        counts = [f"{kind}: {count:,} values" for kind, count in self.values.items()]
        return [*(counts or ["no component of this system has weights"]), f"sha256 {self.sha256}"]


def export_weights(spec: Spec, path: Path, context: Context) -> WeightsSummary:
    """Write the weights of a spec's networks and of its prior, if that needs fitting, to one file.

    Networks have the weights of `system.weights`, or the random ones that follow from the spec's seed. A
    prior is fitted to the spec's data first, unless an earlier run left its weights.

    Raises:
        OutputError: the file cannot be written there.
        WeightsError: the spec's own weights do not fit.
    """
    if path.suffix != ".safetensors":
        raise OutputError(f"{path}: expected a name that ends in .safetensors.")
    system = spec.require_system()
    with component_errors("Building the system failed"):
        parts = build_parts(system, spec.seed)
    tensors = {kind: arrays_of(part) for kind, part in parts.items()}
    fitted = fitted_prior(spec, context)
    if fitted is not None:
        tensors["prior"] = dict(fitted.weights)
    tensors = {kind: named for kind, named in tensors.items() if named}
    described = {*tensors, *(DETECTOR_KINDS if tensors.keys() - {"prior"} else ())}
    components = {c.kind: c.resolved() for c in system.components() if c.kind in described}
    sha256 = write_weights(path, tensors, components)
    return WeightsSummary(path, sha256, _counts(tensors))


def check_weights(spec: Spec, path: Path) -> WeightsSummary:
    """Check that a file fits a spec's system.

    Raises:
        WeightsError: it does not; every difference of configs and tensors is named.
    """
    system = spec.require_system()
    weights = read_weights(path)
    with component_errors("Building the system failed"):
        load_into(build_parts(replace(system, weights=None), spec.seed), weights, system)
    if "prior" in weights.tensors:
        check_configs(weights, {"prior": system.prior.resolved()})
        with component_errors(f"Loading the weights of prior '{system.prior.name}' failed"):
            system.prior.build().load_weights(weights.tensors["prior"])
    return WeightsSummary(path, weights.sha256, _counts(weights.tensors))


def _counts(tensors: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, int]:
    return {kind: sum(array.size for array in named.values()) for kind, named in tensors.items()}
