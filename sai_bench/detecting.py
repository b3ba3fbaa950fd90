"""A declared system on the user's own recordings: prediction file and picture for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sai_bench.audio import read_recording
from sai_bench.before_work import check_system
from sai_bench.class_activity import require_labels
from sai_bench.errors import AudioError, component_errors
from sai_bench.files import safe_name
from sai_bench.predictions import write_detections
from sai_bench.run_folder import make_writable_folder
from sai_bench.running import fitted_prior, trained_system
from sai_bench.sphere import array_for_channels, frame_count
from sai_bench.stages.pipeline import notes_on_networks

if TYPE_CHECKING:
    from sai_bench.spec import Spec
    from sai_bench.sphere import Baffle
    from sai_bench.stages.stage import Context


@dataclass(frozen=True)
class DetectedRecording:
    """What was written for one recording."""

    json_path: Path
    picture_path: Path
    detections: int
    frames: int


def detect_recordings(
    spec: Spec, paths: Sequence[Path], out: Path, baffle: Baffle, context: Context
) -> Iterator[DetectedRecording]:
    """Write `<recording>.json` and `<recording>.png` to `out` for each recording.

    What needs training is trained on the spec's data first, unless an earlier run left its weights.

    Args:
        spec: declares the system.
        paths: recordings of any rate, 4 (MIC) or 32 (em32) channels.
        out: folder for the results.
        baffle: whether the capsules sit on a rigid sphere, as a real em32's do.
        context: cache, workers, reporter.

    Raises:
        AudioError: some recordings cannot be used; all of them are named before any work begins.
        DatasetError: the prior needs labels.
        StageError: a component raised.
    """
    require_labels(spec.require_system().prior.registration.load_class(), available=False)
    _check_all(paths)
    check_system(spec)
    make_writable_folder(out, "--out")
    spec, _ = trained_system(spec, context)
    fitted = fitted_prior(spec, context)

    from sai_bench.results.pictures import draw_recording
    from sai_bench.system import System

    with component_errors("Building the system failed"):
        system = System(spec, fitted.weights if fitted else None)
        about_prior = (f"prior {spec.system.prior.name}: {note}" for note in system.prior.notes())
        notes = (*notes_on_networks(spec), *about_prior)
    for note in notes:
        context.reporter.line(f"note: {note}")
    for path in paths:
        waveform, rate = read_recording(path)
        with component_errors(f"{path}: detection failed"):
            detections = system(waveform, rate, array_for_channels(len(waveform), baffle), path.stem)
        json_path = out / f"{safe_name(path.stem)}.json"
        write_detections(json_path, detections)
        frames = frame_count(waveform.shape[1], rate)
        picture_path = json_path.with_suffix(".png")
        draw_recording(picture_path, title=path.name, detections=detections, frames=frames)
        yield DetectedRecording(json_path, picture_path, len(detections), frames)


def _check_all(paths: Sequence[Path]) -> None:
    problems, taken = [], {}
    for path in paths:
        try:
            read_recording(path)
        except AudioError as error:
            problems.append(str(error))
        file_name = safe_name(path.stem)
        if file_name in taken:
            problems.append(
                f"{path}: its results would overwrite those of {taken[file_name]}. Expected recordings with "
                "different names; rename one."
            )
        taken[file_name] = path
    if problems:
        raise AudioError("\n".join(problems))
