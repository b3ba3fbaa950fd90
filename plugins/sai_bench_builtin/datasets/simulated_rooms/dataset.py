"""The data set component: renders what is missing, keeps what is there, lists the recordings."""

from __future__ import annotations

import functools
import io
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from sai_bench.errors import DatasetError, did_you_mean
from sai_bench.files import sha256_of, write_atomically
from sai_bench.interfaces import Dataset, Recording, RenderedRecording
from sai_bench.parallel import in_processes
from sai_bench.predictions import AnnotationFile
from sai_bench.progress import Reporter
from sai_bench.sphere import ArrayGeometry, array_for_channels
from sai_bench_builtin.configs.dataset import SimulatedRoomsConfig
from sai_bench_builtin.datasets.simulated_rooms import manifest as manifests
from sai_bench_builtin.datasets.simulated_rooms.manifest import Manifest, Record
from sai_bench_builtin.datasets.simulated_rooms.sampling import (
    PlannedRecording,
    plan,
    sample_online_scene,
    sample_scene,
)
from sai_bench_builtin.datasets.simulated_rooms.scene import Scene
from sai_bench_builtin.datasets.source_banks import SourceBank, open_source_bank

if TYPE_CHECKING:
    from sai_bench_builtin.datasets.simulated_rooms.rendering import Rendered

_AUDIO_FOLDERS = {4: "mic_dev", 32: "eigen_dev"}


class SimulatedRooms(Dataset):
    """Extended, moving, overlapping sources in simulated shoebox rooms, in the STAIRS26 layout."""

    renders_online = True

    def __init__(self, config: SimulatedRoomsConfig):
        self.config = config
        self._manifest: Manifest | None = None

    @functools.cached_property
    def _bank(self) -> SourceBank:
        return open_source_bank(self.config.source_bank)

    @functools.cached_property
    def _root(self) -> Path:
        identity = manifests.identity_sha256(self.config, self._bank)
        return Path(self.config.folder) / f"simulated_rooms-{identity[:12]}"

    @property
    def root(self) -> Path:
        """Return the folder that holds this config's data.

        Raises:
            DatasetError: the files of its source bank, which its name depends on, are not there.
        """
        return self._root

    @property
    def manifest_sha256(self) -> str:
        """Return the hash of `manifest.json`, which lists the hash of every file."""
        self._read_manifest()
        return sha256_of(self._manifest_path)

    def splits(self) -> tuple[str, ...]:
        """Return the names of the splits in the config's order."""
        return tuple(self.config.splits)

    def recordings(self, split: str) -> list[Recording]:
        """Return the recordings of a split in name order."""
        self._check_split(split)
        array = array_of(self.config)
        return [
            Recording(
                name=record.name,
                audio_path=self.root / record.audio,
                labels_path=self.root / record.labels,
                array=array,
                content_sha256=record.content_sha256,
            )
            for record in sorted(self._read_manifest().recordings, key=lambda record: record.name)
            if record.split == split
        ]

    def rendered(self, split: str, number: int, duration_s: float) -> RenderedRecording:
        """Return recording `number` of a split, rendered now, in a room of its own.

        The rooms are drawn like those of the split, from streams that no other split or recording uses; the
        sounds are the split's.

        Raises:
            DatasetError: unknown split, or the source bank has no usable sounds for it.
        """
        from sai_bench_builtin.datasets.simulated_rooms.labels import label_scene

        self._check_split(split)
        scene = sample_online_scene(self.config, split, number, duration_s, self._bank.categories(split))
        rendered = _render(self.config, scene, self._bank)
        return RenderedRecording(
            waveform=rendered.waveform,
            sample_rate_hz=self.config.sample_rate_hz,
            array=array_of(self.config),
            annotations=label_scene(scene, rendered.active),
        )

    def prepare(self, workers: int = 1, reporter: Reporter | None = None) -> None:
        """Render every recording that is not there yet or was changed, then write the manifest."""
        reporter = reporter or Reporter()
        planned = plan(self.config)
        stored = manifests.read_manifest(self._manifest_path)
        known = {record.name: record for record in stored.recordings} if stored else {}
        records = {one.name: self._intact_record(one, known.get(one.name)) for one in planned}
        missing = [one for one in planned if records[one.name] is None]
        if known and missing:
            names = ", ".join(one.name for one in missing[:5]) + (" ..." if len(missing) > 5 else "")
            reporter.line(f"{len(missing)} recordings are missing or damaged and are rendered again: {names}")
        if missing:
            self._bank.check(self.splits())
            for note in self._bank.notes:
                reporter.line(note)
        there = len(planned) - len(missing)
        with reporter.task("render") as progress:
            progress(there, len(planned))
            tasks = [(self.config, self.root, one) for one in missing]
            for done, record in enumerate(in_processes(render_recording, tasks, workers), start=there + 1):
                records[record.name] = record
                progress(done, len(planned))
        if missing or stored is None or [*known] != [*records]:
            identified = manifests.identity(self.config, self._bank)
            manifests.write_manifest(self._manifest_path, identified, list(records.values()))
        self._manifest = None

    @property
    def _manifest_path(self) -> Path:
        return self.root / "manifest.json"

    def _check_split(self, split: str) -> None:
        if split not in self.config.splits:
            raise DatasetError(
                f"{self.root}: no split '{split}'.{did_you_mean(split, self.splits())} "
                f"Splits: {', '.join(self.splits())}."
            )

    def _read_manifest(self) -> Manifest:
        if self._manifest is None:
            self._manifest = manifests.read_manifest(self._manifest_path)
        if self._manifest is None:
            raise DatasetError(
                f"{self._manifest_path}: missing or damaged, expected the manifest of a rendered data set. "
                "Render it first: sai-bench render SPEC."
            )
        return self._manifest

    def _intact_record(self, planned: PlannedRecording, known: Record | None) -> Record | None:
        path = _record_path(self.root, planned)
        record = known or manifests.read_record(path)
        if record is None or record.name != planned.name:
            return None
        written_ns = path.stat().st_mtime_ns if path.exists() else 0
        return record if record.intact(self.root, written_ns) else None


