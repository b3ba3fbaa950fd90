"""What a system is made of: shapes at its joints and landmarks, parameters, multiply-accumulates.

One segment of silence goes through the parts as it would at inference. Nothing is fitted or read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from sai_bench.errors import component_errors
from sai_bench.networks import build_parts
from sai_bench.sphere import FRAMES_PER_S, em32_array, mic_array

if TYPE_CHECKING:
    from sai_bench.interfaces import Candidates
    from sai_bench.spec import Spec


@dataclass(frozen=True)
class Shape:
    """One array: what it is, its axes (letters as in `sai_bench.interfaces`) and their lengths."""

    what: str
    axes: str
    lengths: tuple[int, ...]


@dataclass
class Part:
    """One component of a system.

    Attributes:
        kind: such as `backbone`.
        name: of the component.
        shapes: of what it returns, and of its landmarks before that.
        parameters: learned numbers.
        gmacs: 1e9 multiply-accumulates of matrix products and convolutions in a segment, None if unknown.
        details: `parameters` and `gmacs` of each network inside, by name.
        note: what to know about the figures.
    """

    kind: str
    name: str
    shapes: list[Shape] = field(default_factory=list)
    parameters: int = 0
    gmacs: float | None = None
    details: dict[str, dict[str, float]] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Description:
    """A described system.

    Attributes:
        name: of the spec.
        segment_s: seconds of audio that go through at once, context included.
        parts: in the order of the signal.
    """

    name: str
    segment_s: float
    parts: tuple[Part, ...]

    def to_json(self) -> dict:
        """Return the description, JSON-ready."""
        return asdict(self)


def describe(spec: Spec) -> Description:
    """Build a spec's system and send one segment of silence through it.

    Raises:
        StageError: a component raised.
        WeightsError: the spec's weights do not fit.
    """
    system = spec.require_system()
    with component_errors("Building the system failed"):
        built = build_parts(system, spec.seed)
    frames = round(spec.inference.segment_s * FRAMES_PER_S) + 2 * round(
        spec.inference.context_s * FRAMES_PER_S
    )
    segment_s = frames / FRAMES_PER_S
    array = mic_array() if system.microphones == "mic" else em32_array()
    rate = system.front_end.config.output().sample_rate_hz
    waveform = torch.zeros(1, array.microphones, round(segment_s * rate))
    parts = []
    with torch.no_grad():
        flow: object = waveform
        _freeze(built.values())
        for kind, part in built.items():
            component = getattr(system, kind)
            described = Part(kind, component.name, parameters=_parameters(part))
            extra = (array,) if kind == "backbone" else ()
            with (
                component_errors(f"{kind} '{component.name}' failed on {segment_s:g} s of silence"),
                _landmarks(part, described.shapes),
            ):
                flow, described.gmacs, inside = counted_gmacs(
                    lambda part=part, flow=flow, extra=extra: part(flow, *extra)
                )
            described.details = _details(part, inside)
            described.shapes += _SHAPES[kind](flow)
            parts.append(described)
    parts += [_describe_prior(spec, waveform[0].numpy(), rate)]
    parts += [_describe_small(spec, kind) for kind in ("fusion", "compressor")]
    return Description(spec.name, segment_s, tuple(parts))


def _shapes_of_candidates(candidates: Candidates) -> list[Shape]:
    selection = torch.zeros(1, 3, dtype=torch.long)
    return [
        Shape("class logits", "B N Q K+1", tuple(candidates.class_logits.shape)),
        Shape("scores", "B N Q", tuple(candidates.scores.shape)),
        Shape("mask logits", "B N R h w", tuple(candidates.mask_logits.shape)),
        Shape("one full-size mask", "n H W", tuple(candidates.masks(selection).shape)),
    ]


_SHAPES: dict[str, Callable[[object], list[Shape]]] = {
    "front_end": lambda features: [Shape("features", "B C T F", tuple(features.shape))],
    "backbone": lambda sphere: [Shape("sphere features", "B N D h w", tuple(sphere.shape))],
    "decoder": _shapes_of_candidates,
}


def _describe_prior(spec: Spec, waveform: np.ndarray, rate: int) -> Part:
    from sai_bench.stages.fitting import needs_fit

    component = spec.require_system().prior
    with component_errors(f"Building prior '{component.name}' failed"):
        prior = component.build()
    _freeze(_networks_in(prior))
    part = Part("prior", component.name, parameters=_parameters(prior))
    if needs_fit(spec):
        part.note = "not fitted yet: what its weights add is not counted"
    elif prior.needs_labels:
        part.note = "reads the labels, hears nothing"
    else:
        with component_errors(f"prior '{component.name}' failed on silence"), torch.no_grad():
            p, part.gmacs, _ = counted_gmacs(lambda: prior(waveform, rate))
        part.shapes.append(Shape("class activity", "K N", tuple(np.shape(p))))
    return part


def _describe_small(spec: Spec, kind: str) -> Part:
    component = getattr(spec.require_system(), kind)
    return Part(kind, component.name, note=component.registration.summary)


def _parameters(part: object) -> int:
    """Return how many learned numbers a component has, its own or those of networks it holds."""
    return sum(p.numel() for network in _networks_in(part) for p in network.parameters())


def _networks_in(part: object) -> list[torch.nn.Module]:
    """Return a component itself, or the networks that it holds."""
    values = [part] if isinstance(part, torch.nn.Module) else vars(part).values()
    return [value for value in values if isinstance(value, torch.nn.Module)]


def _freeze(parts: Iterable[object]) -> None:
    """Let networks work as at inference; torch's counter stumbles over parameters that want gradients."""
    for part in parts:
        if isinstance(part, torch.nn.Module):
            part.eval().requires_grad_(False)


