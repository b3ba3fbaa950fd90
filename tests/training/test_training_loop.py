"""The loop on a toy detector: what it learns, that it goes on exactly, what it keeps, when it stops."""

from __future__ import annotations

import json
import time

import accelerate
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sai_bench.config import LossConfig
from sai_bench.errors import CacheError, SpecError, TrainingError
from sai_bench.progress import Reporter
from sai_bench.spec.training_settings import DetectorStageSettings, TrainingStage
from sai_bench.sphere import mic_array
from sai_bench.training.loop import BEST, CHECKPOINT, LAST, StageBatches, train_stage
from sai_bench.training.targets import MaskTargets
from sai_bench.training.training_log import read_log

GRID = (2, 4)
FRAMES = 5


class ToyFrontEnd:
    def __call__(self, waveform):
        return waveform.unflatten(2, (FRAMES, -1)).mean(3)[:, :, :, None]  # [B, M, T, 1]


class ToyBackbone(nn.Module):
    chooses_frames = False

    def __init__(self):
        super().__init__()
        self.mixing = nn.Linear(4, 8)
        self.dropout = nn.Dropout(0.3)

    def forward(self, features, array):
        maps = self.dropout(self.mixing(features[..., 0].transpose(1, 2)))
        return maps[:, :, None].unflatten(3, GRID)


class ToyDecoder(nn.Module):
    frames_are_independent = True

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.unused = nn.Linear(2, 2)
        self.heard = []

    def loss(self, sphere, targets, losses):
        self.heard.append(sphere.shape[1])
        loss = (self.scale * sphere[:, :, 0] - targets.masks[GRID][:, :, 0]).square().mean()
        return 2 * loss, {"distance": loss}


def batch(step, poison=None, sign=1):
    """What a real loader gives: it follows from the step's number alone."""
    rng = np.random.default_rng(step)
    waveform = torch.from_numpy(rng.normal(size=(3, 4, 100)).astype(np.float32))
    masks = waveform.unflatten(2, (FRAMES, -1)).mean(3).transpose(1, 2)
    masks = sign * torch.cat([masks, -masks], 2).unflatten(2, GRID)[:, :, None]
    if step == poison:
        masks[1, 2] = float("nan")
    slots = torch.zeros(3, FRAMES, 1, dtype=torch.long)
    targets = MaskTargets(slots, slots, {GRID: masks})
    return FakeBatch(waveform, targets, mic_array(), [f"recording{step}_{i}" for i in range(3)])


class FakeBatch:
    def __init__(self, waveform, targets, array, names):
        self.waveform, self.targets, self.array, self.names = waveform, targets, array, names


class Killed(BaseException):
    """Stands for whatever ends a process."""


def train(
    folder, *, steps=30, kill_at=None, poison=None, validation=False, validation_s=0, parts=None, **keys
):
    torch.manual_seed(5)
    parts = parts or {"front_end": ToyFrontEnd(), "backbone": ToyBackbone(), "decoder": ToyDecoder()}
    keys = {"segment_s": 0.5, "optimiser": {"learning_rate": 0.05}, "checkpoint_every_steps": 7} | keys
    stage = TrainingStage("toy", DetectorStageSettings(steps=steps, **keys), losses=LossConfig())

    def batches(first):
        for step in range(first, steps):
            if step == kill_at:
                raise Killed
            yield batch(step, poison)

    def measured():
        for step in range(900, 903):
            time.sleep(validation_s)
            yield batch(step, sign=validation)

    folder.mkdir(exist_ok=True)
    progress = train_stage(
        stage,
        parts,
        StageBatches(batches, measured if validation else None),
        folder,
        seed=3,
        save=lambda path, state: save_file(
            {f"{kind}.{n}": t.contiguous() for kind, named in state.items() for n, t in named.items()}, path
        ),
        accelerator=accelerate.Accelerator(cpu=True),
        reporter=Reporter(),
    )
    return progress, parts


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def same_tensors(a, b):
    one, other = load_file(a), load_file(b)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def losses(folder):
    return [(line["kind"], line["step"], line["loss"]) for line in read_log(folder)]


def test_the_loss_falls_and_everything_is_logged(tmp_path):
    train(tmp_path / "a", steps=60, checkpoint_every_steps=20)

    lines = [line for line in read_log(tmp_path / "a") if line["kind"] == "train"]

    assert [line["step"] for line in lines] == [10, 20, 30, 40, 50, 60]
    assert lines[-1]["loss"] < 0.5 * lines[0]["loss"]
    assert lines[0]["loss"] == pytest.approx(2 * lines[0]["loss_distance"])
    assert lines[0].keys() >= {"data_s", "step_s", "gradient_norm", "learning_rate"}
    assert list((tmp_path / "a" / "tensorboard").glob("events*"))


