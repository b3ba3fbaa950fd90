"""One stage of training a detector: steps, validation, checkpoints, log.

The numbers of a step follow from the seed, the step's number and the weights before it: which segments are
heard, how they are changed, which frames are decoded, what dropout leaves out. A stage that was killed and
resumed, at whatever step, ends with the same weights as one that ran through.
"""

from __future__ import annotations

import contextlib
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate.utils import gather_object

from sai_bench.errors import SpecError, TrainingError
from sai_bench.networks import DETECTOR_KINDS, state_of
from sai_bench.sphere import FRAMES_PER_S
from sai_bench.training.checkpoints import Progress, State, read_checkpoint, write_checkpoint
from sai_bench.training.distributed import alone
from sai_bench.training.optimisation import RunningMean, freeze, learning_rate_share, make_optimiser
from sai_bench.training.training_log import TrainingLog
from sai_bench.training.training_step import TrainingStep

if TYPE_CHECKING:
    import accelerate

    from sai_bench.progress import Reporter
    from sai_bench.spec import TrainingStage
    from sai_bench.training.segment_batches import SegmentBatch

CHECKPOINT = "checkpoint.safetensors"
LAST, BEST = "last.safetensors", "best.safetensors"
_LOG_EVERY_STEPS = 10


@dataclass(frozen=True)
class StageBatches:
    """Where the segments of a stage come from.

    Attributes:
        training: first step -> the batches of all steps from there on, this process's share.
        validation: the batches of the validation split, all of them; None without one.
    """

    training: Callable[[int], Iterable[SegmentBatch]]
    validation: Callable[[], Iterable[SegmentBatch]] | None = None


def train_stage(
    stage: TrainingStage,
    parts: Mapping[str, object],
    batches: StageBatches,
    folder: Path,
    *,
    seed: int,
    save: Callable[[Path, State], None],
    accelerator: accelerate.Accelerator,
    reporter: Reporter,
) -> Progress:
    """Train a detector, or go on where a killed process left it.

    Leaves in the folder: `last.safetensors`, with a validation split also `best.safetensors`, the checkpoint
    and the log.

    Args:
        stage: a stage that trains the detector.
        parts: front end, backbone and decoder with their initial weights.
        batches: what is heard.
        folder: the stage's own, which no other process uses.
        seed: of dropout and of the choice of frames.
        save: writes a weights file.
        accelerator: device and processes.
        reporter: told about progress.

    Raises:
        TrainingError: a loss or gradient is not finite; the message names the recordings.
        SpecError: `frozen` names nothing, or the decoder cannot work on chosen frames.
        CacheError: the checkpoint is damaged.
    """
    training = _Training(stage, parts, folder, seed, save, accelerator)
    with reporter.task(f"train {stage.name}") as tell:
        training.run(batches, tell)
    return training.progress


