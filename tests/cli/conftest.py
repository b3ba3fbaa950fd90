import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

from sai_bench.cli.main import main

TINY_SPEC = """\
name: tiny
seed: 3
data:
  use: simulated_rooms
  folder: {data}
  seed: 5
  duration_s: 3
  splits:
    train: {{recordings: 4, rooms: 2}}
    test: {{recordings: 3, rooms: 2}}
  rooms: {{image_source_order: 1}}
  events: {{overlap_shares: {{1: 0.6, 2: 0.4}}, moving_probability: 0.2}}
  extent: {{spacing_deg: 8}}
system:
  front_end: {{use: stft}}
  backbone: {{use: steered_power, grid_height: 18, grid_width: 36}}
  decoder: {{use: peak_regions}}
  prior: {{use: log_mel_linear}}
  fusion: {{use: power, alpha: 0.5}}
  compressor: {{use: grid_support}}
evaluation:
  metrics: [{{use: dcase2026_april}}]
  pictures: 1
variants:
  uniform_prior:
    system.prior: {{use: uniform}}
"""


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def sai_bench(monkeypatch, capfd, tmp_path):
    """Run the command line in this process, in an empty folder: sai_bench("list", "fusion") -> Finished."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments) -> Finished:
        monkeypatch.setattr(sys, "argv", ["sai-bench", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as leaving:
            code = leaving.code or 0
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return Finished(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def fresh():
    """Run Python code or the command line in a new process."""

    def call(*arguments, **options) -> subprocess.CompletedProcess:
        environment = {**os.environ, **options.pop("env", {})}
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
            **options,
        )

    return call


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory):
    """A folder that all tests share for the tiny data set, rendered once."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def tiny_spec_text(tiny_data):
    """A small complete spec."""
    return TINY_SPEC.format(data=tiny_data)