@pytest.mark.parametrize("kill_at", [3, 7, 12, 29])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_killed_run_goes_on_and_ends_with_the_same_weights(tmp_path, kill_at, ema):
    keys = {"ema_decay": ema, "frames_per_segment": 2, "validate_every_steps": 10, "validation": True}
    train(tmp_path / "through", **keys)

    with pytest.raises(Killed):
        train(tmp_path / "killed", kill_at=kill_at, **keys)
    progress, _ = train(tmp_path / "killed", **keys)

    assert progress.steps == 30
    for file in (LAST, BEST, CHECKPOINT):
        assert same_tensors(tmp_path / "through" / file, tmp_path / "killed" / file), file
    assert losses(tmp_path / "killed") == losses(tmp_path / "through")
    steps = [step for kind, step, _ in losses(tmp_path / "killed") if kind == "validation"]
    assert steps == [10, 20, 30]


def test_a_run_that_was_finished_only_writes_its_weights_again(tmp_path):
    train(tmp_path / "a")
    before = load_file(tmp_path / "a" / LAST)
    (tmp_path / "a" / LAST).unlink()

    train(tmp_path / "a", kill_at=0)

    assert all(torch.equal(before[name], tensor) for name, tensor in load_file(tmp_path / "a" / LAST).items())


@pytest.mark.parametrize("harm", ["removed", "truncated", "of another step"])
@pytest.mark.parametrize("kill_at", [17, None])
def test_best_weights_that_were_lost_are_those_of_an_undisturbed_run_again(tmp_path, kill_at, harm):
    # What is measured is the opposite of what is learned, so that the first measurement is the best.
    keys = {"validation": -1, "validate_every_steps": 10}
    through, _ = train(tmp_path / "through", **keys)
    assert through.best_step == 10
    if kill_at:
        with pytest.raises(Killed):
            train(tmp_path / "a", kill_at=kill_at, **keys)
    else:
        train(tmp_path / "a", **keys)

    best = tmp_path / "a" / BEST
    if harm == "truncated":
        best.write_bytes(best.read_bytes()[:-7])
    elif harm == "removed":
        best.unlink()
    else:
        best.write_bytes((tmp_path / "through" / LAST).read_bytes())
    progress, _ = train(tmp_path / "a", **keys)

    assert (progress.best_step, progress.best_loss) == (through.best_step, through.best_loss)
    assert best.read_bytes() == (tmp_path / "through" / BEST).read_bytes()


def test_another_seed_or_step_changes_dropout(tmp_path):
    _, first = train(tmp_path / "a", steps=1)
    _, again = train(tmp_path / "b", steps=1)
    assert torch.equal(first["backbone"].mixing.weight, again["backbone"].mixing.weight)
    _, rate = train(tmp_path / "c", steps=1, optimiser={"learning_rate": 0.01})
    assert not torch.equal(first["backbone"].mixing.weight, rate["backbone"].mixing.weight)


def test_best_weights_are_those_of_the_least_validation_loss(tmp_path):
    progress, _ = train(tmp_path / "a", steps=40, validation=True, validate_every_steps=10)

    measured = {
        line["step"]: line["loss"] for line in read_log(tmp_path / "a") if line["kind"] == "validation"
    }

    assert [*measured] == [10, 20, 30, 40]
    assert progress.best_step == min(measured, key=measured.get)
    assert progress.best_loss == min(measured.values())


def test_the_result_is_the_running_mean_where_one_is_asked_for(tmp_path):
    _, parts = train(tmp_path / "a", ema_decay=0.9)
    result = load_file(tmp_path / "a" / LAST)
    mean = {k: v for k, v in load_file(tmp_path / "a" / CHECKPOINT).items() if k.startswith("mean.")}

    assert torch.equal(result["backbone.mixing.weight"], mean["mean.backbone.mixing.weight"])
    assert not torch.equal(result["backbone.mixing.weight"], parts["backbone"].mixing.weight)


def test_only_the_chosen_number_of_frames_is_decoded_but_validation_hears_all(tmp_path):
    _, parts = train(tmp_path / "a", steps=4, frames_per_segment=2, validation=True, validate_every_steps=4)

    assert parts["decoder"].heard == [2, 2, 2, 2, 5, 5, 5]


def test_a_backbone_that_chooses_frames_is_told_which(tmp_path):
    class Choosing(ToyBackbone):
        chooses_frames = True

        def __init__(self):
            super().__init__()
            self.told = []

        def forward(self, features, array, frames):
            self.told.append(frames.tolist())
            return super().forward(features, array)[:, frames]

    parts = {"front_end": ToyFrontEnd(), "backbone": Choosing(), "decoder": ToyDecoder()}
    train(tmp_path / "a", steps=3, frames_per_segment=2, parts=parts)

    told = parts["backbone"].told
    assert all(len(set(frames)) == 2 and frames == sorted(frames) for frames in told)
    assert len({tuple(frames) for frames in told}) > 1


