"""Whether the official evaluators will take a folder of prediction files, and what it would lose there.

Errors make an evaluator stop, or make it read something else than was meant; warnings cost score or make the
score depend on the evaluator's computer.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sai_bench.cores import usable_cores
from sai_bench.errors import AnnotationError
from sai_bench.files import safe_name
from sai_bench.json_document import parse_document
from sai_bench.metrics.june.ranking import tied
from sai_bench.metrics.pairing import (
    LABEL_SUFFIX,
    PREDICTION_SUFFIX,
    find_json_files,
    has_suffix,
    overlooked,
    recording_name,
    shortened,
)
from sai_bench.metrics.submission_content import Problem, check_entry
from sai_bench.parallel import in_processes
from sai_bench.predictions import WORTH_PROCESSES_BYTES, read_content
from sai_bench.progress import Reporter

if TYPE_CHECKING:
    from sai_bench.metrics.submission_content import Checked

Level = Literal["error", "warning"]

LARGEST_FILE_BYTES = 20_000_000
"""What the challenge allows; the evaluator of June itself refuses above 20 * 1024 * 1024."""

COMFORTABLE_FILE_BYTES = 19_000_000


@dataclass(frozen=True)
class Finding:
    """One kind of problem in one file, or in the folder as a whole.

    Attributes:
        level: `error` or `warning`.
        rule: short name of what was checked, such as `coordinates`.
        message: what is wrong and what was expected.
        file: relative to the folder, None if it is about the folder.
        annotation: the first annotation that has the problem, counted from 0, None if it is about the file.
        count: how many annotations have it.
    """

    level: Level
    rule: str
    message: str
    file: str | None = None
    annotation: int | None = None
    count: int = 1

    def __str__(self) -> str:
        # A name with line breaks or the like would take the message apart.
        place = [self.file if self.file.isprintable() else repr(self.file)] if self.file else []
        if self.annotation is not None:
            more = f" and {self.count - 1} more" if self.count > 1 else ""
            place.append(f"annotation {self.annotation}{more} (counted from 0)")
        return ": ".join([*place, self.message])


@dataclass(frozen=True)
class SubmissionReport:
    """What was found in a folder of prediction files.

    Attributes:
        folder: what was checked.
        files: how many prediction files there are.
        detections: how many annotations they hold.
        largest_bytes: size of the largest file.
        findings: all problems, in file order.
    """

    folder: Path
    files: int
    detections: int
    largest_bytes: int
    findings: tuple[Finding, ...]

    def of_level(self, level: Level) -> list[Finding]:
        """Return the errors or the warnings."""
        return [finding for finding in self.findings if finding.level == level]

    @property
    def accepted(self) -> bool:
        """Return whether there are no errors."""
        return not self.of_level("error")

    def strictly(self) -> SubmissionReport:
        """Return the report with every warning turned into an error."""
        return replace(self, findings=tuple(replace(found, level="error") for found in self.findings))

    def to_json(self) -> dict[str, object]:
        """Return the report, JSON-ready."""
        return {
            "folder": str(self.folder),
            "accepted": self.accepted,
            "files": self.files,
            "detections": self.detections,
            "largest_bytes": self.largest_bytes,
            "errors": [_as_json(finding) for finding in self.of_level("error")],
            "warnings": [_as_json(finding) for finding in self.of_level("warning")],
        }


def check_submission(
    folder: Path | str, reporter: Reporter | None = None, workers: int | None = None
) -> SubmissionReport:
    """Check every prediction file below a folder.

    Args:
        folder: searched with its sub-folders.
        reporter: told about progress; None: nobody is.
        workers: processes that may work at once, None: one per core. The report does not depend on it.

    Raises:
        AnnotationError: there is no such folder, or no JSON file in it.
    """
    folder = Path(folder)
    paths = find_json_files(folder, "predictions")
    findings, scores = _name_findings(folder, paths), _ScoreCounter()
    sizes = list(map(_size_bytes, paths))
    looked_into = sum(size for size in sizes if size <= LARGEST_FILE_BYTES)
    workers = (workers or usable_cores()) if looked_into >= WORTH_PROCESSES_BYTES else 1
    results = {}
    with (reporter or Reporter()).task("check") as progress:
        for result in in_processes(_check_file, [(path,) for path in paths], workers):
            results[result.path] = result
            progress(len(results), len(paths))
    for path in paths:
        file = path.relative_to(folder).as_posix()
        findings += [replace(finding, file=file) for finding in results[path].findings]
        scores.add(results[path])
    findings += scores.ties()
    if not scores.detections and not any(finding.level == "error" for finding in findings):
        findings.append(Finding("warning", "detections", "no file has a detection."))
    return SubmissionReport(folder, len(paths), scores.detections, max(sizes), tuple(findings))


def _name_findings(folder: Path, paths: Sequence[Path]) -> list[Finding]:
    findings = []
    for path in paths:
        file = path.relative_to(folder).as_posix()
        if safe_name(path.name) != path.name:
            message = "the file name has other characters than letters, digits, '.', '_' and '-'."
            findings.append(Finding("error", "name", f"{message} Rename it.", file))
        if has_suffix(path, LABEL_SUFFIX):
            message = f"is named as labels are. Expected {recording_name(path)}.json or "
            message += f"{recording_name(path)}{PREDICTION_SUFFIX}.json."
            findings.append(Finding("error", "name", message, file))
    names = Counter(map(recording_name, paths))
    twice = sorted(name for name, count in names.items() if count > 1)
    if twice:
        message = f"{len(twice)} recordings have several files ({shortened(twice)}). Expected one each."
        findings.append(Finding("error", "name", message))
    suffixed = sum(has_suffix(path, PREDICTION_SUFFIX) for path in paths)
    if 0 < suffixed < len(paths):
        message = f"{suffixed} of {len(paths)} files are named NAME{PREDICTION_SUFFIX}.json, the others not."
        message += " The evaluator of April reads only the former, that of June only the latter."
        findings.append(Finding("warning", "name", message))
    findings += [Finding("warning", "name", message) for message in overlooked(folder, "predictions")]
    deeper = [path.relative_to(folder).as_posix() for path in paths if path.parent != folder]
    if deeper:
        message = f"{len(deeper)} files lie in sub-folders ({shortened(deeper)}), where the evaluator of June"
        findings.append(Finding("warning", "name", f"{message} does not look."))
    return findings


@dataclass(frozen=True)
class _FileResult:
    """What was found in one file: problems, and (class, score) of each annotation where valid."""

    path: Path
    findings: tuple[Finding, ...]
    annotations: tuple[tuple[int | None, float | None], ...] = ()


def _check_file(path: Path) -> _FileResult:
    size_bytes, findings = _size_bytes(path), []
    size_message = f"{size_bytes} bytes; at most {LARGEST_FILE_BYTES} are allowed. Compress the point sets."
    if size_bytes > LARGEST_FILE_BYTES:
        finding = Finding("error", "size", f"{size_message} What is in it was not checked.")
        return _FileResult(path, (finding,))
    if size_bytes > COMFORTABLE_FILE_BYTES:
        findings.append(Finding("warning", "size", size_message))
    try:
        document = parse_document(path, read_content(path))
    except AnnotationError as error:
        finding = Finding("error", "schema", str(error).removeprefix(f"{path}: "))
        return _FileResult(path, (*findings, finding))
    if "annotations" not in document:
        message = (
            "has no list 'annotations'. Expected DCASE JSON; a recording without detections has [] there."
        )
        return _FileResult(path, (*findings, Finding("error", "schema", message)))
    checked = [check_entry(entry) for entry in document["annotations"]]
    annotations = tuple((annotation.category, annotation.score) for annotation in checked)
    return _FileResult(path, (*findings, *_gathered(checked)), annotations)


def _size_bytes(path: Path) -> int:
    """Return a file's size, 0 if it cannot be known (reading it will tell why)."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _gathered(checked: Iterable[Checked]) -> list[Finding]:
    """Return one finding for each kind of problem: its first occurrence, and how many there are."""
    first: dict[tuple[Level, str], tuple[int, Problem]] = {}
    counts: Counter[tuple[Level, str]] = Counter()
    for index, annotation in enumerate(checked):
        kinds = set()
        for problem in annotation.problems:
            kind = (problem.level, problem.rule)
            first.setdefault(kind, (index, problem))
            kinds.add(kind)
        counts.update(kinds)
    return [
        Finding(problem.level, problem.rule, problem.message, None, index, counts[kind])
        for kind, (index, problem) in first.items()
    ]


class _ScoreCounter:
    """Counts detections and equal scores over all files."""

    def __init__(self):
        self.detections = 0
        self._of_class: defaultdict[int, list[float]] = defaultdict(list)

    def add(self, result: _FileResult) -> None:
        for category, score in result.annotations:
            self.detections += 1
            if category is not None and score is not None:
                self._of_class[category].append(score)

    def ties(self) -> list[Finding]:
        tied_in_class = sum(map(tied, self._of_class.values()))
        tied_anywhere = tied([score for scores in self._of_class.values() for score in scores])
        if not tied_anywhere:
            return []
        message = (
            f"{tied_anywhere} of {self.detections} detections share their score with another, "
            f"{tied_in_class} of them with one of their class. The evaluator of June then gives numbers that "
            "depend on its processor; make scores differ (more decimals, or a small amount by position)."
        )
        return [Finding("warning", "ties", message)]


def _as_json(finding: Finding) -> dict[str, object]:
    return {
        "rule": finding.rule,
        "file": finding.file,
        "annotation": finding.annotation,
        "count": finding.count,
        "message": finding.message,
    }
