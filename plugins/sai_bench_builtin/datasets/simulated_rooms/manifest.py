"""The record of each rendered recording, and the manifest that gathers them."""

from __future__ import annotations

import dataclasses
import hashlib
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np

from sai_bench.files import sha256_of, write_atomically
from sai_bench_builtin.configs.dataset import SimulatedRoomsConfig
from sai_bench_builtin.datasets.simulated_rooms.scene import Scene
from sai_bench_builtin.datasets.source_banks import SourceBank

RENDERER_VERSION = 2
"""Raised whenever the same config gives other bytes; part of the folder's name."""

_LATER_KEYS = ("array_response",)
_PACKAGES = ("numpy", "scipy", "pyroomacoustics", "soundfile")


class Record(msgspec.Struct):
    """One rendered recording.

    Attributes:
        name: recording name.
        split: its split.
        audio: path of the wav file below the root.
        audio_bytes: its size.
        audio_sha256: its hash.
        labels: path of the label file below the root.
        labels_bytes: its size.
        labels_sha256: its hash.
        scale: factor that kept the recording from clipping.
        scene: every parameter of the scene.
    """

    name: str
    split: str
    audio: str
    audio_bytes: int
    audio_sha256: str
    labels: str
    labels_bytes: int
    labels_sha256: str
    scale: float
    scene: dict

    def intact(self, root: Path, written_ns: int) -> bool:
        """Return whether both files are as they were rendered.

        Args:
            root: of the data set.
            written_ns: when this record was written (nanoseconds since the epoch). Files older than that are
                only measured; one that was touched later is hashed.
        """
        expected = (
            (self.audio, self.audio_bytes, self.audio_sha256),
            (self.labels, self.labels_bytes, self.labels_sha256),
        )
        return all(_is_unchanged(root / path, *facts, written_ns) for path, *facts in expected)

    @property
    def content_sha256(self) -> str:
        """Return a hash of audio and labels together."""
        return hashlib.sha256(f"{self.audio_sha256}{self.labels_sha256}".encode()).hexdigest()


class Manifest(msgspec.Struct):
    """Everything about a rendered data set.

    Attributes:
        renderer_version: see `RENDERER_VERSION`.
        packages: versions of the packages that rendered it.
        config: the config without its folders; holds the seed.
        recordings: the records in the order of the plan.
    """

    renderer_version: int
    packages: dict[str, str]
    config: dict
    recordings: list[Record]


def identity(config: SimulatedRoomsConfig, bank: SourceBank) -> dict:
    """Return everything in a config that determines the rendered bytes, JSON-ready.

    Of folders only what they hold counts. Keys that came later are left out where they stand at their
    default, so that what was rendered before keeps its place and its manifest.
    """
    dumped = config.model_dump(mode="json", exclude={"folder": True, "source_bank": {"folder"}})
    for key in _LATER_KEYS:
        if dumped[key] == SimulatedRoomsConfig.model_fields[key].default:
            del dumped[key]
    if bank.content_sha256:
        dumped["source_bank"]["content_sha256"] = bank.content_sha256
    return dumped


def identity_sha256(config: SimulatedRoomsConfig, bank: SourceBank) -> str:
    """Return a hash of everything that determines the rendered bytes."""
    content = {"config": identity(config, bank), "renderer": RENDERER_VERSION}
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def describe_scene(scene: Scene, bank: SourceBank) -> dict:
    """Return a scene as JSON-ready data; trajectories seen from the array and files of sounds included."""
    described = dataclasses.asdict(scene)
    for event, entry in zip(scene.events, described["events"], strict=True):
        entry["trajectory_s_deg_deg_m"] = np.round(scene.trajectory(event), 3)
        origin = bank.origin(scene.split, event.category, event.variation)
        if origin is not None:
            entry["sound"] = origin
    return msgspec.to_builtins(described, enc_hook=_as_list)


def write_record(path: Path, record: Record) -> None:
    """Write the record of one recording, which says that its files are complete."""
    write_atomically(path, msgspec.json.encode(record))


def read_record(path: Path) -> Record | None:
    """Return a record, or None where there is none or it is damaged."""
    return _read(path, Record)


def write_manifest(path: Path, identified: dict, records: list[Record]) -> None:
    """Write the manifest, one recording a line; `identified` is the config's identity."""
    packages = {package: version(package) for package in _PACKAGES}
    head = msgspec.json.encode(Manifest(RENDERER_VERSION, packages, identified, []))
    lines = b",\n".join(msgspec.json.encode(record) for record in records)
    write_atomically(path, head.removesuffix(b"]}") + b"\n" + lines + b"\n]}\n")


def read_manifest(path: Path) -> Manifest | None:
    """Return the manifest, or None where there is none or it is damaged."""
    return _read(path, Manifest)


def _read(path: Path, kind: type):
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _is_unchanged(path: Path, size_bytes: int, sha256: str, written_ns: int) -> bool:
    try:
        stat = path.stat()
        return stat.st_size == size_bytes and (stat.st_mtime_ns <= written_ns or sha256_of(path) == sha256)
    except OSError:
        return False


def _as_list(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise NotImplementedError(type(value))
