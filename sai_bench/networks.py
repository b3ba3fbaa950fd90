"""The networks among a system's parts: initial or given weights, device, precision, compilation.

A part is a network if it is a `torch.nn.Module`. Others (such as `steered_power`) compute in float32 wherever
their input lies and have no weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from sai_bench.errors import ContractError, WeightsError
from sai_bench.weights import Weights, check_configs, check_tensors, read_weights

if TYPE_CHECKING:
    from sai_bench.spec import InferenceSettings, SystemSpec

DETECTOR_KINDS = ("front_end", "backbone", "decoder")

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
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
    check_configs(weights, {kind: getattr(system, kind).resolved() for kind in DETECTOR_KINDS})
    for kind, part in parts.items():
        expected = state_of(part)
        found = check_tensors(weights, kind, shapes_of(expected), getattr(system, kind).name)
        if expected:
            part.load_state_dict({name: torch.from_numpy(array) for name, array in found.items()})


def state_of(part: object) -> dict[str, torch.Tensor]:
    """Return the tensors that a part's weights file holds; none if it is no network."""
    return part.state_dict() if isinstance(part, torch.nn.Module) else {}


def shapes_of(state: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def arrays_of(part: object) -> dict[str, np.ndarray]:
    """Return a network's tensors as arrays, none if the part is no network."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in state_of(part).items()}


def ready_for_inference(parts: Mapping[str, object], inference: InferenceSettings) -> None:
    """Move networks to their device and precision, and compile them if that is wanted.

    The front end stays in float32: phases need it.

    Raises:
        WeightsError: there is no such device.
    """
    if inference.device == "cuda" and not torch.cuda.is_available():
        raise WeightsError("inference.device is cuda, but there is no such device. Set it to cpu.")
    for kind, part in parts.items():
        if isinstance(part, torch.nn.Module):
            part.eval().requires_grad_(False)
            part.to(inference.device)
            if kind != "front_end":
                part.to(_DTYPES[inference.precision])
                if inference.compile:
                    # Weights become constants, which lets the compiler lay them out for the processor.
                    torch._inductor.config.freezing = True
                    part.compile(dynamic=False)


def input_dtype(part: object, inference: InferenceSettings) -> torch.dtype | None:
    """Return the type of real numbers that a part wants to be given, None if it takes any."""
    return _DTYPES[inference.precision] if isinstance(part, torch.nn.Module) else None
