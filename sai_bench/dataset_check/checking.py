"""Checking all splits of a data set, several recordings at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sai_bench.cores import usable_cores
from sai_bench.dataset_check.cheap import repeated_names
from sai_bench.dataset_check.findings import Finding, Level
from sai_bench.dataset_check.labels import LabelFacts, add_labels
from sai_bench.dataset_check.one_recording import Checked, check_recording
from sai_bench.errors import DatasetError
from sai_bench.parallel import in_processes
from sai_bench.progress import Reporter
from sai_bench.sphere import CLASS_NAMES

if TYPE_CHECKING:
    from pathlib import Path

    from sai_bench.interfaces import Dataset, Recording

_WORTH_PROCESSES_BYTES = 300_000_000
"""A second or two of reading samples, or half a minute of reading labels."""

_S_PER_HOUR = 3600


@dataclass(frozen=True)
class SplitReport:
    """What is in one split.

    Attributes:
        name: of the split.
        recordings: how many there are.
        labelled: how many have labels.
        hours: of readable audio.
        rates_hz: sample rate -> recordings.
        channels: channel count -> recordings.
        clipped: recordings that are clipped.
        labels: the counts of all labels together.
    """

    name: str
    recordings: int
    labelled: int
    hours: float
    rates_hz: dict[int, int]
    channels: dict[int, int]
    clipped: int
    labels: LabelFacts

    @property
    def overlap_shares(self) -> list[float]:
        """Return the shares of labelled time with 0, 1 ... 6, and with more sources."""
        return [int(count) / max(1, self.labels.frames) for count in self.labels.overlap_frames]

    def to_json(self) -> dict[str, object]:
        """Return the report, JSON-ready."""
        *shares, more = self.overlap_shares
        return {
            "recordings": self.recordings,
            "labelled": self.labelled,
            "hours": round(self.hours, 6),
            "sample_rates_hz": {str(rate): count for rate, count in self.rates_hz.items()},
            "channels": {str(channels): count for channels, count in self.channels.items()},
            "clipped_recordings": self.clipped,
            "label_frames": self.labels.frames,
            "classes": [
                {"class": k, "name": name, "frames": int(frames), "events": int(events)}
                for k, (name, frames, events) in enumerate(
                    zip(CLASS_NAMES, self.labels.class_frames, self.labels.class_events, strict=True)
                )
            ],
            "time_with_sources": {str(n): share for n, share in enumerate(shares)} | {"more": more},
        }


@dataclass(frozen=True)
class DatasetReport:
    """What was found in a data set.

    Attributes:
        root: its folder.
        splits: what is in each split.
        findings: everything that is wrong, by split and recording; each recording is checked once.
    """

    root: Path
    splits: tuple[SplitReport, ...]
    findings: tuple[Finding, ...]

    def of_level(self, level: Level) -> list[Finding]:
        """Return the errors or the warnings."""
        return [finding for finding in self.findings if finding.level == level]

    @property
    def good(self) -> bool:
        """Return whether there are no errors."""
        return not self.of_level("error")

    def to_json(self) -> dict[str, object]:
        """Return the report, JSON-ready."""
        return {
            "folder": str(self.root),
            "good": self.good,
            "splits": {split.name: split.to_json() for split in self.splits},
            "errors": [finding.to_json() for finding in self.of_level("error")],
            "warnings": [finding.to_json() for finding in self.of_level("warning")],
        }


def check_dataset(
    dataset: Dataset, workers: int | None = None, reporter: Reporter | None = None
) -> DatasetReport:
    """Make a data set ready and read every recording of every split once.

    Args:
        dataset: what to check.
        workers: processes that may work at once, None: one per core. The report does not depend on it.
        reporter: told about progress; None: nobody is.

    Raises:
        DatasetError: there is no recording to check; what is missing beside others is in the report.
    """
    reporter, workers = reporter or Reporter(), workers or usable_cores()
    splits, findings = _recordings_of(dataset, workers, reporter)
    recordings = {_identity(one): one for split in splits.values() for one in split}
    checked = _check_all(list(recordings.values()), workers, reporter)
    for name, of_split in splits.items():
        findings += [_of_split(found, name) for found in repeated_names(of_split)]
        findings += _unlabelled(name, of_split)
    findings += [finding for one in recordings for finding in checked[one].findings]
    reports = tuple(
        _split_report(name, of_split, [checked[_identity(one)] for one in of_split])
        for name, of_split in splits.items()
    )
    return DatasetReport(dataset.root, reports, tuple(dict.fromkeys(findings)))


def _recordings_of(
    dataset: Dataset, workers: int, reporter: Reporter
) -> tuple[dict[str, list[Recording]], list[Finding]]:
    """Return the recordings of each split and what the data set itself complains about."""
    findings = []
    try:
        dataset.prepare(workers, reporter)
    except DatasetError as error:
        if not error.problems:
            raise
        # The other recordings can be checked all the same.
        reporter.line(str(error).splitlines()[0])
        findings = [Finding("error", "files", problem) for problem in error.problems]
    splits = {split: dataset.recordings(split) for split in dataset.splits()}
    if not any(splits.values()) and not findings:
        raise DatasetError(f"{dataset.root}: no split has a recording. Expected at least one.")
    return splits, findings


def _check_all(recordings: Sequence[Recording], workers: int, reporter: Reporter) -> dict[tuple, Checked]:
    if sum(map(_size_bytes, recordings)) < _WORTH_PROCESSES_BYTES:
        workers = 1
    checked = {}
    with reporter.task("check recordings") as progress:
        tasks = [(recording,) for recording in recordings]
        for identity, result in in_processes(_check, tasks, workers):
            checked[identity] = result
            progress(len(checked), len(tasks))
    return checked


def _check(recording: Recording) -> tuple[tuple, Checked]:
    return _identity(recording), check_recording(recording)


def _identity(recording: Recording) -> tuple:
    """Return what tells recordings apart: those of a site are also in the split as a whole."""
    return recording.name, str(recording.audio_path), str(recording.labels_path)


def _split_report(name: str, recordings: Sequence[Recording], checked: Sequence[Checked]) -> SplitReport:
    headers = [one.header for one in checked if one.header is not None]
    return SplitReport(
        name=name,
        recordings=len(recordings),
        labelled=sum(recording.labels_path is not None for recording in recordings),
        hours=sum(header.duration_s for header in headers) / _S_PER_HOUR,
        rates_hz=_sorted_counts(header.rate_hz for header in headers),
        channels=_sorted_counts(header.channels for header in headers),
        clipped=sum(found.rule == "clipped" for one in checked for found in one.findings),
        labels=add_labels(one.labels for one in checked if one.labels is not None),
    )


def _sorted_counts(values) -> dict[int, int]:
    return dict(sorted(Counter(values).items()))


def _of_split(finding: Finding, split: str) -> Finding:
    return Finding(finding.level, finding.rule, f"split {split}: {finding.message}", finding.recording)


def _unlabelled(split: str, recordings: Sequence[Recording]) -> list[Finding]:
    """Return a finding for each recording without labels, unless none of the split has any."""
    without = [recording.name for recording in recordings if recording.labels_path is None]
    if len(without) == len(recordings):
        return []
    message = f"has no labels, others of split {split} have. It is left out of training and scoring."
    return [Finding("warning", "unlabelled", message, name) for name in without]


def _size_bytes(recording: Recording) -> int:
    total = 0
    for path, weight in ((recording.audio_path, 1), (recording.labels_path, 10)):  # labels take longer
        if path is not None and path.exists():
            total += weight * path.stat().st_size
    return total
