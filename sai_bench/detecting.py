"""A declared system on the user's own recordings: prediction file and picture for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sai_bench.audio import read_recording
from sai_bench.errors import AudioError
from sai_bench.files import safe_name
from sai_bench.predictions import write_detections
from sai_bench.running import open_output, prepare_data
from sai_bench.sphere import array_for_channels, frame_count
from sai_bench.stages.fitting import fit_prior, needs_fit

if TYPE_CHECKING:
    from sai_bench.progress import Reporter
    from sai_bench.spec import Spec
    from sai_bench.sphere import Baffle


@dataclass(frozen=True)
class DetectedRecording:
    """What was written for one recording."""

    json_path: Path
    picture_path: Path
    detections: int
    frames: int


def detect_recordings(
    spec: Spec,
    paths: Sequence[Path],
    out: Path,
    baffle: Baffle,
    reporter: Reporter,
    workers: int | None = None,
) -> Iterator[DetectedRecording]:
    """Write `<recording>.json` and `<recording>.png` to `out` for each recording.

    A prior that needs fitting is fitted to the spec's data first, unless an earlier run left its weights.

    Args:
        spec: declares the system.
        paths: recordings of any rate, 4 (MIC) or 32 (em32) channels.
        out: folder for the results.
        baffle: whether the capsules sit on a rigid sphere, as a real em32's do.
        reporter: told about progress.
        workers: processes for rendering and the like; default: one per core.

    Raises:
        AudioError: some recordings cannot be used; all of them are named before any work begins.
    """
    spec.require_system()
    _check_all(paths)
    context = open_output(out, reporter, workers)
    weights = None
    if needs_fit(spec):
        fitted = fit_prior(spec, prepare_data(spec, context.workers, reporter), context)
        weights = fitted.weights

    from sai_bench.results.pictures import draw_recording
    from sai_bench.system import System

    system = System(spec, weights)
    for path in paths:
        waveform, rate = read_recording(path)
        array = array_for_channels(len(waveform), baffle)
        detections = system(waveform, rate, array, path.stem)
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