class _Training:
    """The state of a stage while it is trained."""

    def __init__(
        self,
        stage: TrainingStage,
        parts: Mapping[str, object],
        folder: Path,
        seed: int,
        save: Callable[[Path, State], None],
        accelerator: accelerate.Accelerator,
    ):
        self.stage, self.settings = stage, stage.settings
        self.folder, self.seed, self.save, self.accelerator = folder, seed, save, accelerator
        self.model = TrainingStep(parts, stage.losses, stage.settings.precision)
        _check_frames(stage, self.model.decoder)
        freeze(self.model, self.settings.frozen, stage.name)
        self.model.to(accelerator.device)
        self.optimiser = make_optimiser(self.model, self.settings.optimiser)
        self.mean = RunningMean(self.model, self.settings.ema_decay) if self.settings.ema_decay else None
        checkpoint = folder / CHECKPOINT
        self.progress, self.best = read_checkpoint(checkpoint, self.model, self.optimiser, self.mean)
        self.step_of_processes = accelerator.prepare_model(self.model)
        self.sums: dict[str, torch.Tensor | float] = {}
        self.summed_steps = 0

    def run(self, batches: StageBatches, tell: Callable) -> None:
        """Do the steps that are left."""
        steps, main = self.settings.steps, self.accelerator.is_main_process
        with contextlib.ExitStack() as stack:
            log = TrainingLog(self.folder, self.progress.steps) if main else None
            if log is not None:
                stack.callback(log.close)
            if main and self.best is not None:
                # The file may be gone, damaged, or of a step that is done again now.
                self.save(self.folder / BEST, self.best)
            self.model.train()
            tell(self.progress.steps, steps)
            for waited_s, batch in _timed(batches.training(self.progress.steps)):
                begun = time.perf_counter()
                numbers = self._step(batch)
                self._count(numbers, waited_s, time.perf_counter() - begun)
                done = self.progress.steps
                saving = done % self.settings.checkpoint_every_steps == 0 or done == steps
                # Also before a checkpoint: so the log of a resumed run is that of one that ran through.
                if done % _LOG_EVERY_STEPS == 0 or saving:
                    means = self._means()
                    if log is not None:
                        log.write("train", done, means)
                        tell(done, steps, _in_words(means))
                with self._counted():
                    self._measure(batches, log)
                    if saving:
                        self._checkpoint()
        with self._counted():
            if main:
                self.save(self.folder / LAST, self._result())
            self.accelerator.wait_for_everyone()

    def _step(self, batch: SegmentBatch) -> dict[str, torch.Tensor]:
        """Do one step; return its losses and the norm of its gradient, [] each."""
        step = self.progress.steps
        torch.manual_seed(self._seed_of(step, self.accelerator.process_index))
        total, losses = self._losses(self.step_of_processes, batch, self._chosen_frames(step))
        # Exactly 1, but NaN for a loss that is not finite: then all processes get a gradient that is not.
        self.accelerator.backward(total * (1 + 0 * total.detach()))
        learning = [p for p in self.model.parameters() if p.requires_grad]
        clip = self.settings.optimiser.clip_norm or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(learning, clip)
        if not torch.isfinite(norm):
            raise TrainingError(self._not_finite(batch, total, losses))
        rate = self.settings.optimiser.learning_rate * learning_rate_share(
            step, self.settings.steps, self.settings.schedule
        )
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self.mean is not None:
            self.mean.update(self.model, step)
        self.progress.steps += 1
        named = {f"loss_{name}": loss.detach() for name, loss in losses.items()}
        return {"loss": total.detach(), **named, "gradient_norm": norm, "learning_rate": torch.tensor(rate)}

    def _losses(
        self, model: torch.nn.Module, batch: SegmentBatch, frames: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the loss [] of a batch and its parts by name; only the given label frames [n] count."""
        device = self.accelerator.device
        targets = batch.targets if len(frames) == self._frames() else batch.targets.of_frames(frames)
        return model(batch.waveform.to(device), batch.array, targets.to(device), frames.to(device))

    def _frames(self) -> int:
        return round(self.settings.segment_s * FRAMES_PER_S)

    def _chosen_frames(self, step: int) -> torch.Tensor:
        frames, wanted = self._frames(), self.settings.frames_per_segment
        if not wanted:
            return torch.arange(frames)
        rng = np.random.default_rng(self._seed_of(step))
        return torch.from_numpy(np.sort(rng.choice(frames, wanted, replace=False)))

    def _seed_of(self, step: int, *more: int) -> int:
        entropy = [self.seed, zlib.crc32(self.stage.name.encode()), step, *more]
        return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)

    def _count(self, numbers: Mapping[str, torch.Tensor], waited_s: float, step_s: float) -> None:
        self.progress.seconds += waited_s + step_s
        self.progress.data_seconds += waited_s
        for name, number in {**numbers, "data_s": waited_s, "step_s": step_s}.items():
            self.sums[name] = self.sums.get(name, 0.0) + number
        self.summed_steps += 1

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """Count what happens between steps as time of the training, too."""
        begun = time.perf_counter()
        yield
        self.progress.seconds += time.perf_counter() - begun

    def _means(self) -> dict[str, float]:
        """Return the means of all processes since the last call."""
        names, device = [*self.sums], self.accelerator.device
        values = [torch.as_tensor(self.sums[name], dtype=torch.float64).to(device) for name in names]
        means = self.accelerator.reduce(torch.stack(values), "mean") / self.summed_steps
        self.sums, self.summed_steps = {}, 0
        return dict(zip(names, means.tolist(), strict=True))

    def _measure(self, batches: StageBatches, log: TrainingLog | None) -> None:
        """Measure the validation split if it is time; keep the best weights."""
        done = self.progress.steps
        due = done % self.settings.validate_every_steps == 0 or done == self.settings.steps
        if batches.validation is None or not due:
            return
        if log is not None:
            with alone(), self._result_in_place():
                losses = self._validation_losses(batches.validation())
            log.write("validation", done, losses)
            if self.progress.best_loss is None or losses["loss"] < self.progress.best_loss:
                self.progress.best_loss, self.progress.best_step = losses["loss"], done
                self.best = _copied(self._result())
                self.save(self.folder / BEST, self.best)
        self.accelerator.wait_for_everyone()

    @torch.no_grad()
    def _validation_losses(self, batches: Iterable[SegmentBatch]) -> dict[str, float]:
        sums: dict[str, float] = {}
        count = 0
        for batch in batches:
            frames = torch.arange(batch.targets.classes.shape[1])
            total, losses = self._losses(self.model, batch, frames)
            named = {"loss": total, **{f"loss_{name}": loss for name, loss in losses.items()}}
            for name, loss in named.items():
                sums[name] = sums.get(name, 0.0) + float(loss) * len(batch.names)
            count += len(batch.names)
        return {name: total / count for name, total in sums.items()}

    @contextlib.contextmanager
    def _result_in_place(self) -> Iterator[None]:
        """Let the model have the weights that would be its result, and not learn."""
        own = {name: p.detach().clone() for name, p in self.model.named_parameters()} if self.mean else {}
        self.model.eval()
        if self.mean is not None:
            self.model.load_state_dict(self.mean.weights, strict=False)
        try:
            yield
        finally:
            self.model.load_state_dict(own, strict=False)
            self.model.train()

    def _result(self) -> State:
        """Return the weights that would be the stage's result now."""
        means = self.mean.weights if self.mean is not None else {}
        parts = {kind: getattr(self.model, kind) for kind in DETECTOR_KINDS}
        return {
            kind: {name: means.get(f"{kind}.{name}", tensor) for name, tensor in state_of(part).items()}
            for kind, part in parts.items()
        }

    def _checkpoint(self) -> None:
        if self.accelerator.is_main_process:
            place = self.folder / CHECKPOINT
            write_checkpoint(place, self.model, self.optimiser, self.mean, self.progress, self.best)
        self.accelerator.wait_for_everyone()

    def _not_finite(
        self, batch: SegmentBatch, total: torch.Tensor, losses: Mapping[str, torch.Tensor]
    ) -> str:
        """Say what was heard in a step whose gradient is not finite; every process must ask."""
        parts = ", ".join(f"{name} {float(loss.detach()):.4g}" for name, loss in losses.items())
        every = gather_object([(bool(torch.isfinite(total)), parts, batch.names)])
        heard = {rank: (parts, names) for rank, (finite, parts, names) in enumerate(every) if not finite}
        what = "loss" if heard else "gradient"
        heard = heard or {rank: (parts, names) for rank, (_, parts, names) in enumerate(every)}
        where = f" of process {', '.join(map(str, heard))}" if len(heard) < len(every) else ""
        return (
            f"training.{self.stage.name}: the {what} of step {self.progress.steps + 1} is not finite "
            f"({'; '.join(parts for parts, _ in heard.values())}). Recordings in the step{where}: "
            f"{', '.join(name for _, names in heard.values() for name in names)}. Check them with: sai-bench "
            "check-data SPEC. If they are in order, lower optimiser.learning_rate or set "
            "optimiser.clip_norm. What the last checkpoint holds is kept."
        )


def _check_frames(stage: TrainingStage, decoder: object) -> None:
    if stage.settings.frames_per_segment and not decoder.frames_are_independent:
        raise SpecError(
            [
                f"training.{stage.name}.frames_per_segment: {type(decoder).__name__} reads all frames of a "
                "segment together, with its config. Set 0, or choose frames that stand alone (query_scope)."
            ]
        )


def _copied(state: State) -> State:
    """Return weights in main memory that stay as they are while training goes on."""
    return {
        kind: {name: tensor.detach().to("cpu", copy=True) for name, tensor in named.items()}
        for kind, named in state.items()
    }


def _timed(batches: Iterable[SegmentBatch]) -> Iterator[tuple[float, SegmentBatch]]:
    """Yield each batch with the seconds that were spent waiting for it."""
    waiting = iter(batches)
    while True:
        begun = time.perf_counter()
        batch = next(waiting, None)
        if batch is None:
            return
        yield time.perf_counter() - begun, batch


def _in_words(means: Mapping[str, float]) -> str:
    whole_s = means["data_s"] + means["step_s"]
    return (
        f"loss {means['loss']:.4g}, {whole_s:.3g} s a step, {100 * means['data_s'] / whole_s:.0f}% of it data"
    )
