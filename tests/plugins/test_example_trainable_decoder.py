"""The example of a decoder that learns does what the documentation says of it."""

from pathlib import Path

import numpy as np
import pytest
import torch

import sai_bench
from sai_bench.progress import Reporter
from sai_bench.running import open_context, trained_system
from sai_bench.sphere import CLASSES, mic_array
from sai_bench.training.mask_sets import EMPTY
from sai_bench.training.targets import MaskTargets
from sai_bench.training.training_log import read_log

REPOSITORY = Path(__file__).parents[2]
PLUGIN = REPOSITORY / "plugins" / "example_trainable_decoder.py"
SMALL = [
    "system.backbone={use: steered_masks, stage_channels: [8, 8, 8], stage_depths: [1, 1, 1]}",
    "system.decoder={use: plain_maps}",
    "system.prior={use: uniform}",
    "training.prior=null",
    "data.duration_s=4",
    "data.splits={train: {recordings: 2, rooms: 1}, test: {recordings: 1, rooms: 1}}",
    "training.detector={steps: 30, batch_segments: 2, segment_s: 1, frames_per_segment: 2, "
    "losses: null, validation_split: null, checkpoint_every_steps: 10, optimiser: {learning_rate: 0.01}}",
]


def loaded(*overrides):
    return sai_bench.load_spec(
        REPOSITORY / "specs" / "steered.yaml", overrides=overrides, plugin_files=[PLUGIN]
    )


@pytest.fixture
def decoder():
    component = loaded(*SMALL).require_system().decoder
    torch.manual_seed(0)
    return component.build(sai_bench.SphereSpec("embedding", channels=2, height=6, width=12))


def targets():
    """Return one segment of two frames: a region of class 3 in the first, nothing in the second."""
    classes = torch.tensor([[[3], [EMPTY]]])
    masks = torch.zeros(1, 2, 1, 6, 12)
    masks[0, 0, 0, 2:4, 5:8] = 1
    return MaskTargets(classes, classes, {(6, 12): masks})


def test_the_loss_wants_the_class_where_it_is_and_nothing_elsewhere(decoder):
    losses = loaded(*SMALL).training[0].losses
    sphere = torch.randn(1, 2, 2, 6, 12)
    logits = torch.full((1, 2, CLASSES, 6, 12), -20.0)
    decoder.logits = lambda sphere: logits
    missed, _ = decoder.loss(sphere, targets(), losses)
    logits[0, 0, 3, 2:4, 5:8] = 20
    found, parts = decoder.loss(sphere, targets(), losses)
    logits[0, 1, 4, 0, 0] = 20
    invented, _ = decoder.loss(sphere, targets(), losses)

    assert missed == pytest.approx(20, rel=1e-6)  # six cells of -log sigmoid(-20), over six cells
    assert found == pytest.approx(0, abs=1e-6)
    assert invented == pytest.approx(20 / 6, rel=1e-6)
    assert parts["maps"] == found


def test_training_lowers_the_loss_and_what_it_left_is_used(tmp_path):
    torch.set_num_threads(1)
    spec = loaded(*SMALL, f"data.folder={tmp_path / 'data'}")

    ready, (stage,) = trained_system(spec, open_context(tmp_path / "cache", Reporter(), 1))

    curve = [line["loss_maps"] for line in read_log(stage.folder)]
    assert curve[-1] < 0.8 * curve[0]
    noise = np.random.default_rng(0).normal(0, 0.1, (4, 24_000)).astype(np.float32)
    everything = ["inference.score_floor=0", "export.score_threshold=0"]
    for detections in (
        sai_bench.System(one)(noise, 24_000, mic_array()) for one in (ready, loaded(*SMALL, *everything))
    ):
        assert all(len(d.points) for d in detections)
