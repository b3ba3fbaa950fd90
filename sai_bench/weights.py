"""Weights files: the tensors of a system's networks in safetensors, and which configs they belong to.

Tensors are named `<kind>.<name in the network>`, such as `backbone.encoder.stem.weight`, those of a fitted
prior `prior.<name>`. The header holds, as JSON, the resolved config of every component that the tensors
belong to or were trained with, and a hash of names, shapes and values.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sai_bench.errors import WeightsError
from sai_bench.files import write_atomically

FORMAT = "sai_bench weights 1"

_HEADER = "sai_bench"  # one key: with several, their order in the file would be up to chance

_SHOWN = 8  # problems of one sort that a message lists


@dataclass(frozen=True)
class Weights:
    """The content of a weights file.

    Attributes:
        path: where it was read from.
        components: kind -> resolved config of the component, `{"use": name, ...}`.
        tensors: kind -> name -> array.
        sha256: hash of the tensors.
    """

    path: Path
    components: Mapping[str, dict]
    tensors: Mapping[str, Mapping[str, np.ndarray]]
    sha256: str


def write_weights(
    path: Path, tensors: Mapping[str, Mapping[str, np.ndarray]], components: Mapping[str, dict]
) -> str:
    """Write a weights file atomically; the same content gives the same bytes.

    Args:
        path: of the file.
        tensors: kind -> name -> array.
        components: kind -> resolved config, JSON-ready.

    Returns:
        the hash of the tensors.
    """
    from safetensors.numpy import save

    flat = {
        f"{kind}.{name}": np.ascontiguousarray(array)
        for kind, named in sorted(tensors.items())
        for name, array in sorted(named.items())
    }
    sha256 = _hash_of(flat)
    header = {"format": FORMAT, "components": components, "sha256": sha256}
    text = json.dumps(header, sort_keys=True, separators=(",", ":"))
    write_atomically(path, save(flat, metadata={_HEADER: text}))
    return sha256


def read_weights(path: Path) -> Weights:
    """Read a weights file.

    Raises:
        WeightsError: it is missing, no safetensors file, not written by `write_weights`, or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {}).get(_HEADER, "{}"))
            if header.get("format") != FORMAT:
                raise WeightsError(
                    f"{path}: no weights file of sai_bench (its header lacks format = '{FORMAT}'). Make one "
                    "with: sai-bench export-weights SPEC FILE."
                )
            flat = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, AttributeError) as error:
        raise WeightsError(
            f"{path}: cannot be read as weights ({error}). Expected a safetensors file as written by: "
            "sai-bench export-weights SPEC FILE."
        ) from error
    sha256 = _hash_of(flat)
    if sha256 != header.get("sha256") or not isinstance(header.get("components"), dict):
        raise WeightsError(f"{path}: its tensors do not match its header. Export it again.")
    tensors: dict[str, dict[str, np.ndarray]] = {}
    for name, array in flat.items():
        kind, _, inner = name.partition(".")
        tensors.setdefault(kind, {})[inner] = array
    return Weights(Path(path), header["components"], tensors, sha256)


def check_configs(weights: Weights, components: Mapping[str, dict]) -> None:
    """Compare the configs that weights were made with to those of a spec, key by key.

    Args:
        weights: a file's content.
        components: kind -> resolved config in the spec; other kinds in the file are of no interest.

    Raises:
        WeightsError: some differ; every difference is listed.
    """
    problems = [
        f"system.{kind}{difference}"
        for kind, made_with in weights.components.items()
        if kind in components
        for difference in _differences(made_with, components[kind])
    ]
    if problems:
        raise WeightsError(
            f"{weights.path}: made for another config. {'; '.join(problems)}. Change the spec to what the "
            "file says, or take other weights."
        )


def check_tensors(
    weights: Weights, kind: str, expected: Mapping[str, Sequence[int]], component: str
) -> Mapping[str, np.ndarray]:
    """Return the tensors of one component if they are the expected ones.

    Args:
        weights: a file's content.
        kind: of the component.
        expected: name -> shape.
        component: its name, for the message.

    Raises:
        WeightsError: tensors are missing, unexpected, or of another shape; they are listed.
    """
    found = weights.tensors.get(kind, {})
    shapes = [
        f"{name} has shape {list(found[name].shape)}, expected {list(expected[name])}"
        for name in sorted(expected.keys() & found.keys())
        if tuple(found[name].shape) != tuple(expected[name])
    ]
    missing = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    unexpected = [f"{name} is not part of it" for name in sorted(found.keys() - expected.keys())]
    problems = [text for group in (missing, unexpected, shapes) for text in _shortened(group)]
    if problems:
        raise WeightsError(
            f"{weights.path}: does not fit {kind} '{component}': {'; '.join(problems)}. Change the spec's "
            "config to that of the weights, or take other weights."
        )
    return found


def _differences(made_with: object, given: object, path: str = "") -> list[str]:
    if isinstance(made_with, Mapping) and isinstance(given, Mapping):
        return [
            difference
            for key in [*made_with, *(k for k in given if k not in made_with)]
            for difference in _differences(made_with.get(key), given.get(key), f"{path}.{key}")
        ]
    return [] if made_with == given else [f"{path}: the file has {made_with!r}, the spec {given!r}"]


def _shortened(problems: list[str]) -> list[str]:
    more = len(problems) - _SHOWN
    return problems if more <= 0 else [*problems[:_SHOWN], f"and {more} more like this"]


def _hash_of(flat: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(flat.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
