"""Weights files: the tensors of a system's networks in safetensors, and which configs they belong to.

Tensors are named `<kind>.<name in the network>`, such as `backbone.encoder.stem.weight`, those of a fitted
prior `prior.<name>`. The header holds, as JSON, the resolved config of every component that the tensors
belong to or were trained with, what they are made to hear, and for each kind a hash of names, shapes and
values.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from sai_bench.errors import WeightsError
from sai_bench.files import arrays_sha256, problem_with_file, write_atomically

if TYPE_CHECKING:
    from sai_bench.spec import ComponentSpec

FORMAT = "sai_bench weights 2"

KINDS = ("front_end", "backbone", "decoder", "prior")
"""The kinds of components that can have weights."""

_HEADER = "sai_bench"  # one key: with several, their order in the file would be up to chance

_SHOWN = 8  # tensors that a message lists

_EXPECTED = "Expected a safetensors file as written by: sai-bench export-weights SPEC FILE."


@dataclass(frozen=True)
class Heard:
    """What weights are made for: what the components hear.

    Attributes:
        microphones: the key of `system`.
        segment_s: the key of `inference`.
    """

    microphones: str
    segment_s: float


@dataclass(frozen=True)
class WeightsHeader:
    """What a weights file says about its tensors.

    Attributes:
        path: where it was read from.
        components: kind -> resolved config of the component, `{"use": name, ...}`.
        heard: what they are made for.
        sha256: kind -> hash of its tensors.
        untrained: the kinds whose tensors are initial random numbers.
    """

    path: Path
    components: Mapping[str, dict]
    heard: Heard
    sha256: Mapping[str, str]
    untrained: tuple[str, ...]


@dataclass(frozen=True)
class Weights(WeightsHeader):
    """The content of a weights file.

    Attributes:
        tensors: kind -> name -> array.
    """

    tensors: Mapping[str, Mapping[str, np.ndarray]]


def write_weights(
    path: Path,
    tensors: Mapping[str, Mapping[str, np.ndarray]],
    components: Mapping[str, dict],
    heard: Heard,
    untrained: Iterable[str] = (),
) -> Weights:
    """Write a weights file atomically; the same content gives the same bytes.

    Args:
        path: of the file.
        tensors: kind -> name -> array.
        components: kind -> resolved config, JSON-ready.
        heard: what the weights are made for.
        untrained: the kinds whose tensors are initial random numbers.

    Returns:
        what `read_weights` would return.
    """
    from safetensors.numpy import save

    flat = {
        f"{kind}.{name}": np.asarray(array, order="C")
        for kind, named in sorted(tensors.items())
        for name, array in sorted(named.items())
    }
    sha256 = {kind: arrays_sha256(named) for kind, named in tensors.items()}
    header = {
        "format": FORMAT,
        "components": components,
        "heard": asdict(heard),
        "sha256": sha256,
        "untrained": sorted(untrained),
    }
    text = json.dumps(header, sort_keys=True, separators=(",", ":"))
    write_atomically(path, save(flat, metadata={_HEADER: text}))
    return Weights(path, components, heard, sha256, tuple(header["untrained"]), tensors)


def read_header(path: Path) -> WeightsHeader:
    """Read what a weights file says about its tensors, without the tensors.

    Raises:
        WeightsError: it is missing, no safetensors file, not written by this version's `write_weights`, or
            has tensors of a kind that has none.
    """
    with _opened(path) as (header, _):
        return header


def read_weights(path: Path) -> Weights:
    """Read a weights file.

    Raises:
        WeightsError: it is missing, no safetensors file, not written by this version's `write_weights`, or
            damaged, or tensors are of types that NumPy lacks.
    """
    tensors: dict[str, dict[str, np.ndarray]] = {}
    unreadable = []
    with _opened(path) as (header, file):
        for name in file.keys():  # noqa: SIM118
            kind, _, inner = name.partition(".")
            try:
                tensors.setdefault(kind, {})[inner] = file.get_tensor(name)
            except TypeError:
                unreadable.append(f"{name} is {file.get_slice(name).get_dtype()}")
    if unreadable:
        more = [f"and {len(unreadable) - _SHOWN} more"] if len(unreadable) > _SHOWN else []
        raise WeightsError(
            f"{path}: cannot be read as weights: {', '.join([*unreadable[:_SHOWN], *more])}, expected F32. "
            "Export it again."
        )
    if {kind: arrays_sha256(named) for kind, named in tensors.items()} != header.sha256:
        raise WeightsError(f"{path}: its tensors do not match its header. Export it again.")
    return Weights(**vars(header), tensors=tensors)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[WeightsHeader, object]]:
    from safetensors import SafetensorError, safe_open

    problem = problem_with_file(Path(path))
    if problem:
        raise WeightsError(f"{path}: cannot be read as weights ({problem}). {_EXPECTED}")
    try:
        with safe_open(path, framework="numpy") as file:
            yield _parsed(Path(path), (file.metadata() or {}).get(_HEADER, "{}")), file
    except (OSError, SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WeightsError(f"{path}: cannot be read as weights ({error}). {_EXPECTED}") from error


def _parsed(path: Path, text: str) -> WeightsHeader:
    header = json.loads(text)
    if header.get("format") != FORMAT:
        raise WeightsError(
            f"{path}: no weights file of sai_bench, or one of another version: its header lacks format = "
            f"'{FORMAT}'. {_EXPECTED}"
        )
    components, sha256 = (header[key] for key in ("components", "sha256"))
    if not all(isinstance(part, dict) for part in (components, sha256, *components.values())):
        raise TypeError("its header holds no mappings")
    unknown = sorted((components.keys() | sha256.keys()) - {*KINDS})
    if unknown:
        raise WeightsError(
            f"{path}: has weights of unknown kinds: {', '.join(map(repr, unknown))}. Expected "
            f"{', '.join(KINDS)}. Take other weights, or a version of sai_bench that knows these."
        )
    heard, untrained = Heard(**header["heard"]), tuple(header.get("untrained", ()))
    return WeightsHeader(path, components, heard, sha256, untrained)


def check_configs(weights: WeightsHeader, components: Iterable[ComponentSpec]) -> None:
    """Compare the configs that weights were made with to those of a spec, key by key.

    Keys that a config declares as `not_in_weights` or `after_training` are left out. A key that the file does
    not know yet had what is its default today.

    Args:
        weights: a file's content.
        components: of the spec; those that the file says nothing about are of no interest.

    Raises:
        WeightsError: some differ; every difference is listed.
    """
    problems = [
        f"\n  {difference}"
        for component in components
        if component.kind in weights.components
        for difference in _differences(weights.components[component.kind], component)
    ]
    if problems:
        raise WeightsError(
            f"{weights.path}: made for another config:{''.join(problems)}\nChange the spec to what the file "
            "says, or take other weights."
        )


def notes_on_heard(weights: WeightsHeader, heard: Heard, *, networks: bool) -> tuple[str, ...]:
    """Return in what a spec's recordings go through otherwise than weights are made for.

    Args:
        weights: a file's content.
        heard: of the spec.
        networks: whether the spec uses the weights of a detector, which hears segments.
    """
    keys = {"system.microphones": "microphones"} | ({"inference.segment_s": "segment_s"} if networks else {})
    return tuple(
        f"weights: {weights.path.name} is made for {key} = {was}, the spec has {now}."
        for key, name in keys.items()
        if (was := getattr(weights.heard, name)) != (now := getattr(heard, name))
    )


def note_on_untrained(weights: WeightsHeader, components: Iterable[ComponentSpec]) -> tuple[str, ...]:
    """Return a note if some of a spec's networks get weights that were never trained."""
    names = [component.name for component in components if component.kind in weights.untrained]
    if not names:
        return ()
    return (
        f"detector: THE NETWORKS ARE RANDOM ({', '.join(names)}), those in {weights.path.name} were never "
        "trained. Scores mean nothing; only timings count.",
    )


