"""What is wrong with the samples of recordings, before anything is learned from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sai_bench.dataset_check.cheap import check_header
from sai_bench.dataset_check.one_recording import check_samples
from sai_bench.parallel import in_processes

if TYPE_CHECKING:
    from sai_bench.interfaces import Recording
    from sai_bench.progress import Reporter


def problems_of_sound(recordings: Sequence[Recording], workers: int, reporter: Reporter) -> list[str]:
    """Read the audio of recordings to its end; return what keeps it from being used, a line for each problem.

    NaN and infinite samples, channels without sound, files that end early.

    Args:
        recordings: any.
        workers: processes that may work at once.
        reporter: told how far it is.
    """
    problems = []
    tasks = [(recording,) for recording in recordings]
    with reporter.task("check sound") as progress:
        for done, found in enumerate(in_processes(_problems, tasks, workers), start=1):
            problems += found
            progress(done, len(tasks))
    return sorted(problems)


def _problems(recording: Recording) -> list[str]:
    header, findings = check_header(recording)
    if header is not None:
        findings += check_samples(recording, header)[1]
    return [str(finding) for finding in findings if finding.level == "error"]
