"""What each part of a declared system costs on this machine: time, memory, and how far it is from the limit.

A stretch of noise goes through the same code as a recording. The limit of a part with matrix products and
convolutions is their number over the rate at which this machine multiplies large matrices.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from sai_bench.class_activity import class_activity
from sai_bench.description import describe
from sai_bench.detector import Detector
from sai_bench.errors import SpecError, component_errors
from sai_bench.export import detections_of, fuse_and_select
from sai_bench.memory_peak import forget_memory_peak, memory_peak_bytes
from sai_bench.predictions import encode_detections
from sai_bench.results.environment import describe_environment
from sai_bench.sphere import em32_array, mic_array
from sai_bench.stages.fitting import needs_fit, prior_of_file
from sai_bench.threads import one_blas_thread

if TYPE_CHECKING:
    from sai_bench.spec import Spec

_AFTER_EXPORT = ("compressor", "json")
_MATRIX = 2048
_LEVEL = 0.1  # of the noise, full scale 1


@dataclass(frozen=True)
class Cost:
    """What one pass of a part took.

    Attributes:
        wall_s: seconds.
        cpu_s: processor seconds of all threads.
        peak_bytes: the most memory that the process held meanwhile, None where that cannot be known. (How
            far it rose would say little: allocators keep what they once had.)
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
        peak_bytes: the most memory that the process held meanwhile, None where unknown.
        real_time_factor: seconds per second of audio.
        limit_s: seconds that its matrix products and convolutions would take at the machine's best rate.
    """

    part: str
    component: str
    wall_s: float
    cpu_s: float
    peak_bytes: int | None
    real_time_factor: float
    limit_s: float | None


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
        matmul_gflops: precision -> rate of large matrix products.
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


class Meter:
    """Adds up the costs of the parts of one pass."""

    def __init__(self):
        self.costs: dict[str, Cost] = {}

    @contextlib.contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Measure what happens inside as (more of) a part."""
        _finish_device()
        forget_memory_peak()
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        _finish_device()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        cost = Cost(wall, cpu, memory_peak_bytes())
        self.costs[part] = self.costs[part] + cost if part in self.costs else cost


def bench(spec: Spec, audio_s: float, repeats: int, progress: Callable[[int, int], None]) -> BenchResult:
    """Send noise through every part of a spec's system, `repeats` times after a first pass.

    Args:
        spec: a spec with a system; its prior must need no fit, or have its weights in `system.weights`.
        audio_s: seconds of noise.
        repeats: passes that count.
        progress: told how many of the passes are done.

    Raises:
        SpecError: the prior would have to be fitted first.
        StageError: a component raised.
    """
    system = spec.require_system()
    weights = _prior_weights(spec)
    described = describe(spec)
    with component_errors("Building the system failed"):
        meter = Meter()
        detector = Detector(system, spec.inference, spec.seed, watch=lambda part: meter(part))
        prior, fusion, compressor = (c.build() for c in (system.prior, system.fusion, system.compressor))
        if weights is not None:
            prior.load_weights(weights)
    array = mic_array() if system.microphones == "mic" else em32_array()
    rate = detector.sample_rate_hz
    noise = np.random.default_rng(spec.seed).normal(0, _LEVEL, (array.microphones, round(audio_s * rate)))
    waveform = noise.astype(np.float32)
    passes = []
    for number in range(repeats + 1):
        progress(number, repeats + 1)
        meter = Meter()
        begun = time.perf_counter()
        with component_errors("The system failed on noise"), one_blas_thread():
            regions = detector(waveform, rate, array)
            with meter("prior"):
                p = class_activity(prior, waveform, rate)
            with meter("fusion"):
                selection = fuse_and_select(regions, p, fusion, spec.export, spec.name)
            with meter("compressor"):
                detections = detections_of(regions, selection, compressor, spec.export)
            with meter("json"):
                encode_detections(detections)
        passes.append((time.perf_counter() - begun, meter.costs))
    progress(repeats + 1, repeats + 1)
    rates = matmul_gflops(spec.inference.device)
    limits = _limits(spec, described, audio_s, rates[spec.inference.precision])
    counted = passes[1:]
    return BenchResult(
        name=spec.name,
        spec_sha256=spec.sha256,
        audio_s=audio_s,
        repeats=repeats,
        first_pass_s=passes[0][0],
        threads=torch.get_num_threads(),
        inference=spec.inference.model_dump(mode="json"),
        matmul_gflops=rates,
        real_time_factor=statistics.median(total for total, _ in counted) / audio_s,
        real_time_factor_to_export=statistics.median(map(_seconds_to_export, counted)) / audio_s,
        parts=tuple(
            _part_cost(
                part, _component_name(spec, part), [costs[part] for _, costs in counted], audio_s, limits
            )
            for part in counted[0][1]
        ),
        environment=describe_environment(),
    )


def matmul_gflops(device: str = "cpu") -> dict[str, float]:
    """Return the best of several rates at which a device multiplies large matrices, by precision."""
    rates = {}
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = (torch.randn(_MATRIX, _MATRIX).to(device, dtype) for _ in range(2))
        fastest = min(_seconds(lambda a=a, b=b: a @ b) for _ in range(5))
        rates[precision] = 2 * _MATRIX**3 / fastest / 1e9
    return rates


def _seconds_to_export(one_pass: tuple[float, dict[str, Cost]]) -> float:
    total, costs = one_pass
    return total - sum(costs[part].wall_s for part in _AFTER_EXPORT)


def _seconds(call: Callable[[], object]) -> float:
    _finish_device()
    begun = time.perf_counter()
    call()
    _finish_device()
    return time.perf_counter() - begun


def _finish_device() -> None:
    """Wait for what an accelerator still has to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


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


def _limits(spec: Spec, described, audio_s: float, gflops: float) -> dict[str, float]:
    """Return for each part with matrix products how long they take at best for the whole stretch."""
    segments = -(-audio_s // spec.inference.segment_s)
    per_segment = {part.kind: part.gmacs for part in described.parts if part.gmacs}
    return {kind: 2 * gmacs * segments / gflops for kind, gmacs in per_segment.items()}


def _component_name(spec: Spec, part: str) -> str:
    component = getattr(spec.require_system(), part, None)
    return component.name if component is not None else _DONE[part]


_DONE = {
    "resample": "to the front end's rate",
    "masks": "full-size masks of the kept candidates",
    "json": "DCASE JSON",
}


def _part_cost(
    part: str, component: str, costs: list[Cost], audio_s: float, limits: dict[str, float]
) -> PartCost:
    wall_s = statistics.median(cost.wall_s for cost in costs)
    peaks = [cost.peak_bytes for cost in costs if cost.peak_bytes is not None]
    return PartCost(
        part=part,
        component=component,
        wall_s=wall_s,
        cpu_s=statistics.median(cost.cpu_s for cost in costs),
        peak_bytes=max(peaks) if peaks else None,
        real_time_factor=wall_s / audio_s,
        limit_s=limits.get(part),
    )
