"""What each part of a declared system costs on this machine: time, memory, and how far it is from the limit.

A stretch of noise goes through the same code as a recording.
"""

from __future__ import annotations

import contextlib
import functools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from sai_bench.compute_limits import Limit, finish_device, limits, matmul_gflops
from sai_bench.description import describe
from sai_bench.errors import SpecError, component_errors
from sai_bench.memory_peak import forget_memory_peak, memory_peak_bytes
from sai_bench.predictions import encode_detections
from sai_bench.results.environment import describe_environment
from sai_bench.stages.fitting import needs_fit, prior_of_file
from sai_bench.system import System, array_heard

if TYPE_CHECKING:
    from sai_bench.description import Description
    from sai_bench.spec import Spec
    from sai_bench.sphere import ArrayGeometry

_AFTER_EXPORT = ("compressor", "json")
_LEVEL = 0.1  # of the noise, full scale 1


@dataclass(frozen=True)
class Cost:
    """What one pass of a part took.

    Attributes:
        wall_s: seconds.
        cpu_s: processor seconds of all threads.
        peak_bytes: the most memory that the process held meanwhile, None where that was not looked at or
            cannot be known.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int | None

    def __add__(self, other: Cost) -> Cost:
        peaks = (self.peak_bytes, other.peak_bytes)
        return Cost(
            self.wall_s + other.wall_s, self.cpu_s + other.cpu_s, None if None in peaks else max(peaks)
        )


@dataclass(frozen=True)
class PartCost:
    """What a part costs for the whole stretch: the median of the repeats.

    Attributes:
        part: such as `backbone`.
        component: its name, or what is done.
        wall_s: seconds.
        cpu_s: processor seconds of all threads.
        peak_bytes: the most memory that the process held meanwhile, None where unknown: what the part needs,
            besides what is there all the time (the networks, PyTorch).
        real_time_factor: seconds per second of audio.
        limit_s: what its matrix products and convolutions would take at best (`sai_bench.compute_limits`),
            None if there are none to count.
        matmul_gflops: the rate behind that.
    """

    part: str
    component: str
    wall_s: float
    cpu_s: float
    peak_bytes: int | None
    real_time_factor: float
    limit_s: float | None
    matmul_gflops: float | None


@dataclass(frozen=True)
class BenchResult:
    """What a system costs.

    Attributes:
        name: of the spec.
        spec_sha256: of the spec.
        audio_s: seconds of audio.
        repeats: passes after the first one, which warms up.
        first_pass_s: seconds of the first pass, compilation included.
        threads: of torch.
        inference: the spec's section.
        matmul_gflops: precision -> rate of large matrix products on the detector's device.
        real_time_factor: of the whole system, seconds per second of audio.
        real_time_factor_to_export: without compressor and JSON, whose work grows with the masks: those of
            random networks cover the sphere.
        parts: in the order of the signal.
        environment: processor, versions.
    """

    name: str
    spec_sha256: str
    audio_s: float
    repeats: int
    first_pass_s: float
    threads: int
    inference: dict
    matmul_gflops: dict[str, float]
    real_time_factor: float
    real_time_factor_to_export: float
    parts: tuple[PartCost, ...]
    environment: dict = field(repr=False)

    def to_json(self) -> dict:
        """Return the result, JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class _Pass:
    """One pass of the whole system.

    Attributes:
        wall_s: seconds.
        costs: of each part.
        masks: full-size masks that were made.
    """

    wall_s: float
    costs: dict[str, Cost]
    masks: int


