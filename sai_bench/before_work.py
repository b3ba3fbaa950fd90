"""What can be found wrong with a spec before data are rendered or anything is learned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pydantic import BaseModel

from sai_bench.config import MUST_BE_THERE
from sai_bench.errors import SpecError, WeightsError, component_errors
from sai_bench.files import problem_with_file
from sai_bench.spec.problems import shown_path
from sai_bench.spec.wiring import notes_on_context

if TYPE_CHECKING:
    from sai_bench.spec import Spec
    from sai_bench.weights import WeightsHeader


def check_files(spec: Spec) -> None:
    """Look whether the files that a spec and its variants name are there (keys of type `SpecFile`).

    Raises:
        SpecError: some are not; each is named once.
    """
    problems: dict[tuple[str, Path], str] = {}
    for prefix, one in _with_variants(spec):
        for key, path in _files_of(one):
            problem = problem_with_file(path)
            if problem:
                where = f"{shown_path(spec.path)}: {prefix}{key}"
                problems.setdefault((key, path), f"{where}: {shown_path(path)}: {problem}.")
    if problems:
        raise SpecError(problems.values())


def check_weights_headers(spec: Spec) -> None:
    """Compare what weights files say about themselves with the configs of a spec and its variants.

    Nothing is built and torch stays out, so tensors are not looked at.

    Raises:
        WeightsError: a file cannot be read or is made for other configs; each misfit is told once.
    """
    problems: dict[tuple[str, str], str] = {}
    for prefix, one in _with_variants(spec):
        for key, misfit in _misfitting_weights(one):
            problems.setdefault((key, misfit), f"{shown_path(spec.path)}: {prefix}{key}: {misfit}")
    if problems:
        raise WeightsError("\n".join(problems.values()))


def notes_before_work(spec: Spec) -> list[str]:
    """Return what is odd about a spec and its variants, though no mistake; each once."""
    notes = {}
    for prefix, one in _with_variants(spec):
        for note in notes_on_context(one.system, one.inference) if one.system else ():
            notes.setdefault(note, f"{prefix.rstrip('.')}: {note}" if prefix else note)
    return [*notes.values()]


def check_system(spec: Spec) -> None:
    """Look whether files, weights and devices that a spec's system needs are there and fit.

    A system that is random and computes on the processor is not built for that.

    Raises:
        SpecError: a file is missing.
        WeightsError: a file does not fit.
        DeviceError: there is no such device.
    """
    check_files(spec)
    misfits = [f"{shown_path(spec.path)}: {key}: {misfit}" for key, misfit in _misfitting_weights(spec)]
    if misfits:
        raise WeightsError("\n".join(misfits))
    if not (_files_of_system(spec) or _devices(spec) - {"cpu"}):
        return
    from sai_bench.stages.fitting import needs_fit, prior_of_file
    from sai_bench.system import System

    given = prior_of_file(spec) if needs_fit(spec) else None
    with component_errors("Building the system failed"):
        System(spec, given.weights if given else None)


def _with_variants(spec: Spec) -> Iterator[tuple[str, Spec]]:
    """Yield what the keys of a spec and of its variants begin with in messages, and the spec."""
    yield "", spec
    for name, variant in spec.variants.items():
        yield f"variants.{name}.", variant


def _misfitting_weights(spec: Spec) -> Iterator[tuple[str, str]]:
    """Yield keys of weights files that do not fit, and why not."""
    weights = spec.system and spec.system.weights
    files = {"system.weights": weights} if weights is not None else {}
    if not files and spec.system is not None:  # with given weights no stage trains the detector
        files = {
            f"training.{stage.name}.initial_weights": stage.settings.initial_weights
            for stage in spec.training
            if stage.trains_detector and stage.settings.initial_weights is not None
        }
    for key, path in files.items():
        try:
            _check_header(spec, Path(shown_path(path)), with_prior=key == "system.weights")
        except WeightsError as error:
            yield key, str(error)


def _check_header(spec: Spec, path: Path, *, with_prior: bool) -> None:
    """Compare the header of a weights file with the components of a spec that would get its tensors.

    Raises:
        WeightsError: it cannot be read, is made for other configs, or lacks a network.
    """
    from sai_bench.weights import check_configs, read_header

    header, system = read_header(path), spec.require_system()
    detector = [system.front_end, system.backbone, system.decoder]
    prior = [system.prior] if with_prior and _has_prior(header, system.prior.name) else []
    try:
        check_configs(header, [*detector, *prior])
    except WeightsError:
        from sai_bench.stages.fitting import needs_fit

        # Only its class knows whether a prior takes weights, and may import anything: asked if it matters.
        if not prior or needs_fit(spec):
            raise
        check_configs(header, detector)
    lacking = [f"{c.kind} '{c.name}'" for c in system.networks() if c.kind not in header.sha256]
    if lacking:
        raise WeightsError(
            f"{path}: has no weights of {', '.join(lacking)}. Take other weights, or train the spec's own."
        )


def _has_prior(header: WeightsHeader, name: str) -> bool:
    """Return whether a prior of that name is in a file; another one is left unused."""
    return "prior" in header.sha256 and header.components.get("prior", {}).get("use") == name


def _devices(spec: Spec) -> set[str]:
    configs = [component.config for component in spec.require_system().components()]
    own = {config.device for config in configs if "device" in config.as_inference}
    return {spec.inference.device} | own


def _files_of(spec: Spec) -> list[tuple[str, Path]]:
    """Return the files that a spec reads, with their keys."""
    files = _files_of_system(spec) if spec.system is not None else []
    if spec.data is not None:
        files += _files_in(spec.data.config, "data")
    for stage in spec.training:
        files += _files_in(stage.settings, f"training.{stage.name}")
        if stage.data is not None:
            files += _files_in(stage.data.config, f"training.{stage.name}.data")
    return files


def _files_of_system(spec: Spec) -> list[tuple[str, Path]]:
    system = spec.require_system()
    files = [("system.weights", system.weights)] if system.weights is not None else []
    for component in system.components():
        files += _files_in(component.config, f"system.{component.kind}")
    return files


def _files_in(config: BaseModel, path: str) -> Iterator[tuple[str, Path]]:
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            yield from _files_in(value, f"{path}.{name}")
        elif isinstance(value, Path) and (MUST_BE_THERE in field.metadata or _marked(field.annotation)):
            yield f"{path}.{name}", value


def _marked(annotation: object) -> bool:
    return annotation == MUST_BE_THERE or any(map(_marked, get_args(annotation)))
