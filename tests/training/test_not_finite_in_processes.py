"""A loss or gradient that is not finite in one of two processes: both stop, and say where it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import accelerate
import pytest
import torch
from torch import nn

from sai_bench.config import LossConfig
from sai_bench.errors import TrainingError
from sai_bench.progress import Reporter
from sai_bench.spec.training_settings import DetectorStageSettings, TrainingStage
from sai_bench.sphere import mic_array
from sai_bench.training.loop import CHECKPOINT, StageBatches, train_stage
from sai_bench.training.targets import MaskTargets

PROCESSES, POISONED_STEP, POISONED_PROCESS = 2, 2, 1
BAD_LOSS, BAD_GRADIENT = float("inf"), 0.0


class OneWeight(nn.Module):
    """A decoder whose loss is the root of (weight * target)^2: infinite, or without a gradient at 0."""

    frames_are_independent = True

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def loss(self, sphere, targets, losses):
        loss = (self.weight * targets.masks[1, 1]).square().mean().sqrt()
        return loss, {"root": loss}


class Nothing(nn.Module):
    chooses_frames = False

    def forward(self, features, array):
        return torch.zeros(1, 5, 1, 1, 1)


def batch(step, rank, poison):
    bad = (step, rank) == (POISONED_STEP, POISONED_PROCESS)
    slots = torch.zeros(1, 5, 1, dtype=torch.long)
    masks = torch.full((1, 5, 1, 1, 1), poison if bad else 1.0)
    targets = MaskTargets(slots, slots, {(1, 1): masks})
    return SimpleNamespace(
        waveform=torch.zeros(1, 4, 10), targets=targets, array=mic_array(), names=[f"heard{step}_{rank}"]
    )


def train(folder, poison):
    """Train in one of the processes; leave in its file what stopped it."""
    accelerator = accelerate.Accelerator(cpu=True)
    rank = accelerator.process_index
    keys = {"segment_s": 0.5, "optimiser": {"learning_rate": 1e-12}, "checkpoint_every_steps": 1}
    settings = DetectorStageSettings(steps=4, **keys)
    folder.mkdir(exist_ok=True)
    try:
        train_stage(
            TrainingStage("toy", settings, losses=LossConfig()),
            {"front_end": lambda waveform: waveform, "backbone": Nothing(), "decoder": OneWeight()},
            StageBatches(lambda first: (batch(step, rank, poison) for step in range(first, 4))),
            folder,
            seed=3,
            save=lambda path, state: path.touch(),
            accelerator=accelerator,
            reporter=Reporter(),
        )
    except TrainingError as error:
        (folder / f"stopped{rank}.txt").write_text(str(error))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Train with each poison; return the folders by poison."""
    folder = tmp_path_factory.mktemp("stopped")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(PROCESSES)]
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", __file__, str(folder)]
    done = subprocess.run(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return {poison: folder / str(poison) for poison in (BAD_LOSS, BAD_GRADIENT)}


@pytest.mark.parametrize(
    ("poison", "says"),
    [
        (
            BAD_LOSS,
            "the loss of step 3 is not finite (root inf). Recordings in the step of process 1: heard2_1. ",
        ),
        # Nobody can say whose gradient it was once it is averaged.
        (
            BAD_GRADIENT,
            "the gradient of step 3 is not finite (root 1; root 0). Recordings in the step: heard2_0, ",
        ),
    ],
)
def test_all_processes_stop_and_name_the_recordings_of_the_one_where_it_was(stopped, poison, says):
    first, second = ((stopped[poison] / f"stopped{rank}.txt").read_text() for rank in range(PROCESSES))

    assert first == second
    assert says in first
    assert (stopped[poison] / CHECKPOINT).exists()


if __name__ == "__main__":
    for each in (BAD_LOSS, BAD_GRADIENT):
        train(Path(sys.argv[1]) / str(each), each)
