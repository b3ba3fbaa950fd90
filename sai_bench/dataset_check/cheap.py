"""What can be known of a recording from the header of its audio and the ends of its label file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sai_bench.audio_header import AudioHeader, read_header
from sai_bench.dataset_check.findings import Finding
from sai_bench.errors import AnnotationError, AudioError
from sai_bench.predictions import check_size
from sai_bench.sphere import FRAMES_PER_S

if TYPE_CHECKING:
    from pathlib import Path

    from sai_bench.interfaces import Recording

_END_BYTES = 64


def problems_of(recordings: Sequence[Recording]) -> list[str]:
    """Return what keeps recordings from being used, a line for each problem; costs milliseconds each.

    Missing, unreadable or truncated audio, wrong channel counts, missing or truncated labels, names that
    occur twice. What only the samples or the annotations themselves can tell is left to `check_dataset`.
    """
    findings = repeated_names(recordings)
    for recording in recordings:
        findings += check_header(recording)[1]
        findings += check_label_file(recording)
    return [str(finding) for finding in findings]


def repeated_names(recordings: Sequence[Recording]) -> list[Finding]:
    """Return a finding for each name that several recordings have."""
    counts = Counter(recording.name for recording in recordings)
    return [
        Finding("error", "name", f"{count} recordings have this name. Expected one.", name)
        for name, count in counts.items()
        if count > 1
    ]


def check_header(recording: Recording) -> tuple[AudioHeader | None, list[Finding]]:
    """Return the header of a recording's audio, None if it cannot be read, and what is wrong with it."""
    try:
        header = read_header(recording.audio_path)
    except AudioError as error:
        return None, [Finding("error", "audio", str(error), recording.name)]
    findings = []
    path, expected = recording.audio_path, recording.array.microphones
    if header.channels != expected:
        message = (
            f"{path}: has {header.channels} channel{'s' * (header.channels != 1)}, expected {expected} "
            f"({recording.array.name}), as the data set says."
        )
        findings.append(Finding("error", "channels", message, recording.name))
    if header.samples * FRAMES_PER_S < header.rate_hz:
        message = (
            f"{path}: {header.samples} samples at {header.rate_hz} Hz are shorter than one label frame. "
            "Expected at least 0.1 s of audio."
        )
        findings.append(Finding("error", "length", message, recording.name))
    return header, findings


def check_label_file(recording: Recording) -> list[Finding]:
    """Return what is wrong with a label file as far as its size and its ends tell; nothing without labels."""
    path = recording.labels_path
    if path is None:
        return []
    try:
        size_bytes = check_size(path)
        with open(path, "rb") as stream:
            first = stream.read(_END_BYTES).lstrip()[:1]
            stream.seek(max(0, size_bytes - _END_BYTES), os.SEEK_SET)
            last = stream.read(_END_BYTES).rstrip()[-1:]
    except AnnotationError as error:
        return [Finding("error", "labels", str(error), recording.name)]
    except OSError as error:
        return [Finding("error", "labels", _cannot_be_read(path, error), recording.name)]
    if (first, last) == (b"{", b"}"):
        return []
    fault = "is empty" if not size_bytes else "does not begin and end like a JSON object"
    message = f"{path}: {fault}. Expected complete DCASE JSON; copy or download it again."
    return [Finding("error", "labels", message, recording.name)]


def _cannot_be_read(path: Path, error: OSError) -> str:
    return f"{path}: cannot be read ({error.strerror}). Expected a DCASE JSON file."
