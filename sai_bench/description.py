"""What a system is made of: shapes at its joints and landmarks, parameters, multiply-accumulates.

One segment of silence goes through the parts as it would at inference. Nothing is fitted.
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
from sai_bench.interfaces import Prior
from sai_bench.networks import build_parts
from sai_bench.segments import frames_to_decode, whole_segment
from sai_bench.sphere import FRAMES_PER_S
from sai_bench.system import array_heard

if TYPE_CHECKING:
    from sai_bench.interfaces import Candidates
    from sai_bench.spec import InferenceSettings, Spec
    from sai_bench.sphere import ArrayGeometry


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
        gmacs: 1e9 multiply-accumulates of matrix products and convolutions in a segment, None if there are
            none to count.
        gmacs_per_mask: of a decoder, what each full-size mask takes besides.
        details: `parameters` and `gmacs` of each module inside, by name.
        note: what to know about the figures.
    """

    kind: str
    name: str
    shapes: list[Shape] = field(default_factory=list)
    parameters: int = 0
    gmacs: float | None = None
    gmacs_per_mask: float | None = None
    details: dict[str, dict[str, float | None]] = field(default_factory=dict)
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

    A prior that is not fitted yet is taken with random weights, if it has networks.

    Raises:
        SpecError: the front end needs an array that is not known.
        StageError: a component raised.
        WeightsError: the spec's weights do not fit.
    """
    system = spec.require_system()
    array = array_heard(system)
    with component_errors("Building the system failed"):
        built = build_parts(system, spec.seed)
    with torch.no_grad():
        parts = _describe_detector(spec, built, array)
        parts.append(_describe_prior(spec, array))
    parts += [_describe_small(spec, kind) for kind in ("fusion", "compressor")]
    segment_s = whole_segment(spec.inference).frames_heard / FRAMES_PER_S
    return Description(spec.name, segment_s, tuple(parts))


def _describe_detector(spec: Spec, built: dict[str, object], array: ArrayGeometry) -> list[Part]:
    segment = whole_segment(spec.inference)
    flow: object = _silence(spec, array, segment.frames_heard)[None]
    parts = []
    for kind, part in built.items():
        component = getattr(spec.require_system(), kind)
        described = Part(kind, component.name, parameters=_parameters(part))
        _freeze(part)
        if kind == "decoder":
            flow, _ = frames_to_decode(flow, segment.own, part.frames_are_independent)
        arguments = (flow, array) if kind == "backbone" else (flow,)
        with component_errors(f"{kind} '{component.name}' failed on a segment of silence"):
            with _landmarks(part, described.shapes):
                flow, described.gmacs, inside = counted_gmacs(lambda p=part, a=arguments: p(*a))
            described.details = _details(part, inside)
            described.shapes += _SHAPES[kind](flow)
            if kind == "decoder":
                _describe_masks(described, flow, spec.inference)
        parts.append(described)
    return parts


def _silence(spec: Spec, array: ArrayGeometry, frames: int) -> torch.Tensor:
    """Return silence [M, S] of some label frames at the front end's rate."""
    rate = spec.require_system().front_end.config.output().sample_rate_hz
    return torch.zeros(array.microphones, round(frames * rate / FRAMES_PER_S))


def _shapes_of_candidates(candidates: Candidates) -> list[Shape]:
    return [
        Shape("class logits", "B N Q K+1", tuple(candidates.class_logits.shape)),
        Shape("scores", "B N Q", tuple(candidates.scores.shape)),
        Shape("mask logits", "B N R h w", tuple(candidates.mask_logits.shape)),
    ]


_SHAPES: dict[str, Callable[[object], list[Shape]]] = {
    "front_end": lambda features: [Shape("features", "B C T F", tuple(features.shape))],
    "backbone": lambda sphere: [Shape("sphere features", "B N D h w", tuple(sphere.shape))],
    "decoder": _shapes_of_candidates,
}


def _describe_masks(decoder: Part, candidates: Candidates, inference: InferenceSettings) -> None:
    """Note what a full-size mask is and takes, if as many of a frame are made as are kept at most."""
    number = min(candidates.mask_logits.shape[2], inference.masks_per_frame)
    selection = torch.tensor([(0, 0, mask) for mask in range(number)])
    masks, gmacs, _ = counted_gmacs(lambda: candidates.masks(selection))
    decoder.shapes.append(Shape("one full-size mask", "n H W", tuple(masks[:1].shape)))
    if gmacs is not None:
        decoder.gmacs_per_mask = gmacs / number
        decoder.note = f"each full-size mask takes another {decoder.gmacs_per_mask:.3g} GMAC"


