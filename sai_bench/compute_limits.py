"""How long the parts of a system would take at best: their matrix products and convolutions over a rate.

The rate is that at which the device of a part multiplies large matrices in the precision of the part's
networks. What a part computes in float32 all the same counts as if it did not, and everything but products
counts nothing: no part can reach its limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from sai_bench.description import networks_of
from sai_bench.segments import segments, whole_segment
from sai_bench.sphere import FRAMES_PER_S

if TYPE_CHECKING:
    from sai_bench.description import Description
    from sai_bench.spec import InferenceSettings
    from sai_bench.system import System

_MATRIX = 2048

Rates = Callable[[str], Mapping[str, float]]
"""Device -> precision -> 1e9 floating-point operations a second."""


@dataclass(frozen=True)
class Limit:
    """What a part needs at best.

    Attributes:
        wall_s: seconds.
        matmul_gflops: the rate behind it.
    """

    wall_s: float
    matmul_gflops: float


def limits(
    described: Description,
    system: System,
    inference: InferenceSettings,
    audio_s: float,
    masks: int,
    rates: Rates,
) -> dict[str, Limit]:
    """Return the limit of each part whose multiply-accumulates can be counted.

    Args:
        described: what a segment takes.
        system: built from the same spec.
        inference: of that spec.
        audio_s: seconds of audio that are heard.
        masks: full-size masks that are made of them.
        rates: of this machine.
    """
    found = {}
    for part, gmacs in _gmacs(described, system, inference, audio_s, masks).items():
        device, precision = _where_and_how(part, system, inference)
        rate = rates(device)[precision]
        found[part] = Limit(2 * gmacs / rate, rate)
    return found


def matmul_gflops(device: str = "cpu") -> dict[str, float]:
    """Return the best of several rates at which a device multiplies large matrices, by precision."""
    rates = {}
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = (torch.randn(_MATRIX, _MATRIX).to(device, dtype) for _ in range(2))
        fastest = min(_seconds(lambda a=a, b=b: a @ b) for _ in range(5))
        rates[precision] = 2 * _MATRIX**3 / fastest / 1e9
    return rates


def finish_device() -> None:
    """Wait for what an accelerator still has to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _gmacs(
    described: Description, system: System, inference: InferenceSettings, audio_s: float, masks: int
) -> dict[str, float]:
    whole, frames = whole_segment(inference), round(audio_s * FRAMES_PER_S)
    own = frames / whole.frames
    heard = sum(one.frames_heard for one in segments(frames, inference)) / whole.frames_heard
    decoded = own if system.detector.parts["decoder"].frames_are_independent else heard
    segments_of = {"front_end": heard, "backbone": heard, "decoder": decoded, "prior": own}
    gmacs = {}
    for part in described.parts:
        if part.gmacs is not None:
            gmacs[part.kind] = part.gmacs * segments_of[part.kind]
        if part.gmacs_per_mask is not None:
            gmacs["masks"] = part.gmacs_per_mask * masks
    return gmacs


def _where_and_how(part: str, system: System, inference: InferenceSettings) -> tuple[str, str]:
    """Return device and precision of a part: those of its largest tensor, float32 if it has none."""
    if part == "prior":
        component, device = system.prior, "cpu"
    else:
        component, device = system.detector.parts["decoder" if part == "masks" else part], inference.device
    tensors = [tensor for network in networks_of(component) for tensor in network.parameters()]
    if not tensors:
        return device, "fp32"
    largest = max(tensors, key=torch.Tensor.numel)
    return largest.device.type, "bf16" if largest.dtype == torch.bfloat16 else "fp32"


def _seconds(call: Callable[[], object]) -> float:
    finish_device()
    begun = time.perf_counter()
    call()
    finish_device()
    return time.perf_counter() - begun
