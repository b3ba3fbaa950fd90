"""A step of training, split into what it consists of, and the dense mask loss against point sampling.

Run with: pytest tests/benchmarks/test_training_benchmark.py -m "" --benchmark-enable
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import median

import pytest
import torch

from sai_bench.networks import build_parts
from sai_bench.progress import Reporter
from sai_bench.running import open_context, prepare_stage_data
from sai_bench.spec import load_spec
from sai_bench.training.mask_losses import LossWeights, deep_supervision_loss
from sai_bench.training.mask_sets import EMPTY, SetPrediction, SetTargets
from sai_bench.training.optimisation import RunningMean, make_optimiser
from sai_bench.training.segments import make_loader
from sai_bench.training.training_step import TrainingStep

SPECS = Path(__file__).parents[2] / "specs"
TINY = pytest.param(
    "tiny",
    ["data.splits={{train: {{recordings: 2, rooms: 1}}}}", "data.folder={folder}"],
    id="tiny",
)
FULL_SIZE = pytest.param(
    "report",
    # Any sounds will do: what is timed is the rendering of a scene for the step, and the step.
    ["training.synthetic.data.source_bank={{use: procedural}}"],
    id="full",
    marks=pytest.mark.slow,
)
SETS, QUERIES, GRID = 20, 16, (45, 90)
"""Label frames of 2 s, queries of a frame, the coarse grid."""


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


class TimedStep:
    """One step after the other of a spec's first stage, with the seconds of each part."""

    def __init__(self, spec, folder):
        context = open_context(folder / "cache", Reporter(), 1)
        self.stage = spec.training[0]
        parts = build_parts(spec.system, spec.seed)
        self.model = TrainingStep(parts, self.stage.losses, "fp32")
        settings = self.stage.settings
        self.optimiser = make_optimiser(self.model, settings.optimiser)
        self.mean = RunningMean(self.model, settings.ema_decay)
        dataset = _Unprepared(self.stage) if settings.sampling.online else None
        recordings = ()
        if dataset is None:
            recordings = prepare_stage_data(spec, self.stage, context).recordings(settings.split)
        self.batches = iter(
            make_loader(
                settings.model_copy(update={"loader_workers": 0}),
                recordings,
                dataset,
                microphones=spec.system.microphones,
                sample_rate_hz=spec.system.front_end.config.output().sample_rate_hz,
                grids=parts["decoder"].target_grids(self.stage.losses),
                cache=folder / "masks",
                seed=0,
            )
        )
        self.frames = torch.arange(round(settings.segment_s * 10))
        self.steps = count()
        self.seconds = {"data": [], "forward": [], "backward": [], "optimiser": []}
        self.backbone = []
        """Seconds of the backbone alone, forward and backward."""
        self.moments = {}
        self.model.backbone.register_forward_pre_hook(lambda *_: self._mark("backbone begins"))
        self.model.backbone.register_forward_hook(self._watch_gradient)
        self.losses = []

    def __call__(self):
        with self._timed("data"):
            batch = next(self.batches)
        with self._timed("forward"):
            total, _ = self.model(batch.waveform, batch.array, batch.targets, self.frames)
        with self._timed("backward"):
            total.backward()
        forward_s = self.moments["backbone ends"] - self.moments["backbone begins"]
        self.backbone.append(forward_s + time.perf_counter() - self.moments["gradient arrives"])
        with self._timed("optimiser"):
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.stage.settings.optimiser.clip_norm)
            self.optimiser.step()
            self.optimiser.zero_grad(set_to_none=True)
            self.mean.update(self.model, next(self.steps))
        self.losses.append(float(total.detach()))

    def _watch_gradient(self, backbone, inputs, sphere):
        self._mark("backbone ends")
        sphere.register_hook(lambda gradient: self._mark("gradient arrives"))

    def _mark(self, moment):
        self.moments[moment] = time.perf_counter()

    @contextmanager
    def _timed(self, part):
        begun = time.perf_counter()
        yield
        self.seconds[part].append(time.perf_counter() - begun)


