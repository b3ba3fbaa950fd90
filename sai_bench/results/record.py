"""The run record `result.json`: what was run, on what, and what came out.

Time, cache state and machine stand in fields of their own (`started`, `finished`, `environment`, and the
timing fields of stages and fits), so that `comparable` can leave them out: two runs of one spec on the same
data agree in everything else.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from sai_bench.errors import RecordError
from sai_bench.files import write_atomically

SCHEMA_VERSION: Final = 1


class ComponentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Which component took a place in the system.

    Attributes:
        name: as after `use:` in the spec.
        origin: the distribution and version, or the file, that it comes from.
        code_sha256: hash of its source code.
    """

    name: str
    origin: str
    code_sha256: str


class DataRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What was evaluated.

    Attributes:
        root: name of the data set's folder (not its path).
        manifest_sha256: hash of everything in the data set.
        split: the evaluated split.
        recordings: how many recordings it has.
        audio_s: how long they are together.
    """

    root: str
    manifest_sha256: str
    split: str
    recordings: int
    audio_s: float


class StageTiming(msgspec.Struct, frozen=True, kw_only=True):
    """How much a stage had to do and how long that took.

    Attributes:
        recordings: files that the stage is made of.
        computed: files made by this run.
        reused: files found from an earlier run.
        seconds: computing time of all files, of reused ones from when they were made.
        real_time_factor: seconds of computing per second of audio; None without audio.
    """

    recordings: int
    computed: int
    reused: int
    seconds: float
    real_time_factor: float | None

    @classmethod
    def measured(cls, *, recordings: int, reused: int, seconds: float, audio_s: float) -> StageTiming:
        """Return the timing of a stage over `audio_s` seconds of audio."""
        factor = seconds / audio_s if audio_s > 0 else None
        return cls(
            recordings=recordings,
            computed=recordings - reused,
            reused=reused,
            seconds=seconds,
            real_time_factor=factor,
        )


class FitRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How a component was fitted.

    Attributes:
        weights_sha256: hash of the weights.
        recordings: how many recordings it was fitted to, None if its weights come from a file or the data
            were rendered while training.
        seconds: how long that took, when it was done.
        reused: whether the weights come from an earlier run.
        steps: of the optimiser; None where that is the component's own business.
    """

    weights_sha256: str
    recordings: int | None
    seconds: float
    reused: bool
    steps: int | None = None


class VariantResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one system scored and cost.

    Attributes:
        metrics: metric name -> its numbers (None where not defined).
        stages: stage name -> timing, in the order of the signal.
        files: figures of the prediction files: `detections`, `prediction_bytes_total`, `_max` and `_mean`,
            `dense_bytes_total` (without compression) and `dense_bytes_max`.
        changes: what this variant overrides, dotted key -> value; empty for the spec's own system.
        components: what it uses instead of the spec's own components.
        fits: `prior`, or `detector.` and the name of a stage -> how it was fitted.
        data: what it was evaluated on, None where that is the same as for the spec's own system.
    """

    metrics: dict[str, dict[str, Any]]
    stages: dict[str, StageTiming]
    files: dict[str, int | float | None]
    changes: dict[str, Any] = {}
    components: dict[str, ComponentRecord] = {}
    fits: dict[str, FitRecord] = {}
    data: DataRecord | None = None


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one run.

    Attributes:
        schema_version: of this structure.
        name: of the spec.
        spec: the resolved spec.
        spec_sha256: its hash.
        seed: of everything random.
        components: place in the spec -> component, such as `front_end` or `metrics.dcase2026_april`.
        plugin_files: name -> SHA-256 of every single-file plugin.
        data: what was evaluated.
        variants: name -> result; the spec's own system comes first, under the spec's name.
        headlines: metric name -> the numbers that a summary shows.
        environment: of `sai_bench.results.environment.describe_environment`.
        started: UTC.
        finished: UTC.
        notes: remarks for the reader; nothing that depends on time or on what was reused.
    """

    schema_version: int = SCHEMA_VERSION
    name: str
    spec: dict[str, Any]
    spec_sha256: str
    seed: int
    components: dict[str, ComponentRecord]
    plugin_files: dict[str, str]
    data: DataRecord
    variants: dict[str, VariantResult]
    headlines: dict[str, tuple[str, ...]]
    environment: dict[str, Any]
    started: datetime
    finished: datetime
    notes: tuple[str, ...] = ()


class _Header(msgspec.Struct):
    schema_version: int


def write_record(path: Path, record: RunRecord) -> None:
    """Write a record as JSON, atomically, one value per line so that runs can be diffed.

    Keys keep the order they were put in, so the spec's own system stays first. NumPy numbers and arrays
    become plain ones, NaN and infinity become null.

    Raises:
        OutputError: the file cannot be written.
    """
    compact = msgspec.json.encode(record, enc_hook=_plain)
    write_atomically(path, msgspec.json.format(compact, indent=1) + b"\n")


def read_record(path: Path) -> RunRecord:
    """Read a record.

    Raises:
        RecordError: missing, truncated, or written with another schema version.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(
            f"{path}: cannot be read ({error.strerror}). Expected the result.json of a finished run; "
            "make it with 'sai-bench run'."
        ) from error
    try:
        version = msgspec.json.decode(content, type=_Header).schema_version
        if version == SCHEMA_VERSION:
            return msgspec.json.decode(content, type=RunRecord)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(
            f"{path}: not a run record ({error}). Expected the result.json of a finished run; "
            "make it again with 'sai-bench run'."
        ) from error
    raise RecordError(
        f"{path}: has schema version {version}, this sai-bench reads version {SCHEMA_VERSION}. "
        "Run the spec again, or read it with the version of sai-bench that wrote it."
    )


def comparable(record: RunRecord) -> dict:
    """Return the parts of a record that two runs of one spec on the same data share, as plain data.

    Left out: timestamps, environment, all seconds and real-time factors, and how much was computed or reused.
    """
    plain = msgspec.to_builtins(record, enc_hook=_plain)
    for name in ("started", "finished", "environment"):
        del plain[name]
    for variant in plain["variants"].values():
        for stage in variant["stages"].values():
            for name in ("computed", "reused", "seconds", "real_time_factor"):
                del stage[name]
        for fit in variant["fits"].values():
            for name in ("seconds", "reused"):
                del fit[name]
    return plain


def _plain(value: object) -> object:
    """Turn a NumPy number or array into a plain one, without importing NumPy."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise NotImplementedError(f"a run record cannot hold {type(value).__name__}: {value!r}")
