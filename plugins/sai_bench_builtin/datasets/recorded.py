"""What data sets of published recordings have in common: finding, choosing, reporting and hashing files."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from sai_bench.audio_header import AudioHeader, read_header
from sai_bench.errors import AudioError, DatasetError, did_you_mean, one_line
from sai_bench.interfaces import Dataset, Recording
from sai_bench.progress import Reporter
from sai_bench.sphere import ArrayGeometry
from sai_bench_builtin.datasets.file_hashes import FileHashes
from sai_bench_builtin.datasets.recording_folders import (
    SITES,
    SPLITS,
    FoundFiles,
    find_recordings,
    of_equal_content,
    shown,
)

_DEFAULT_CACHE = Path(".sai_bench_cache")


@dataclass(frozen=True)
class Chosen:
    """The files of one recording that are used.

    Attributes:
        name: of the recording.
        split: `train` or `test`.
        site: `sony` or `tau`, None where no folder tells.
        audio: its audio file.
        labels: its label file, None if it has none.
        channels: of the audio.
    """

    name: str
    split: str
    site: str | None
    audio: Path
    labels: Path | None
    channels: int

    @property
    def files(self) -> tuple[Path, ...]:
        """Return its files."""
        return (self.audio, self.labels) if self.labels else (self.audio,)


@dataclass(frozen=True)
class Survey:
    """What lies below a data set's folder.

    Attributes:
        splits: the splits that there is audio of.
        chosen: the recordings whose files are all there.
        problems: what is missing, ambiguous or unreadable: a line for each recording.
        notes: what else is worth a line.
    """

    splits: tuple[str, ...]
    chosen: tuple[Chosen, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


class RecordedDataset(Dataset):
    """Recordings that were downloaded and unpacked by hand."""

    title: ClassVar[str]
    """What the data set is called."""
    zenodo_record: ClassVar[int]
    """Where it is published."""
    label_suffix: ClassVar[str]
    """How label files end, after the recording's name."""
    example: ClassVar[str]
    """Two files of a recording, for messages."""

    def __init__(self, folder: Path, cache_folder: Path | None):
        """Look below `folder`; keep what is computed in `cache_folder` (None: that of the stages)."""
        self._root = Path(folder)
        self.cache_folder = (Path(cache_folder) if cache_folder else _DEFAULT_CACHE).absolute()
        self._surveyed: Survey | None = None
        self._recordings: dict[str, tuple[Chosen, Recording]] | None = None

    @property
    def root(self) -> Path:
        """Return the folder in which the data set was unpacked."""
        return self._root

    @property
    def manifest_sha256(self) -> str:
        """Return a hash of the names, splits and contents of all recordings."""
        lines = [
            f"{chosen.split} {chosen.site} {recording.name} {recording.content_sha256}"
            for chosen, recording in self._ready().values()
        ]
        return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()

    def splits(self) -> tuple[str, ...]:
        """Return `train` and `test`, as far as there is audio of them, and each with its sites.

        Raises:
            DatasetError: there is no recording at all.
        """
        return self._survey().splits

    def recordings(self, split: str) -> list[Recording]:
        """Return the recordings of a split in name order."""
        if split not in self.splits():
            raise DatasetError(
                f"{self.root}: no split '{split}' of {self.title} here.{did_you_mean(split, self.splits())} "
                f"Splits: {', '.join(self.splits())}. {self._download()}"
            )
        wanted, _, site = split.partition("-")
        return [
            recording
            for chosen, recording in self._ready().values()
            if chosen.split == wanted and site in ("", chosen.site)
        ]

    def prepare(self, workers: int = 1, reporter: Reporter | None = None) -> None:
        """Find the files and hash those that are new; reads no more of them than that and their headers.

        Raises:
            DatasetError: files are missing, ambiguous or unreadable; all are named. The other recordings can
                be used all the same.
        """
        reporter = reporter or Reporter()
        self._surveyed = None
        survey = self._survey()
        for note in survey.notes:
            reporter.line(one_line(f"{self.title}: {note}"))
        labelled, wrong_labels = self._with_label_files(survey.chosen, workers, reporter)
        sha256s, unreadable = self._hashes().of([p for one in labelled for p in one.files], workers, reporter)
        self._recordings = {
            one.name: (one, self._recording(one, sha256s))
            for one in labelled
            if all(path in sha256s for path in one.files)
        }
        problems = [one_line(text) for text in (*survey.problems, *wrong_labels, *unreadable)]
        if problems:
            raise DatasetError(
                f"{self.root}: {len(problems)} files or recordings of {self.title} are missing or wrong. "
                f"{self._download()}",
                problems,
            )

    @abstractmethod
    def array(self, channels: int) -> ArrayGeometry:
        """Return where the capsules of audio with so many channels are."""

    @abstractmethod
    def may_be_audio(self, path: Path) -> bool:
        """Return whether the folder of an audio file (relative to the root) is one to look at."""

    @abstractmethod
    def wanted_channels(self, counts: Sequence[Counter[int]]) -> int:
        """Return which channel count is used, given how many files of each count each recording has."""

    def _with_label_files(
        self, chosen: Sequence[Chosen], workers: int, reporter: Reporter
    ) -> tuple[list[Chosen], list[str]]:
        """Return the recordings with label JSONs in place of what labels were found, and problems."""
        return list(chosen), []

    def _hashes(self) -> FileHashes:
        place = hashlib.sha256(str(self.root.absolute()).encode(errors="surrogateescape")).hexdigest()[:12]
        return FileHashes(self.cache_folder / "files" / f"{self.title.lower()}-{place}.json")

    def _ready(self) -> dict[str, tuple[Chosen, Recording]]:
        if self._recordings is None:
            self.prepare()
        return self._recordings

    def _recording(self, chosen: Chosen, sha256s: Mapping[Path, str]) -> Recording:
        content = sha256s[chosen.audio] + (sha256s[chosen.labels] if chosen.labels else "unlabelled")
        return Recording(
            name=chosen.name,
            audio_path=chosen.audio,
            labels_path=chosen.labels,
            array=self.array(chosen.channels),
            content_sha256=hashlib.sha256(content.encode()).hexdigest(),
        )

    def _download(self) -> str:
        return (
            f"Download {self.title} from https://zenodo.org/records/{self.zenodo_record} and unpack it below "
            f"{self.root}, such as {self.example}."
        )

    def _survey(self) -> Survey:
        if self._surveyed is None:
            self._surveyed = self._look()
        return self._surveyed

    def _look(self) -> Survey:
        everything = [self._own(files) for files in find_recordings(self.root, self.label_suffix)]
        placed = [files for files in everything if files.split]
        heard = {files.group for files in placed if files.audio}
        if not heard:
            raise DatasetError(f"{self.root}: no recording of {self.title} here or below. {self._download()}")
        labelled = {files.group for files in placed if files.labels}
        found = [files for files in placed if files.group in heard]
        headers, problems = _headers([path for files in found for path in files.audio])
        readable = [[path for path in files.audio if path in headers] for files in found]
        channels = self.wanted_channels([Counter(headers[p].channels for p in paths) for paths in readable])
        chosen = []
        for files in found:
            one, wrong = self._choose(files, headers, channels, files.group in labelled)
            problems += wrong
            if one is not None:
                chosen.append(one)
        notes = [f"the {channels}-channel files of {len(chosen)} recordings are used"]
        notes += self._notes(everything, heard)
        return Survey(_split_names(found), tuple(chosen), tuple(problems), tuple(notes))

    def _own(self, files: FoundFiles) -> FoundFiles:
        """Return the files without audio of another kind."""
        return replace(
            files, audio=[path for path in files.audio if self.may_be_audio(path.relative_to(self.root))]
        )

    def _choose(
        self, files: FoundFiles, headers: Mapping[Path, AudioHeader], channels: int, expects_labels: bool
    ) -> tuple[Chosen | None, list[str]]:
        """Return the files to use, None if that is not clear, and what is wrong."""
        name, problems = files.name, []
        readable = [path for path in files.audio if path in headers]
        audio = of_equal_content([path for path in readable if headers[path].channels == channels])
        labels = of_equal_content(files.labels)
        for what, found in (("split", files.splits), ("site", files.sites)):
            if len(found) > 1:
                everywhere = shown([*files.audio, *files.labels], self.root)
                problems.append(
                    f"{name}: lies in folders of the {what}s {' and '.join(sorted(found))}: {everywhere}. "
                    "Expected one; move or rename the others."
                )
        for what, paths in (("audio", audio), ("label", labels)):
            if len(paths) > 1:
                problems.append(
                    f"{name}: {len(paths)} different {what} files: {shown(paths, self.root)}. Expected one; "
                    "move the others out of the folder."
                )
        if not audio and len(readable) == len(files.audio):  # an unreadable one has its own line
            others = sorted({headers[path].channels for path in readable})
            instead = f", only with {' and '.join(map(str, others))}" if others else ""
            source = shown(readable or files.labels, self.root)
            problems.append(
                f"{name}: no audio with {channels} channels{instead} ({source}). Expected {name}.wav "
                "like that of the other recordings."
            )
        if not labels and expects_labels:
            problems.append(
                f"{name}: no labels ({shown(files.audio, self.root)}). Expected {name}{self.label_suffix}."
            )
        if problems or not audio:
            return None, problems
        label_file = labels[0] if labels else None
        return Chosen(files.name, files.split, files.site, audio[0], label_file, channels), []

    def _notes(self, everything: Sequence[FoundFiles], heard: set) -> list[str]:
        notes = []
        astray = [files.name for files in everything if files.audio and not files.split]
        if astray:
            notes.append(
                f"{len(astray)} audio files belong to no split by folder or name and are not used "
                f"({', '.join(astray[:3])}{' ...' if len(astray) > 3 else ''})"
            )
        silent = Counter(files.group for files in everything if files.split and files.group not in heard)
        for (split, site), count in sorted(silent.items(), key=str):
            place = f"{split}-{site}" if site else split
            notes.append(f"{place} has labels of {count} recordings and no audio: it is not used")
        return notes


def _headers(paths: Sequence[Path]) -> tuple[dict[Path, AudioHeader], list[str]]:
    headers, problems = {}, []
    for path in paths:
        try:
            headers[path] = read_header(path)
        except AudioError as error:
            problems.append(str(error))
    return headers, problems


def _split_names(found: Sequence[FoundFiles]) -> tuple[str, ...]:
    """Return the splits, and their sites where the site of every recording is known."""
    names = []
    for split in SPLITS:
        sites = {files.site for files in found if files.split == split}
        if sites:
            names.append(split)
        if None not in sites:
            names += [f"{split}-{site}" for site in SITES if site in sites]
    return tuple(names)
