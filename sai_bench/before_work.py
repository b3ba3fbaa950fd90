"""What can be found wrong with a spec before data are rendered or anything is learned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pydantic import BaseModel

from sai_bench.config import MUST_BE_THERE
from sai_bench.errors import SpecError, component_errors
from sai_bench.files import problem_with_file
from sai_bench.spec.problems import shown_path

if TYPE_CHECKING:
    from sai_bench.spec import Spec


def check_files(spec: Spec) -> None:
    """Look whether the files that a spec and its variants name are there (keys of type `SpecFile`).

    Raises:
        SpecError: some are not; each is named once.
    """
    problems: dict[tuple[str, Path], str] = {}
    for prefix, one in [("", spec), *((f"variants.{name}.", v) for name, v in spec.variants.items())]:
        for key, path in _files_of(one):
            problem = problem_with_file(path)
            if problem:
                where = f"{shown_path(spec.path)}: {prefix}{key}"
                problems.setdefault((key, path), f"{where}: {shown_path(path)}: {problem}.")
    if problems:
        raise SpecError(problems.values())


def check_system(spec: Spec) -> None:
    """Look whether files, weights and devices that a spec's system needs are there and fit.

    A system that is random and computes on the processor is not built for that.

    Raises:
        SpecError: a file is missing.
        WeightsError: a file does not fit.
        DeviceError: there is no such device.
    """
    check_files(spec)
    if not (_files_of_system(spec) or _devices(spec) - {"cpu"}):
        return
    from sai_bench.stages.fitting import needs_fit, prior_of_file
    from sai_bench.system import System

    given = prior_of_file(spec) if needs_fit(spec) else None
    with component_errors("Building the system failed"):
        System(spec, given.weights if given else None)


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