class _Unprepared:
    """A data set that only renders online: nothing of it has to lie on disk."""

    renders_online = True

    def __init__(self, stage):
        self.rendered = stage.data.build().rendered


@pytest.mark.parametrize(("name", "overrides"), [TINY, FULL_SIZE])
def test_training_step_on_one_thread(benchmark, tmp_path, name, overrides):
    overrides = [override.format(folder=tmp_path) for override in overrides]
    step = TimedStep(load_spec(SPECS / f"{name}.yaml", overrides=overrides), tmp_path)

    benchmark.pedantic(step, rounds=5, warmup_rounds=1)

    rounds = 5 if benchmark.enabled else 1
    assert len(step.losses) == (1 + rounds if benchmark.enabled else 1)
    assert all(loss > 0 for loss in step.losses)
    parts = {part: median(seconds[-rounds:]) for part, seconds in step.seconds.items()}
    for part, seconds in parts.items():
        benchmark.extra_info[f"{part}_s"] = round(seconds, 4)
    share = median(step.backbone[-rounds:]) / sum(parts.values())
    benchmark.extra_info["share_of_the_backbone"] = round(share, 2)
    assert 0 < share < 1


def test_dense_mask_losses_are_faster_than_point_sampling_at_the_size_of_the_report(benchmark, best_seconds):
    """Forward and backward of the losses of all layers; Mask2Former's criterion samples 12,544 points."""
    predictions = 2 if benchmark.disabled else 11  # of 10 layers and the initial queries
    layers, wanted = [_prediction(seed) for seed in range(predictions)], _targets()
    theirs = _mask2former(wanted)

    def backward(total):
        torch.autograd.grad(total, [layer.mask_logits for layer in layers])

    def ours():
        backward(deep_supervision_loss(layers, wanted, weights=LossWeights(scoring=0))[0])

    benchmark.pedantic(ours, rounds=5, warmup_rounds=1)
    ours_s = best_seconds(ours)
    ratio = best_seconds(lambda: backward(theirs(layers))) / ours_s

    benchmark.extra_info["times_faster_than_point_sampling"] = round(ratio, 1)
    assert ratio > 5


def _prediction(seed):
    random = torch.Generator().manual_seed(seed)
    masks = torch.randn(SETS, QUERIES, *GRID, generator=random).requires_grad_()
    return SetPrediction(torch.randn(SETS, QUERIES, 14, generator=random), masks)


def _targets():
    """Return three regions in each frame."""
    random = torch.Generator().manual_seed(99)
    classes = torch.randint(0, 13, (SETS, 3), generator=random)
    masks = torch.zeros(SETS, 3, *GRID)
    for number in range(3):
        masks[:, number, 10 * number + 5 : 10 * number + 15, 20 * number : 20 * number + 12] = 1
    assert (classes != EMPTY).all()
    return SetTargets(classes, masks)


def _mask2former(wanted):
    """Return Mask2Former's criterion with its own settings, for predictions of all layers."""
    mask2former = pytest.importorskip("transformers.models.mask2former.modeling_mask2former")
    config = pytest.importorskip("transformers").Mask2FormerConfig(num_labels=13)
    assert (config.train_num_points, config.oversample_ratio, config.importance_sample_ratio) == (
        12_544,
        3.0,
        0.75,
    )
    criterion = mask2former.Mask2FormerLoss(config, {})

    def total(layers):
        others = [
            {"masks_queries_logits": layer.mask_logits, "class_queries_logits": layer.class_logits}
            for layer in layers[:-1]
        ]
        last = layers[-1]
        losses = criterion(last.mask_logits, last.class_logits, [*wanted.masks], [*wanted.classes], others)
        weights = {
            "cross_entropy": config.class_weight,
            "mask": config.mask_weight,
            "dice": config.dice_weight,
        }
        return sum(weights[key.removeprefix("loss_").rstrip("_0123456789")] * v for key, v in losses.items())

    return total
