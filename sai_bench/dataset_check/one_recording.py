"""Checking one recording thoroughly: every sample and every annotation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sai_bench.dataset_check.cheap import check_header, check_label_file
from sai_bench.dataset_check.findings import Finding
from sai_bench.dataset_check.labels import LabelFacts, count_labels
from sai_bench.dataset_check.samples import SampleFacts, scan_samples
from sai_bench.errors import AnnotationError, AudioError
from sai_bench.predictions import read_annotations
from sai_bench.sphere import FRAMES_PER_S

if TYPE_CHECKING:
    from pathlib import Path

    from sai_bench.audio_header import AudioHeader
    from sai_bench.interfaces import Recording

CLIPPED_SHARE = 1e-4
"""From this share of samples at full scale on, a recording counts as clipped: 2.4 a second at 24 kHz."""

TOLERATED_END_S = 1.0
"""Labels that go on longer than this after the audio's end do not belong to it."""


@dataclass(frozen=True)
class Checked:
    """What one recording is like.

    Attributes:
        recording: its name.
        header: of its audio, None if unreadable.
        clipped_share: of its samples, None if they could not be read.
        labels: what its labels say, None without readable labels or audio.
        findings: what is wrong with it.
    """

    recording: str
    header: AudioHeader | None
    clipped_share: float | None
    labels: LabelFacts | None
    findings: tuple[Finding, ...]


def check_recording(recording: Recording) -> Checked:
    """Read a recording's audio and labels to their ends."""
    header, findings = check_header(recording)
    clipped_share = None
    if header is not None:
        clipped_share, about_samples = check_samples(recording, header)
        findings += about_samples
    labels, about_labels = _check_labels(recording, header)
    return Checked(recording.name, header, clipped_share, labels, (*findings, *about_labels))


def check_samples(recording: Recording, header: AudioHeader) -> tuple[float | None, list[Finding]]:
    """Return the share of clipped samples, None if they cannot be read, and what is wrong with them."""
    path, name = recording.audio_path, recording.name
    try:
        facts = scan_samples(path)
    except AudioError as error:
        return None, [Finding("error", "audio", str(error), name)]
    findings = []
    if facts.first_invalid is not None:
        channel, sample = facts.first_invalid
        message = (
            f"{path}: {facts.invalid} samples are NaN or infinite, the first in channel {channel} at "
            f"{sample / header.rate_hz:.3f} s. Expected finite samples; repair or download it again."
        )
        findings.append(Finding("error", "nan", message, name))
    findings += _silence(path, name, facts)
    if facts.clipped_share >= CLIPPED_SHARE:
        message = f"{path}: {facts.clipped_share:.2%} of the samples are at full scale: it is clipped."
        findings.append(Finding("warning", "clipped", message, name))
    return facts.clipped_share, findings


def _silence(path: Path, name: str, facts: SampleFacts) -> list[Finding]:
    dead = np.flatnonzero(facts.peaks == 0) + 1
    if not len(dead) or not facts.samples:
        return []
    if len(dead) == len(facts.peaks):
        return [Finding("error", "silent", f"{path}: every sample is 0. Expected sound.", name)]
    channels = ", ".join(map(str, dead))
    message = f"{path}: every sample of channel {channels} is 0. Expected sound in all channels."
    return [Finding("error", "silent", message, name)]


def _check_labels(
    recording: Recording, header: AudioHeader | None
) -> tuple[LabelFacts | None, list[Finding]]:
    path, name = recording.labels_path, recording.name
    if path is None:
        return None, []
    at_the_ends = check_label_file(recording)
    if at_the_ends:
        return None, at_the_ends
    try:
        annotations = read_annotations(path, unknown_classes=True)
    except AnnotationError as error:
        return None, [Finding("error", "labels", str(error), name)]
    if header is None:
        return None, []
    facts = count_labels(annotations, header.label_frames)
    return facts, _label_findings(path, name, facts, header)


def _label_findings(path: Path, name: str, facts: LabelFacts, header: AudioHeader) -> list[Finding]:
    findings = []
    if facts.beyond_end:
        late_s = (facts.last_frame + 1) / FRAMES_PER_S - header.duration_s
        message = (
            f"{path}: {facts.beyond_end} annotations are not within the audio, which has label frames 0 to "
            f"{header.label_frames - 1}; the last is of frame {facts.last_frame}."
        )
        level = "error" if late_s > TOLERATED_END_S else "warning"
        findings.append(Finding(level, "beyond_end", message, name))
    for rule, count, what in (
        ("class", facts.unknown_classes, "of other classes than 0 to 12"),
        ("points", facts.without_points, "without a point of positive energy"),
        ("points", facts.outside, "with points outside the image (x 0 to 360, y 0 to 179)"),
    ):
        if count:
            message = f"{path}: {count} annotation{'s' * (count != 1)} {what}."
            findings.append(Finding("warning", rule, message, name))
    return findings
