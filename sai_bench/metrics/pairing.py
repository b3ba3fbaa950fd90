"""Which prediction file belongs to which label file: both folders are searched, names are compared.

A recording's name is its file name without `.json` and without the suffixes `_inference` and `_std` that
prediction and label files carry by custom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from sai_bench.errors import AnnotationError, did_you_mean
from sai_bench.files import sha256_of
from sai_bench.folder_search import files_below
from sai_bench.metrics.grouping import grouped
from sai_bench.predictions import check_size

PairingRule = Literal["complete", "official"]
"""What becomes of a labelled recording without prediction file: it counts as empty, or it is left out."""

PREDICTION_SUFFIX = "_inference"
LABEL_SUFFIX = "_std"
_SUFFIXES = (PREDICTION_SUFFIX, LABEL_SUFFIX)
_EXTENSION = ".json"

NO_PREDICTION_FILE = "have no prediction file"
"""What the warning of `Pairing.warnings` about missing recordings says, and no other does."""


@dataclass(frozen=True)
class FilePair:
    """The files of one recording.

    Attributes:
        name: of the recording.
        predictions: its prediction file; None: there is none, and the recording counts as empty.
        labels: its label file.
    """

    name: str
    predictions: Path | None
    labels: Path


@dataclass(frozen=True)
class Pairing:
    """What was found in the two folders.

    Attributes:
        rule: `complete` or `official`.
        every: every recording with labels, in the order in which the official evaluators go through them:
            that of the prediction files' paths. One without stands where its file would.
        unpaired_predictions: prediction files without label file; never scored.
        unpaired_labels: label files without prediction file.
        warnings: what is odd, for people.
    """

    rule: PairingRule
    every: tuple[FilePair, ...]
    unpaired_predictions: tuple[Path, ...]
    unpaired_labels: tuple[Path, ...]
    warnings: tuple[str, ...]

    @property
    def pairs(self) -> tuple[FilePair, ...]:
        """What is scored, in the order of `every`."""
        return tuple(pair for pair in self.every if pair.predictions or self.rule == "complete")

    @property
    def left_out(self) -> tuple[FilePair, ...]:
        """The other recordings: those without prediction file, if the rule is `official`."""
        return tuple(pair for pair in self.every if not pair.predictions and self.rule == "official")

    @property
    def counted_as_empty(self) -> tuple[str, ...]:
        """The names of those that have no prediction file and are scored all the same."""
        return tuple(pair.name for pair in self.pairs if not pair.predictions)


def pair_files(prediction_folder: Path, label_folder: Path, rule: PairingRule = "complete") -> Pairing:
    """Find the recordings of two folders, sub-folders included.

    Raises:
        AnnotationError: a folder is missing or has no JSON file, two different files are of one recording, or
            no prediction file has a label file.
        ValueError: no such rule.
    """
    if rule not in get_args(PairingRule):
        raise ValueError(f"Unknown pairing {rule!r}. Expected one of {', '.join(get_args(PairingRule))}.")
    found_labels = find_json_files(label_folder, "labels")
    found_predictions = find_json_files(prediction_folder, "predictions")
    warnings: list[str] = []
    labels = _one_file_each(_prefer(LABEL_SUFFIX, found_labels), "label", warnings)
    predictions = _one_file_each(_avoid(LABEL_SUFFIX, found_predictions), "prediction", warnings)
    shared = labels.keys() & predictions.keys()
    if not shared:
        raise AnnotationError(_nothing_in_common(prediction_folder, label_folder, predictions, labels))
    strays = _not_named_as_labels(labels, shared)
    missing = sorted(labels.keys() - shared - strays)
    place = _places([predictions[name] for name in sorted(shared)])
    every = [FilePair(name, predictions.get(name), labels[name]) for name in shared.union(missing)]
    pairing = Pairing(
        rule,
        tuple(sorted(every, key=lambda pair: pair.predictions or place(pair.name))),
        tuple(predictions[name] for name in sorted(predictions.keys() - shared)),
        tuple(labels[name] for name in sorted(labels.keys() - shared)),
        (),
    )
    for folder, role in {prediction_folder: "predictions", label_folder: "labels"}.items():
        warnings += overlooked(folder, role)
    warnings += _missing_warnings(pairing, missing, strays)
    warnings += _suffix_warnings([pair for pair in pairing.pairs if pair.predictions])
    return replace(pairing, warnings=tuple(warnings))


def _places(predictions: Sequence[Path]) -> Callable[[str], Path]:
    """Return where the prediction file of a recording would lie, named like most of the others."""
    ((folder, suffix), _), *_ = Counter((path.parent, suffix_of(path)) for path in predictions).most_common(1)
    return lambda name: folder / f"{name}{suffix}{_EXTENSION}"


def find_json_files(folder: Path, role: str) -> list[Path]:
    """Return all JSON files below a folder, sorted; hidden ones are left out.

    Links to folders are followed, but no folder is entered twice.

    Raises:
        AnnotationError: there is no such folder, or no JSON file in it.
    """
    if not folder.is_dir():
        raise AnnotationError(f"{folder}: no such folder. Expected the folder of the {role}; check the path.")
    found = sorted(path for path in _json_by_name(folder) if path.name.endswith(_EXTENSION))
    if not found:
        raise AnnotationError(
            f"{folder}: no JSON file here or below. Expected the {role}: one DCASE JSON file per recording."
            + "".join(f" {text}" for text in overlooked(folder, role))
        )
    return found


def overlooked(folder: Path, role: str) -> list[str]:
    """Return a warning about files that are not looked at, though their names suggest it."""
    names = sorted(path.name for path in _json_by_name(folder) if not path.name.endswith(_EXTENSION))
    if not names:
        return []
    return [
        f"{len(names)} files in the folder of the {role} are not looked at, because their names end in other "
        f"than {_EXTENSION} in small letters ({shortened(names)}). Rename them if they belong to it."
    ]


def recording_name(path: Path) -> str:
    """Return the recording that a file is about, judged by its name.

    `fold4_room1_mix001` for `fold4_room1_mix001_inference.json` and `fold4_room1_mix001_std.json` alike.
    """
    name = path.name[: -len(_EXTENSION)]
    shortened = True
    while shortened:
        shortened = False
        for suffix in _SUFFIXES:
            if name.endswith(suffix) and name != suffix:
                name, shortened = name.removesuffix(suffix), True
    return name


def suffix_of(path: Path) -> str:
    """Return what stands between the recording's name and `.json`."""
    return path.name[len(recording_name(path)) : -len(_EXTENSION)]