class Meter:
    """Adds up the costs of the parts of a pass.

    Attributes:
        costs: part -> its costs since the pass began.
    """

    def __init__(self):
        self.begin_pass()

    def begin_pass(self, *, memory: bool = False) -> None:
        """Forget what was measured.

        Args:
            memory: whether to look at memory in the pass. That costs time: memory that was freed is given
                back before each part, and asked for anew.
        """
        self.costs: dict[str, Cost] = {}
        self._memory = memory

    @contextlib.contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Measure what happens inside as (more of) a part."""
        finish_device()
        if self._memory:
            forget_memory_peak()
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        finish_device()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        cost = Cost(wall, cpu, memory_peak_bytes() if self._memory else None)
        self.costs[part] = self.costs[part] + cost if part in self.costs else cost


def bench(spec: Spec, audio_s: float, repeats: int, progress: Callable[[int, int], None]) -> BenchResult:
    """Send noise through every part of a spec's system, `repeats` times after a first pass.

    A last pass looks at memory, which would cost the others time.

    Args:
        spec: a spec with a system; its prior must need no fit, or have its weights in `system.weights`.
        audio_s: seconds of noise.
        repeats: passes that count.
        progress: told how many of the passes are done.

    Raises:
        SpecError: the prior would have to be fitted first.
        StageError: a component raised.
    """
    weights = _prior_weights(spec)
    meter = Meter()
    with component_errors("Building the system failed"):
        system = System(spec, weights, watch=meter)
    described = describe(spec)
    passes = _measure(spec, system, meter, audio_s, repeats + 2, progress)
    return _result(spec, system, described, audio_s, passes)


def _measure(
    spec: Spec,
    system: System,
    meter: Meter,
    audio_s: float,
    number: int,
    progress: Callable[[int, int], None],
) -> list[_Pass]:
    """Return what each of several passes of the same noise took; the last one looks at memory."""
    array, rate = array_heard(spec.require_system()), system.detector.sample_rate_hz
    waveform = _noise((array.microphones, round(audio_s * rate)), spec.seed)
    passes = []
    for done in range(number):
        progress(done, number)
        meter.begin_pass(memory=done == number - 1)
        with component_errors("The system failed on noise"):
            passes.append(_one_pass(spec.name, system, meter, waveform, array))
    progress(number, number)
    return passes


def _noise(shape: tuple[int, int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, _LEVEL, shape).astype(np.float32)


def _one_pass(name: str, system: System, meter: Meter, waveform: np.ndarray, array: ArrayGeometry) -> _Pass:
    """Return what one pass took; nothing that it made stays in memory."""
    begun = time.perf_counter()
    regions, p = system.hear(waveform, system.detector.sample_rate_hz, array)
    detections = system.export(regions, p, name)
    with meter("json"):
        encode_detections(detections)
    wall_s = time.perf_counter() - begun
    return _Pass(wall_s, meter.costs, masks=len(regions.mask_starts) - 1)


def _result(
    spec: Spec, system: System, described: Description, audio_s: float, passes: Sequence[_Pass]
) -> BenchResult:
    """Return what the passes say; the first one warmed up, the last one looked at memory."""
    first, *counted, remembered = passes
    rates = functools.cache(matmul_gflops)
    at_best = limits(described, system, spec.inference, audio_s, first.masks, rates)
    costs = {part: [one.costs[part] for one in counted] for part in first.costs}
    parts = [
        _part_cost(
            part,
            _component_name(spec, part),
            its_costs,
            remembered.costs[part].peak_bytes,
            audio_s,
            at_best.get(part),
        )
        for part, its_costs in costs.items()
    ]
    return BenchResult(
        name=spec.name,
        spec_sha256=spec.sha256,
        audio_s=audio_s,
        repeats=len(counted),
        first_pass_s=first.wall_s,
        threads=torch.get_num_threads(),
        inference=spec.inference.model_dump(mode="json"),
        matmul_gflops=rates(spec.inference.device),
        real_time_factor=statistics.median(one.wall_s for one in counted) / audio_s,
        real_time_factor_to_export=statistics.median(map(_seconds_to_export, counted)) / audio_s,
        parts=tuple(parts),
        environment=describe_environment(),
    )


def _seconds_to_export(one: _Pass) -> float:
    return one.wall_s - sum(one.costs[part].wall_s for part in _AFTER_EXPORT)


def _prior_weights(spec: Spec):
    if not needs_fit(spec):
        return None
    given = prior_of_file(spec)
    if given is None:
        raise SpecError(
            [
                f"system.prior: '{spec.require_system().prior.name}' must be fitted before it can be timed. "
                "Run sai-bench export-weights first and set system.weights to its file, or take a prior that "
                "needs no fit, such as uniform."
            ]
        )
    return given.weights


def _component_name(spec: Spec, part: str) -> str:
    component = getattr(spec.require_system(), part, None)
    return component.name if component is not None else _DONE[part]


_DONE = {
    "resample": "to the front end's rate",
    "masks": "full-size masks of the kept candidates",
    "json": "DCASE JSON",
}


def _part_cost(
    part: str,
    component: str,
    costs: Sequence[Cost],
    peak_bytes: int | None,
    audio_s: float,
    limit: Limit | None,
) -> PartCost:
    wall_s = statistics.median(cost.wall_s for cost in costs)
    return PartCost(
        part=part,
        component=component,
        wall_s=wall_s,
        cpu_s=statistics.median(cost.cpu_s for cost in costs),
        peak_bytes=peak_bytes,
        real_time_factor=wall_s / audio_s,
        limit_s=limit and limit.wall_s,
        matmul_gflops=limit and limit.matmul_gflops,
    )
