"""What a stage learns from, and whether it can be learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sai_bench.dataset_check import problems_of, problems_of_sound
from sai_bench.errors import DatasetError, component_errors
from sai_bench.stages.labelled import labelled_recordings

if TYPE_CHECKING:
    from sai_bench.interfaces import Dataset, Recording
    from sai_bench.progress import Reporter
    from sai_bench.spec import ComponentSpec, Spec, TrainingStage


@dataclass(frozen=True)
class StageData:
    """The data of a stage.

    Attributes:
        component: the data set as the spec declares it.
        dataset: ready to be used.
        training: recordings that are learned from; none if they are rendered while training.
        validation: recordings that the loss is measured on; none without a validation split.
    """

    component: ComponentSpec
    dataset: Dataset
    training: tuple[Recording, ...]
    validation: tuple[Recording, ...]

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """Return all recordings that lie on disk."""
        return self.training + self.validation


def require_rendering(spec: Spec, stage: TrainingStage) -> None:
    """Raise DatasetError if a stage's data set should render while training and cannot."""
    component = _component(spec, stage)
    if stage.settings.sampling.online and not component.registration.load_class().renders_online:
        raise DatasetError(
            f"training.{stage.name}.sampling.online: data set '{component.name}' cannot render while "
            "training. Set it to false, or take one that can, such as simulated_rooms."
        )


def find_stage_data(spec: Spec, stage: TrainingStage, dataset: Dataset, reporter: Reporter) -> StageData:
    """Return the recordings of a stage's splits.

    Raises:
        DatasetError: a split has no labelled recordings.
        StageError: the data set raised.
    """
    component, settings = _component(spec, stage), stage.settings
    labelled = partial(
        labelled_recordings,
        dataset,
        reporter=reporter,
        needed_by=f"training.{stage.name} needs labels",
        instead="Choose another split, or give the data set some.",
    )
    with component_errors(f"Data set '{component.name}' failed"):
        training = () if settings.sampling.online else labelled(settings.split)
        validation = () if settings.validation_split is None else labelled(settings.validation_split)
    return StageData(component, dataset, training, validation)


def require_usable_files(data: StageData, stage: TrainingStage) -> None:
    """Look at the headers of all audio files and at the ends of all label files.

    Raises:
        DatasetError: some cannot be used; all are named.
    """
    _refuse(problems_of(data.recordings), stage)


def require_usable_samples(data: StageData, stage: TrainingStage, workers: int, reporter: Reporter) -> None:
    """Read all audio files to their ends, in several processes.

    Raises:
        DatasetError: some hold NaN or silence, or end early; all are named.
    """
    _refuse(problems_of_sound(data.recordings, workers, reporter), stage)


def _component(spec: Spec, stage: TrainingStage) -> ComponentSpec:
    return stage.data or spec.require_data()


def _refuse(problems: Sequence[str], stage: TrainingStage) -> None:
    """Raise DatasetError if there are problems with recordings."""
    if problems:
        raise DatasetError(
            f"training.{stage.name}: recordings cannot be learned from. Repair or remove them; sai-bench "
            "check-data says more.",
            problems,
        )