def _describe_prior(spec: Spec, array: ArrayGeometry) -> Part:
    component = spec.require_system().prior
    with component_errors(f"Building prior '{component.name}' failed"):
        prior, part = component.build(), Part("prior", component.name)
        can_hear, part.note = _ready_to_hear(prior, spec)
        _freeze(prior)
    part.parameters = _parameters(prior)
    if can_hear:
        waveform = _silence(spec, array, whole_segment(spec.inference).frames).numpy()
        rate = spec.require_system().front_end.config.output().sample_rate_hz
        with component_errors(f"prior '{component.name}' failed on silence"):
            p, part.gmacs, inside = counted_gmacs(lambda: prior(waveform, rate))
            part.details = {
                name: _detail(network, [type(network).__name__], inside)
                for name, network in prior.networks().items()
            }
        part.shapes.append(Shape("class activity", "K N", tuple(np.shape(p))))
    return part


def _ready_to_hear(prior: Prior, spec: Spec) -> tuple[bool, str]:
    """Give a prior that is not fitted what weights there are; return whether it can hear, and a note."""
    from sai_bench.stages.fitting import needs_fit, prior_of_file

    if prior.needs_labels:
        return False, "reads the labels, hears nothing"
    if not needs_fit(spec):
        return True, ""
    given = prior_of_file(spec)
    if given is not None:
        prior.load_weights(given.weights)
        return True, ""
    if prior.take_random_weights():
        return True, "not fitted yet: counted with random weights"
    return False, "not fitted yet: what its weights add is not counted"


def _describe_small(spec: Spec, kind: str) -> Part:
    component = getattr(spec.require_system(), kind)
    return Part(kind, component.name, note=component.registration.summary)


def networks_of(part: object) -> list[torch.nn.Module]:
    """Return the networks of a component: itself, or those that a prior holds."""
    if isinstance(part, torch.nn.Module):
        return [part]
    return [*part.networks().values()] if isinstance(part, Prior) else []


def _parameters(part: object) -> int:
    """Return how many learned numbers a component has."""
    return sum(p.numel() for network in networks_of(part) for p in network.parameters())


def _freeze(part: object) -> None:
    """Let networks work as at inference; torch's counter stumbles over parameters that want gradients."""
    for network in networks_of(part):
        network.eval().requires_grad_(False)


def counted_gmacs(call: Callable[[], object]) -> tuple[object, float | None, dict[str, float]]:
    """Return what a call returns, its 1e9 multiply-accumulates, and those of each module by its path.

    Only matrix products and convolutions count; where there are none, the number is None and a module has no
    entry. Paths begin with the class of the network that was called, such as `ConvNextSpherical.encoder`.
    """
    with FlopCounterMode(display=False, custom_mapping=_UNKNOWN_TO_TORCH) as counter:
        result = call()
    inside = {path: _gmacs(flops.values()) for path, flops in counter.get_flop_counts().items()}
    return result, inside.get("Global"), inside


def _gmacs(flops: Iterable[int]) -> float:
    return sum(flops) / 2 / 1e9


def _details(part: object, inside: dict[str, float]) -> dict[str, dict[str, float | None]]:
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
        details[name] = _detail(module, [f"{prefix}.{path}" for path in called], inside)
    return details


def _detail(module: torch.nn.Module, called: Iterable[str], inside: dict[str, float]) -> dict:
    """Return parameters and multiply-accumulates of a module that was called under some paths."""
    counted = [inside[path] for path in called if path in inside]
    return {
        "parameters": sum(p.numel() for p in module.parameters()),
        "gmacs": sum(counted) if counted else None,
    }


def _attention_flops(query, key, value, *args, **kwargs) -> int:
    return sdpa_flop_count(query, key, value)


_UNKNOWN_TO_TORCH = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}
"""What torch's counter takes for nothing on a CPU."""


@contextmanager
def _landmarks(part: object, shapes: list[Shape]) -> Iterator[None]:
    """Note the shapes of what a network's landmarks return."""

    def note(what: str, axes: str):
        return lambda module, given, returned: shapes.append(Shape(what, axes, tuple(returned.shape)))

    hooks = [
        part.get_submodule(module).register_forward_hook(note(what, axes))
        for what, (module, axes) in part.landmarks.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
