"""A run record survives the file, fails clearly when damaged, and can be compared without times."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from sai_bench.errors import OutputError, RecordError
from sai_bench.results.record import (
    SCHEMA_VERSION,
    ComponentRecord,
    DataRecord,
    FitRecord,
    RunRecord,
    StageTiming,
    VariantResult,
    comparable,
    read_record,
    write_record,
)


def variant(seconds=2.0, reused=0, **more):
    timing = StageTiming.measured(recordings=4, reused=reused, seconds=seconds, audio_s=40.0)
    return VariantResult(
        metrics={"dcase2026_april": {"map": 0.1017, "distance": None, "per_class": [0.5, None]}},
        stages={"prior": timing, "detect": timing},
        files={"prediction_bytes_total": 4_000_000, "prediction_bytes_mean": 1_000_000.0},
        fits={"prior": FitRecord(weights_sha256="ab", recordings=8, seconds=seconds, reused=bool(reused))},
        **more,
    )


def record(seconds=2.0, reused=0, day=1, **more):
    fields = {
        "name": "quickstart",
        "spec": {"system": {"fusion": {"use": "power", "alpha": 0.3}}},
        "spec_sha256": "cd",
        "seed": 7,
        "components": {"fusion": ComponentRecord(name="power", origin="sai-bench 0.1.0", code_sha256="ef")},
        "plugin_files": {},
        "data": DataRecord(root="rooms", manifest_sha256="01", split="test", recordings=4, audio_s=40.0),
        "variants": {
            "quickstart": variant(seconds, reused),
            "a uniform prior": variant(seconds, reused, changes={"system.prior": {"use": "uniform"}}),
        },
        "headlines": {"dcase2026_april": ("map", "distance")},
        "environment": {"cpu": f"processor {day}"},
        "started": datetime(2026, 5, day, 12, tzinfo=UTC),
        "finished": datetime(2026, 5, day, 13, tzinfo=UTC),
        "notes": ("a note",),
    }
    return RunRecord(**{**fields, **more})


def test_record_read_is_the_record_written(tmp_path):
    write_record(tmp_path / "result.json", record())
    assert read_record(tmp_path / "result.json") == record()


def test_own_system_stays_first_and_bytes_are_the_same_every_time(tmp_path):
    for name in ("a", "b"):
        write_record(tmp_path / name, record())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert list(json.loads((tmp_path / "a").read_text())["variants"]) == ["quickstart", "a uniform prior"]
    assert list(read_record(tmp_path / "a").variants) == ["quickstart", "a uniform prior"]


def test_file_has_one_value_per_line_and_utc_times(tmp_path):
    write_record(tmp_path / "result.json", record())
    lines = (tmp_path / "result.json").read_text().splitlines()
    assert ' "seed": 7,' in lines
    assert ' "started": "2026-05-01T12:00:00Z",' in lines


def test_numpy_numbers_become_plain_and_nan_becomes_null(tmp_path):
    metrics = {"m": {"a": np.float64(0.5), "b": np.int64(3), "c": np.array([1.0, np.nan]), "d": float("nan")}}
    odd = record(variants={"x": VariantResult(metrics=metrics, stages={}, files={"n": float("nan")})})
    write_record(tmp_path / "result.json", odd)
    read = read_record(tmp_path / "result.json").variants["x"]
    assert read.metrics == {"m": {"a": 0.5, "b": 3, "c": [1.0, None], "d": None}}
    assert read.files == {"n": None}


def test_real_time_factor_is_seconds_per_second_of_audio():
    timing = StageTiming.measured(recordings=4, reused=1, seconds=10.0, audio_s=40.0)
    assert (timing.computed, timing.reused, timing.real_time_factor) == (3, 1, 0.25)
    assert StageTiming.measured(recordings=0, reused=0, seconds=0.0, audio_s=0.0).real_time_factor is None


def test_two_runs_differ_only_in_what_comparable_leaves_out():
    assert record(2.0, 0, 1) != record(3.0, 4, 2)
    assert comparable(record(2.0, 0, 1)) == comparable(record(3.0, 4, 2))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 8},
        {"spec": {"system": {"fusion": {"use": "power", "alpha": 0.4}}}},
        {"plugin_files": {"my_prior.py": "99"}},
        {"variants": {"quickstart": variant()}},
    ],
)
def test_comparable_sees_every_other_change(change):
    assert comparable(record()) != comparable(record(**change))


def test_missing_record_names_the_command_that_makes_one(tmp_path):
    with pytest.raises(RecordError, match=r"none\.json: cannot be read \(No such file.*sai-bench run"):
        read_record(tmp_path / "none.json")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.98])
def test_truncated_record_is_refused(tmp_path, share):
    path = tmp_path / "result.json"
    write_record(path, record())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RecordError, match=r"result\.json: not a run record"):
        read_record(path)


@pytest.mark.parametrize("content", ["[]", "{}", '{"schema_version": 1, "name": 3}', "\xff"])
def test_other_content_is_refused(tmp_path, content):
    path = tmp_path / "result.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(RecordError, match="not a run record"):
        read_record(path)


def test_other_schema_version_is_named(tmp_path):
    path = tmp_path / "result.json"
    write_record(path, record())
    plain = msgspec.json.decode(path.read_bytes())
    plain["schema_version"] = SCHEMA_VERSION + 1
    path.write_bytes(msgspec.json.encode(plain))
    with pytest.raises(
        RecordError, match=f"schema version {SCHEMA_VERSION + 1}.*reads version {SCHEMA_VERSION}"
    ):
        read_record(path)


def test_unwritable_folder_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_record(tmp_path / "file" / "result.json", record())


def test_records_and_summaries_need_neither_torch_nor_matplotlib():
    code = (
        "import sys, sai_bench.results.record, sai_bench.results.summary, sai_bench.results.environment as e;"
        "e.describe_environment(); print({'torch', 'matplotlib', 'numba', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
