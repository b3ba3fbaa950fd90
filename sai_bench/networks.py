"""The networks among a system's parts: initial or given weights, device, precision, compilation.

A part is a network if it is a `torch.nn.Module`. Others (such as `steered_power`) compute in float32 wherever
their input lies and have no weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import torch

from sai_bench.devices import torch_device, torch_dtype
from sai_bench.errors import ContractError, WeightsError
from sai_bench.network_state import load_arrays, misfits, seeded, state_of
from sai_bench.weights import Weights, check_configs, read_weights

if TYPE_CHECKING:
    from sai_bench.spec import InferenceSettings, SystemSpec

DETECTOR_KINDS = ("front_end", "backbone", "decoder")


def build_parts(system: SystemSpec, seed: int) -> dict[str, object]:
    """Build front end, backbone and decoder of a spec.

    Networks get the weights of `system.weights`, and without such a file random ones that follow from the
    seed alone.

    Returns:
        kind -> part, on the CPU in float32.

    Raises:
        WeightsError: the weights file cannot be read or does not fit.
        ContractError: a part has weights that its config knows nothing of.
    """
    features = system.front_end.config.output()
    sphere = system.backbone.config.output(features)
    with seeded(seed):
        parts = {
            "front_end": system.front_end.build(),
            "backbone": system.backbone.build(features),
            "decoder": system.decoder.build(sphere),
        }
    for kind, part in parts.items():
        component = getattr(system, kind)
        if state_of(part) and not component.config.learned:
            raise ContractError(
                f"{kind} '{component.name}' has weights, but its config does not say so. Set learned = True "
                f"in {type(component.config).__name__}."
            )
    if system.weights is not None:
        load_into(parts, read_weights(system.weights), system)
    return parts


def load_into(parts: Mapping[str, object], weights: Weights, system: SystemSpec) -> None:
    """Give the networks among the parts the tensors of a weights file.

    Raises:
        WeightsError: config or tensors do not fit; every difference is named.
    """
    check_configs(weights, [getattr(system, kind) for kind in DETECTOR_KINDS])
    given = {kind: weights.tensors.get(kind, {}) for kind in parts}
    problems = [
        f"\n  {kind} '{getattr(system, kind).name}': {problem}"
        for kind, part in parts.items()
        for problem in misfits(part, given[kind])
    ]
    if problems:
        raise WeightsError(
            f"{weights.path}: does not fit the detector:{''.join(problems)}\nChange the spec to what the "
            "weights were made with, or take other weights."
        )
    for kind, part in parts.items():
        load_arrays(part, given[kind], kind)


def ready_for_inference(parts: Mapping[str, object], inference: InferenceSettings) -> None:
    """Move networks to their device and precision, and compile them if that is wanted.

    The front end stays in float32: phases need it.

    Raises:
        DeviceError: there is no such device.
    """
    device = torch_device(inference.device, "inference.device")
    for kind, part in parts.items():
        if isinstance(part, torch.nn.Module):
            part.eval().requires_grad_(False)
            part.to(device)
            if kind != "front_end":
                dtype = torch_dtype(inference.precision)
                part.to(dtype)
                if dtype != torch.float32:
                    part.register_forward_pre_hook(partial(_in_type, dtype))
                if inference.compile:
                    part.compile(dynamic=False)


def _in_type(dtype: torch.dtype, _: torch.nn.Module, arguments: tuple) -> tuple:
    """Return the arguments of a network with real tensors in the type of its weights."""
    return tuple(a.to(dtype) if torch.is_tensor(a) and a.is_floating_point() else a for a in arguments)


@contextmanager
def constant_weights(inference: InferenceSettings) -> Iterator[None]:
    """Let networks that are compiled meanwhile, in their first call, take their weights as constants.

    The compiler may then lay them out for the processor. torch looks at this setting while it traces, which
    `compile(options=...)` is too late for; it goes for the whole process, so it holds only as long as needed.
    """
    if not inference.compile:
        yield
        return
    with torch._inductor.config.patch(freezing=True):
        yield