def has_suffix(path: Path, suffix: str) -> bool:
    """Return whether a file's name ends in a suffix, before `.json`."""
    return path.name.endswith(suffix + _EXTENSION)


def _json_by_name(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder that are JSON by name, in small or capital letters."""
    return (path for path in files_below(folder, _refuse) if path.name.lower().endswith(_EXTENSION))


def _refuse(error: OSError) -> None:
    raise AnnotationError(
        f"{error.filename}: cannot be listed ({error.strerror}). Expected a folder of JSON files."
    ) from error


def _prefer(suffix: str, paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Return the files of each recording; those with the suffix, if there are any."""
    return {
        name: [p for p in own if has_suffix(p, suffix)] or own
        for name, own in grouped(paths, recording_name).items()
    }


def _avoid(suffix: str, paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Return the files of each recording; those without the suffix, if there are any."""
    return {
        name: [p for p in own if not has_suffix(p, suffix)] or own
        for name, own in grouped(paths, recording_name).items()
    }


def _one_file_each(files: dict[str, list[Path]], role: str, warnings: list[str]) -> dict[str, Path]:
    """Return one file for each recording; equal copies are fine.

    Raises:
        AnnotationError: files of one recording differ.
    """
    for name, own in files.items():
        if len(own) == 1:
            continue
        listed = ", ".join(map(str, own))
        if len({check_size(path) for path in own}) > 1 or len({sha256_of(path) for path in own}) > 1:
            raise AnnotationError(
                f"Recording {name} has {len(own)} different {role} files: {listed}. Expected one; name a "
                "folder that holds one set of files."
            )
        warnings.append(f"Recording {name} has {len(own)} equal {role} files, one is used: {listed}.")
    return {name: own[0] for name, own in files.items()}


def _not_named_as_labels(labels: dict[str, Path], shared: set[str]) -> set[str]:
    """Return recordings that stand among the labels by accident, such as a manifest beside `*_std.json`.

    They have no prediction file, and their file lacks the suffix that others have.
    """
    if not any(has_suffix(path, LABEL_SUFFIX) for path in labels.values()):
        return set()
    return {n for n, path in labels.items() if n not in shared and not has_suffix(path, LABEL_SUFFIX)}


def _missing_warnings(pairing: Pairing, missing: Sequence[str], strays: set[str]) -> list[str]:
    warnings = []
    if missing:
        fate = (
            "count as empty, so all their labels are misses"
            if pairing.rule == "complete"
            else "are left out, as the official evaluators do: their labels cost nothing"
        )
        warnings.append(
            f"{len(missing)} of {len(missing) + len(pairing.pairs) - len(pairing.counted_as_empty)} labelled "
            f"recordings {NO_PREDICTION_FILE} and {fate} ({shortened(missing)})."
        )
    if pairing.unpaired_predictions:
        names = [path.name for path in pairing.unpaired_predictions]
        warnings.append(
            f"{len(names)} prediction files have no label file and are not scored ({shortened(names)})."
        )
    if strays:
        warnings.append(
            f"{len(strays)} files among the labels lack the suffix {LABEL_SUFFIX} that others have, pair "
            f"with no prediction file and are not taken for labels ({shortened(sorted(strays))})."
        )
    return warnings


def _suffix_warnings(pairs: Sequence[FilePair]) -> list[str]:
    warnings = []
    odd = [
        pair.predictions.name
        for pair in pairs
        if has_suffix(pair.predictions, LABEL_SUFFIX)
        and pair.labels.stem != pair.predictions.stem + LABEL_SUFFIX
    ]
    if odd:
        warnings.append(
            f"{len(odd)} prediction files are named as labels are ({shortened(odd)}): no official evaluator "
            f"pairs them. Expected NAME{PREDICTION_SUFFIX}.json or NAME.json."
        )
    odd = [pair.labels.name for pair in pairs if has_suffix(pair.labels, PREDICTION_SUFFIX)]
    if odd:
        warnings.append(
            f"{len(odd)} label files are named as predictions are ({shortened(odd)}). Expected "
            f"NAME{LABEL_SUFFIX}.json; check that the folders are not exchanged."
        )
    return warnings


def _nothing_in_common(
    prediction_folder: Path, label_folder: Path, predictions: dict[str, Path], labels: dict[str, Path]
) -> str:
    example = min(predictions)
    return (
        f"No recording has both files: {len(predictions)} prediction files in {prediction_folder} (such as "
        f"{predictions[example].name}), {len(labels)} label files in {label_folder} (such as "
        f"{labels[min(labels)].name}). Expected equal names but for {PREDICTION_SUFFIX} and {LABEL_SUFFIX}."
        f"{did_you_mean(example, labels)}"
    )


def shortened(names: Sequence[str], most: int = 3) -> str:
    """Return the first few of many names; one with line breaks or the like as Python would write it."""
    rest = len(names) - most
    shown = [name if name.isprintable() else repr(name) for name in names[:most]]
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")
