"""The data set component: MIC or FOA audio, and label JSONs made from the CSV files once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import msgspec

from sai_bench.errors import AnnotationError
from sai_bench.files import safe_name, write_atomically
from sai_bench.parallel import in_processes
from sai_bench.predictions import AnnotationFile
from sai_bench.progress import Reporter
from sai_bench.sphere import ArrayGeometry, foa_array, mic_array
from sai_bench_builtin.configs.dataset import DirectionRegionsConfig, Starss23Config
from sai_bench_builtin.datasets.recorded import Chosen, RecordedDataset
from sai_bench_builtin.datasets.starss23.metadata import read_metadata
from sai_bench_builtin.datasets.starss23.regions import DirectionRegions, annotations_of

LABELS_VERSION = 1
"""Raised whenever the same CSV files and settings give other labels; part of the folder's name."""

_FOLDERS = {"mic": "mic_dev", "foa": "foa_dev"}


class Starss23(RecordedDataset):
    """Recordings in real rooms at two sites; splits `train`, `test` and each by site, such as `test-tau`."""

    title = "STARSS23"
    zenodo_record = 7880637
    label_suffix = ".csv"

    def __init__(self, config: Starss23Config):
        super().__init__(config.folder, config.labels_folder)
        self.config = config
        audio = f"{_FOLDERS[config.format]}/dev-test-tau/NAME.wav"
        self.example = f"{audio} with metadata_dev/dev-test-tau/NAME.csv"

    def array(self, channels: int) -> ArrayGeometry:
        """Return the four capsules on their rigid sphere, or that there are none."""
        return mic_array("rigid") if self.config.format == "mic" else foa_array()

    def may_be_audio(self, path: Path) -> bool:
        """Return whether a file is of the format, as the folders that it lies in tell."""
        in_foa = any(part.lower().startswith("foa") for part in path.parts[:-1])
        return in_foa == (self.config.format == "foa")

    def wanted_channels(self, counts: Sequence[Counter[int]]) -> int:
        """Return 4."""
        return 4

    def _with_label_files(
        self, chosen: Sequence[Chosen], workers: int, reporter: Reporter
    ) -> tuple[list[Chosen], list[str]]:
        """Return the recordings with JSONs in place of CSV files; make those that are not there yet."""
        csv_files = [one.labels for one in chosen if one.labels]
        sha256s, problems = self._hashes().of(csv_files, workers, reporter)
        folder = self._labels_folder([(one, sha256s[one.labels]) for one in chosen if one.labels in sha256s])
        made = {one.labels: _label_path(folder, one) for one in chosen if one.labels in sha256s}
        missing = [path for path in made if not made[path].exists()]
        with reporter.task("make labels") as progress:
            tasks = [(path, made[path], self.config.regions) for path in missing]
            for done, (path, problem) in enumerate(in_processes(_make_labels, tasks, workers), start=1):
                if problem:
                    problems.append(problem)
                    del made[path]
                progress(done, len(missing))
        if missing:
            reporter.line(f"{self.title}: labels of {len(missing)} recordings were made in {folder}")
        labelled = [replace(one, labels=made.get(one.labels)) for one in chosen]
        # A recording whose labels are wrong is not used, one that never had any is.
        return [
            new for old, new in zip(chosen, labelled, strict=True) if new.labels or not old.labels
        ], problems

    def _labels_folder(self, csv_files: Sequence[tuple[Chosen, str]]) -> Path:
        """Return the folder for the labels of these CSV files by these settings."""
        digest = hashlib.sha256(f"{LABELS_VERSION} {self.config.regions.model_dump_json()}".encode())
        for one, sha256 in csv_files:
            digest.update(f"\n{one.split} {one.site} {safe_name(one.name)} {sha256}".encode())
        return self.cache_folder / f"starss23-labels-{digest.hexdigest()[:12]}"


def _label_path(folder: Path, chosen: Chosen) -> Path:
    place = f"dev-{chosen.split}-{chosen.site}" if chosen.site else chosen.split
    return folder / place / f"{safe_name(chosen.name)}_std.json"


def _make_labels(csv_file: Path, target: Path, config: DirectionRegionsConfig) -> tuple[Path, str]:
    """Write the labels of one recording; return the CSV file and what is wrong with it, if anything is."""
    try:
        rows = read_metadata(csv_file)
    except AnnotationError as error:
        return csv_file, str(error)
    write_atomically(target, msgspec.json.encode(AnnotationFile(annotations_of(rows, _regions(config)))))
    return csv_file, ""


@cache
def _regions(config: DirectionRegionsConfig) -> DirectionRegions:
    return DirectionRegions(config)
