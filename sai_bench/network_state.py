"""The tensors of a network as plain arrays and back, and what it takes to make the same ones twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from sai_bench.errors import WeightsError

_SHOWN = 8  # problems of one sort that a message lists


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from torch's global generator as if it were new; afterwards it goes on as before.

    That of the CPU: those of accelerators, which `torch.manual_seed` would seed as well, stay untouched.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Keep torch to one thread, so that sums have one order however many cores there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def state_of(part: object) -> dict[str, torch.Tensor]:
    """Return the tensors that a weights file holds of a component; none if it is no network."""
    return part.state_dict() if isinstance(part, nn.Module) else {}


def arrays_of(part: object) -> dict[str, np.ndarray]:
    """Return copies of a network's tensors as arrays, none if the component is no network."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in state_of(part).items()}


def load_arrays(part: object, arrays: Mapping[str, np.ndarray], owner: str) -> None:
    """Put weights into a network.

    Args:
        part: a network of the shapes that its config asks for; anything else has no weights.
        arrays: what `arrays_of` returned; all of them, and no others.
        owner: whose weights they are, for the message.

    Raises:
        WeightsError: an array is missing, left over, of another shape or type, or not finite; they are
            listed.
    """
    problems = misfits(part, arrays)
    if problems:
        raise WeightsError(
            f"{owner}: the weights do not fit this config: {'; '.join(problems)}. Change the config to "
            "that of the weights, take other weights, or fit or train again."
        )
    if arrays:
        part.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})


def misfits(part: object, arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Return what keeps arrays from being the weights of a network (arguments as for `load_arrays`)."""
    expected = state_of(part)
    common = sorted(expected.keys() & arrays.keys())
    shapes = {name: (list(np.shape(arrays[name])), list(expected[name].shape)) for name in common}
    types = {name: (np.asarray(arrays[name]).dtype.name, _type_of(expected[name])) for name in common}
    return [
        text
        for group in (
            [f"{name} is missing" for name in sorted(expected.keys() - arrays.keys())],
            [f"{name} is not part of it" for name in sorted(arrays.keys() - expected.keys())],
            [
                f"{name} has shape {has}, expected {wanted}"
                for name, (has, wanted) in shapes.items()
                if has != wanted
            ],
            [f"{name} is {has}, expected {wanted}" for name, (has, wanted) in types.items() if has != wanted],
            [f"{name} has NaN or infinite values" for name in common if not np.isfinite(arrays[name]).all()],
        )
        for text in _shortened(group)
    ]


def _type_of(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _shortened(problems: list[str]) -> list[str]:
    more = len(problems) - _SHOWN
    return problems if more <= 0 else [*problems[:_SHOWN], f"and {more} more like this"]