def test_a_loss_that_is_not_finite_stops_with_the_recordings_and_keeps_the_checkpoint(tmp_path):
    with pytest.raises(
        TrainingError, match=r"training\.toy: the loss of step 17 is not finite.*recording16_1"
    ):
        train(tmp_path / "a", poison=16)

    assert (tmp_path / "a" / CHECKPOINT).exists()
    assert not (tmp_path / "a" / LAST).exists()
    train(tmp_path / "a")
    train(tmp_path / "b")
    assert same_tensors(tmp_path / "a" / LAST, tmp_path / "b" / LAST)


def test_gradients_are_clipped_to_the_norm(tmp_path):
    _, free = train(tmp_path / "a", steps=1, optimiser={"learning_rate": 0.1, "weight_decay": 0})
    norm = read_log(tmp_path / "a")[0]["gradient_norm"]
    small = {"learning_rate": 0.1, "weight_decay": 0, "clip_norm": norm / 1e6}
    _, clipped = train(tmp_path / "b", steps=1, optimiser=small)
    torch.manual_seed(5)
    start = ToyBackbone().mixing.weight

    # AdamW forgets the size of a gradient, but for its epsilon of 1e-8: a tiny gradient moves less.
    moved = [(parts["backbone"].mixing.weight - start).abs().mean() for parts in (free, clipped)]
    assert moved[1] < moved[0]
    assert read_log(tmp_path / "b")[0]["gradient_norm"] == pytest.approx(norm)


def test_frozen_parts_stay(tmp_path):
    torch.manual_seed(5)
    start = ToyBackbone().mixing.weight.detach().clone()

    _, parts = train(tmp_path / "a", frozen=("backbone",))

    assert torch.equal(parts["backbone"].mixing.weight, start)
    assert parts["decoder"].scale != 1


def test_a_decoder_that_needs_neighbouring_frames_refuses_chosen_ones(tmp_path):
    decoder = ToyDecoder()
    decoder.frames_are_independent = False
    parts = {"front_end": ToyFrontEnd(), "backbone": ToyBackbone(), "decoder": decoder}

    with pytest.raises(SpecError, match=r"training\.toy\.frames_per_segment"):
        train(tmp_path / "a", frames_per_segment=2, parts=parts)


def test_a_damaged_checkpoint_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(Killed):
        train(tmp_path / "a", kill_at=10)
    checkpoint = tmp_path / "a" / CHECKPOINT
    checkpoint.write_bytes(checkpoint.read_bytes()[:-5])

    with pytest.raises(CacheError, match="Remove its folder to train anew"):
        train(tmp_path / "a")


def test_a_half_written_last_line_of_the_log_is_dropped(tmp_path):
    with pytest.raises(Killed):
        train(tmp_path / "a", kill_at=25)
    with open(tmp_path / "a" / "log.jsonl", "a") as stream:
        stream.write('{"kind":"train","st')

    train(tmp_path / "a")

    lines = [json.loads(line) for line in (tmp_path / "a" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [7, 10, 14, 20, 21, 28, 30]


@pytest.mark.parametrize(
    "garbage",
    [b"garbage", b"\xff\xfe\0\0", b"{}", b"[1]", b'{"kind":"train","step":"3"}', b"[" * 100_000, b""],
)
def test_lines_of_the_log_that_cannot_be_read_are_dropped(tmp_path, garbage):
    with pytest.raises(Killed):
        train(tmp_path / "a", kill_at=25)
    log = tmp_path / "a" / "log.jsonl"
    first, *others = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([first, garbage + b"\n", *others]))

    train(tmp_path / "a")

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["step"] for line in lines] == [7, 10, 14, 20, 21, 28, 30]


def test_the_time_of_a_stage_includes_validation_but_is_not_time_of_data(tmp_path):
    progress, _ = train(tmp_path / "a", steps=2, validation=True, validate_every_steps=1, validation_s=0.2)

    asleep_s = 2 * 3 * 0.2
    assert progress.seconds >= asleep_s
    assert progress.data_seconds <= progress.seconds - asleep_s


def test_bf16_learns_nearly_as_fp32_does(tmp_path):
    losses = {}
    for precision in ("fp32", "bf16"):
        train(tmp_path / precision, steps=40, precision=precision)
        losses[precision] = read_log(tmp_path / precision)[-1]["loss"]

    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.2)