def counted_gmacs(call: Callable[[], object]) -> tuple[object, float, dict[str, float]]:
    """Return what a call returns, its 1e9 multiply-accumulates, and those of each module by its path.

    Paths begin with the class of the network that was called, such as `ConvNextSpherical.encoder`.
    """
    with FlopCounterMode(display=False, custom_mapping=_UNKNOWN_TO_TORCH) as counter:
        result = call()
    inside = {path: sum(flops.values()) for path, flops in counter.get_flop_counts().items()}
    return result, _gmacs(counter.get_total_flops()), {path: _gmacs(n) for path, n in inside.items()}


def _gmacs(flops: float) -> float:
    return flops / 2 / 1e9


def _details(part: object, inside: dict[str, float]) -> dict[str, dict[str, float]]:
    """Return parameters and multiply-accumulates of the modules that a network consists of."""
    if not isinstance(part, torch.nn.Module):
        return {}
    prefix = type(part).__name__
    details = {}
    for name, module in part.named_children():
        # Lists of modules are not called themselves.
        called = (
            [name]
            if not isinstance(module, torch.nn.ModuleList)
            else [f"{name}.{index}" for index in range(len(module))]
        )
        details[name] = {
            "parameters": sum(p.numel() for p in module.parameters()),
            "gmacs": sum(inside.get(f"{prefix}.{path}", 0.0) for path in called),
        }
    return details


def _attention_flops(query, key, value, *args, **kwargs) -> int:
    return sdpa_flop_count(query, key, value)


_UNKNOWN_TO_TORCH = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}
"""What torch's counter takes for nothing on a CPU."""


@contextmanager
def _landmarks(part: object, shapes: list[Shape]) -> Iterator[None]:
    """Note the shapes of what a network's landmarks return: `landmarks` maps a label to (module, axes)."""

    def note(what: str, axes: str):
        return lambda module, given, returned: shapes.append(Shape(what, axes, tuple(returned.shape)))

    named = getattr(part, "landmarks", {})
    hooks = [
        part.get_submodule(module).register_forward_hook(note(what, axes))
        for what, (module, axes) in named.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
