"""A system small enough to be trained through the command line again and again."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass

import pytest
from safetensors.numpy import load_file

from sai_bench.cli.main import main

SPEC = """\
name: small
seed: 3
data:
  use: simulated_rooms
  folder: {folder}
  seed: 5
  duration_s: 2
  splits:
    train: {{recordings: 3, rooms: 2}}
    test: {{recordings: 1, rooms: 1}}
  rooms: {{image_source_order: 1}}
  events: {{overlap_shares: {{1: 0.6, 2: 0.4}}, moving_probability: 0}}
  extent: {{spacing_deg: 8}}
system:
  front_end: {{use: stft_log_magnitude_phase, sample_rate_hz: 24000, n_fft: 512, hop_samples: 240}}
  backbone:
    use: convnext_spherical
    stage_depths: [1, 1, 1, 1]
    stage_channels: [4, 8, 8, 8]
    grid_height: 9
    grid_width: 18
  decoder:
    use: mask_queries
    queries: 4
    layers: 3
    query_channels: 16
    feed_forward_channels: 32
    refinement_channels: 8
  prior: {{use: log_mel_linear, iterations: 2}}
  fusion: {{use: power}}
  compressor: {{use: grid_support, strong_cell_px: 12, weak_cell_px: 12, support_copies: 0}}
inference: {{segment_s: 1, context_s: 0, pad_segments: true, masks_per_frame: 1}}
export: {{detections_per_frame: 1}}
evaluation:
  metrics: [{{use: dcase2026_april}}]
  pictures: 0
training:
  first:
    steps: 20
    batch_segments: 2
    segment_s: 0.5
    frames_per_segment: 2
    losses: {{classification: 2, bce: 5, dice: 5, scoring: 1, refinement: 5, calibration: 1}}
    augmentation: {{views: all, gain_db: 6}}
    optimiser: {{learning_rate: 0.003, clip_norm: 1}}
    ema_decay: 0.9
    validation_split: test
    validate_every_steps: 10
    checkpoint_every_steps: 5
  second:
    steps: 2
    batch_segments: 2
    segment_s: 0.5
    precision: bf16
    targets: {{class_agnostic: true}}
  recognition:
    trains: prior
"""


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Small:
    """The small system after a run.

    Attributes:
        spec: its file.
        cache: what the run left, both stages finished.
        out: the run's folder.
        said: what the run said.
    """

    spec: object
    cache: object
    out: object
    said: Finished

    def folder(self, stage, cache=None):
        """Return the only folder of a stage in a cache."""
        (folder,) = ((cache or self.cache) / "train").glob(f"small-{stage}-*")
        return folder


@pytest.fixture(scope="session")
def call():
    """Run the command line in this process: call(capture, "train", spec) -> Finished."""

    def run(capture, *arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["sai-bench", *map(str, arguments)])
            code = 0
            try:
                main()
            except SystemExit as leaving:
                code = leaving.code or 0
        said = capture()
        assert "Traceback" not in said.err
        return Finished(code, said.out, said.err)

    return run


@pytest.fixture
def sai_bench(call, capfd, tmp_path, monkeypatch):
    """Run the command line in this process, in an empty folder: sai_bench("train", spec) -> Finished."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: call(capfd.readouterr, *arguments)


@pytest.fixture(scope="session")
def small(tmp_path_factory, call):
    """Run the small system once."""
    import torch

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("small")
    spec, cache, out = folder / "small.yaml", folder / "cache", folder / "out"
    spec.write_text(SPEC.format(folder=folder / "data"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        ended = call(lambda: Finished(0, "", ""), "run", spec, "--cache", cache, "--out", out, "--workers", 1)
    assert ended.code == 0
    return Small(spec, cache, out, ended)


@pytest.fixture(scope="session")
def one_thread():
    """The environment of a process that computes as this one does."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PRA_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def hashes():
    """Return the SHA-256 of each tensor in a file, by name."""
    return lambda path: {
        name: hashlib.sha256(tensor.tobytes()).hexdigest() for name, tensor in load_file(path).items()
    }
