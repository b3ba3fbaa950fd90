"""What fitted networks share: seeded building, one thread, weights as plain arrays and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from sai_bench.errors import WeightsError


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from torch's global generator as if it were new; afterwards it goes on as before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
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


def arrays_of(network: nn.Module) -> dict[str, np.ndarray]:
    """Return a network's weights as arrays."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in network.state_dict().items()}


def load_arrays(network: nn.Module, arrays: Mapping[str, np.ndarray], prior: str) -> None:
    """Put weights into a network.

    Args:
        network: of the shapes that the config asks for.
        arrays: what `arrays_of` returned; all of them, and no others.
        prior: name for the message.

    Raises:
        WeightsError: an array is missing, left over, of another shape, or not finite.
    """
    expected = network.state_dict()
    problems = [f"'{name}' is not part of it" for name in sorted(arrays.keys() - expected.keys())]
    for name, tensor in expected.items():
        shape, array = tuple(tensor.shape), arrays.get(name)
        if array is None:
            problems.append(f"'{name}': expected {shape}, got nothing")
        elif np.shape(array) != shape:
            problems.append(f"'{name}': expected {shape}, got shape {np.shape(array)}")
        elif not np.isfinite(array).all():
            problems.append(f"'{name}' has NaN or infinite values")
    if problems:
        raise WeightsError(
            f"prior '{prior}': the weights do not fit this config: {'; '.join(problems)}. Fit the prior "
            "again with this config, or use the config that it was fitted with."
        )
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})