def render_recording(config: SimulatedRoomsConfig, root: Path, planned: PlannedRecording) -> Record:
    """Render one recording, write wav, labels and, last, its record, and return the record.

    Raises:
        sai_bench.errors.OutputError: the folder cannot be written.
        sai_bench.errors.DatasetError: a file of the source bank turns out to be of no use.
    """
    from sai_bench_builtin.datasets.simulated_rooms.labels import label_scene

    bank = _bank_for(config.model_dump_json(), root)
    scene = sample_scene(config, planned, bank.categories(planned.split))
    rendered = _render(config, scene, bank)
    audio = _wav_bytes(rendered.waveform, config.sample_rate_hz)
    labels = msgspec.json.encode(AnnotationFile(label_scene(scene, rendered.active)))
    record = Record(
        name=planned.name,
        split=planned.split,
        audio=f"{_AUDIO_FOLDERS[config.channels]}/{planned.split}/{planned.name}.wav",
        audio_bytes=len(audio),
        audio_sha256=sha256(audio).hexdigest(),
        labels=f"labels_dev/{planned.split}/{planned.name}_std.json",
        labels_bytes=len(labels),
        labels_sha256=sha256(labels).hexdigest(),
        scale=rendered.scale,
        scene=manifests.describe_scene(scene, bank),
    )
    write_atomically(root / record.audio, audio)
    write_atomically(root / record.labels, labels)
    manifests.write_record(_record_path(root, planned), record)
    return record


def array_of(config: SimulatedRoomsConfig) -> ArrayGeometry:
    """Return the array that a config's recordings are made with."""
    return array_for_channels(config.channels, "rigid" if config.array_response == "rigid_sphere" else "open")


@functools.lru_cache(maxsize=2)
def _bank_for(config_json: str, root: Path) -> SourceBank:
    """Return the source bank of a data set; its files are listed once a process.

    `root` names what the files held when rendering began.
    """
    return open_source_bank(SimulatedRoomsConfig.model_validate_json(config_json).source_bank)


def _render(config: SimulatedRoomsConfig, scene: Scene, bank: SourceBank) -> Rendered:
    from sai_bench_builtin.datasets.simulated_rooms.rendering import render_scene

    dry_sounds = functools.partial(bank.sound, scene.split)
    return render_scene(scene, array_of(config), config.events, config.sample_rate_hz, dry_sounds)


def _record_path(root: Path, planned: PlannedRecording) -> Path:
    return root / "scenes" / planned.split / f"{planned.name}.json"


def _wav_bytes(waveform: np.ndarray, sample_rate_hz: int) -> bytes:
    """Return a 16-bit wav file of a waveform [M, S] within +-1."""
    import soundfile

    buffer = io.BytesIO()
    samples = np.rint(32767 * waveform.T).astype(np.int16)
    soundfile.write(buffer, samples, sample_rate_hz, subtype="PCM_16", format="WAV")
    return buffer.getvalue()