def _differences(made_with: Mapping, component: ComponentSpec) -> Iterator[str]:
    path = f"system.{component.kind}"
    if made_with.get("use") != component.name:
        yield f"{path}: the file has '{made_with.get('use')}', the spec '{component.name}'"
        return
    of_no_matter = component.config.not_in_weights | component.config.after_training
    made_with, given = (
        {key: value for key, value in config.items() if key not in of_no_matter}
        for config in (made_with, component.resolved())
    )
    yield from _compared(made_with, given, component.config, path)


def _compared(made_with: Mapping, given: Mapping, config: object, path: str) -> Iterator[str]:
    for key in [*made_with, *(k for k in given if k not in made_with)]:
        was = made_with[key] if key in made_with else _default(config, key)
        now = given.get(key)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            yield from _compared(was, now, getattr(config, key, None), f"{path}.{key}")
        elif was != now:
            yield f"{path}.{key}: {_told(was, now, in_file=key in made_with, in_spec=key in given)}"


def _told(was: object, now: object, *, in_file: bool, in_spec: bool) -> str:
    if not in_spec:
        return f"the file has {was!r}, in the spec it is not set"
    if was is None and not in_file:
        return f"in the file it is not set, the spec has {now!r}"
    return f"the file has {was!r}, the spec {now!r}"


def _default(config: object, key: str) -> object:
    """Return the default of a config model's key, JSON-ready; None if it has none."""
    field = type(config).model_fields.get(key) if isinstance(config, BaseModel) else None
    if field is None or field.is_required():
        return None
    return to_jsonable_python(field.get_default(call_default_factory=True))
