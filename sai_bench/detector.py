"""Front end, backbone and decoder over a whole recording: waveform -> regions.

Select, then upsample: only candidates above the score floor become 180 x 360 masks, and only the pixels above
a share of the peak are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch

from sai_bench.audio import resample
from sai_bench.errors import ContractError
from sai_bench.mask_compaction import compact_masks
from sai_bench.networks import DETECTOR_KINDS, build_parts, constant_weights, ready_for_inference
from sai_bench.regions import ENERGY_STEPS, Regions, join
from sai_bench.segments import frames_to_decode, segments, whole_segment
from sai_bench.sphere import CLASSES, FRAMES_PER_S, frame_count

if TYPE_CHECKING:
    from sai_bench.interfaces import Candidates
    from sai_bench.segments import Segment
    from sai_bench.spec import InferenceSettings, SystemSpec
    from sai_bench.sphere import ArrayGeometry

_MASKS_AT_ONCE = 256
"""Full-size masks held in memory at a time (64,800 pixels x 4 bytes each)."""


class Detector:
    """The part of a system that hears: front end, backbone and decoder, built from a spec.

    Attributes:
        parts: the three by kind, on their device and in their precision.
        sample_rate_hz: the rate that recordings are resampled to.
    """

    def __init__(
        self,
        system: SystemSpec,
        inference: InferenceSettings,
        seed: int = 0,
        watch: Callable[[str], AbstractContextManager] = nullcontext,
    ):
        """Build the parts and make them ready.

        Args:
            system: a validated system.
            inference: how recordings go through.
            seed: of the initial weights of networks, if the system names no weights.
            watch: called with the name of each step; the step happens inside what it returns.

        Raises:
            WeightsError: the system's weights do not fit.
            DeviceError: there is no such device.
        """
        self.parts = build_parts(system, seed)
        ready_for_inference(self.parts, inference)
        self.sample_rate_hz = system.front_end.config.output().sample_rate_hz
        self._inference = inference
        self._watch = watch
        self._front_end, self._backbone, self._decoder = (self.parts[kind] for kind in DETECTOR_KINDS)
        # Compiled code is compiled anew for each shape: without padding they differ, with it they need not.
        self._one_shape = inference.compile and inference.pad_segments

    def __call__(self, waveform: np.ndarray, sample_rate_hz: int, array: ArrayGeometry) -> Regions:
        """Return the candidates of a recording.

        Args:
            waveform: [M, S] float32, full scale 1.
            sample_rate_hz: its rate.
            array: the capsules of the M channels.
        """
        frames = frame_count(waveform.shape[1], sample_rate_hz)
        with self._watch("resample"):
            waveform = resample(waveform, sample_rate_hz, self.sample_rate_hz)
        cut = segments(frames, self._inference)
        with constant_weights(self._inference):
            parts = [
                regions
                for batch in batched(cut, self._inference.batch_segments)
                for regions in self._regions(waveform, array, batch)
            ]
        with self._watch("masks"):
            return join(parts, [segment.first for segment in cut], frames)

    @torch.inference_mode()
    def _regions(self, waveform: np.ndarray, array: ArrayGeometry, batch: Sequence[Segment]) -> list[Regions]:
        """Return the regions of each segment; they count frames from its first one."""
        heard = self._heard(waveform, batch)
        with self._watch("front_end"):
            features = self._front_end(torch.from_numpy(heard).to(self._inference.device))
        with self._watch("backbone"):
            sphere = self._backbone(features, array)
        own = whole_segment(self._inference).own if self._one_shape else batch[0].own
        if sphere.shape[1] < own.stop:
            raise ContractError(
                f"Backbone {type(self._backbone).__name__} returned too few label frames for "
                f"{heard.shape[2]} samples: {sphere.shape[1]} of {own.stop} wanted. Expected one per 0.1 s."
            )
        sphere, own = frames_to_decode(sphere, own, self._decoder.frames_are_independent)
        with self._watch("decoder"):
            candidates = self._decoder(sphere)
        check_candidates(candidates, sphere.shape[:2], type(self._decoder).__name__)
        with self._watch("masks"):
            return [
                self._keep(candidates, index, range(own.start, own.start + segment.frames))
                for index, segment in enumerate(batch)
            ]

    def _heard(self, waveform: np.ndarray, batch: Sequence[Segment]) -> np.ndarray:
        """Return the samples of a batch [B, M, S]; where all batches are alike, the last segment fills it."""
        pieces = [self._samples(waveform, segment) for segment in batch]
        if self._one_shape:
            pieces += [pieces[-1]] * (self._inference.batch_segments - len(pieces))
        return np.stack(pieces)

    def _samples(self, waveform: np.ndarray, segment: Segment) -> np.ndarray:
        """Return the samples of a segment; silence where the recording has none."""
        begin, end = (round(f * self.sample_rate_hz / FRAMES_PER_S) for f in (segment.begin, segment.end))
        piece = waveform[:, max(0, begin) : max(0, end)]
        before = min(max(0, -begin), end - begin)
        # The last label frame may be partial: with silence behind it, it is heard like the others.
        return np.pad(piece, ((0, 0), (before, end - begin - before - piece.shape[1])))

    def _keep(self, candidates: Candidates, index: int, own: range) -> Regions:
        """Select the candidates of one segment worth keeping and store their masks compactly.

        Args:
            candidates: of a batch.
            index: of the segment in the batch.
            own: which frames of the candidates are the segment's.
        """
        scores = candidates.scores[index, own.start : own.stop].float().cpu()
        mask_of = candidates.mask_of.cpu()
        frames, slots, masks_wanted = self._select(scores, mask_of, candidates.mask_logits.shape[2])
        if not len(frames):
            return Regions.empty(len(own))
        place = masks_wanted.new_tensor([own.start, 0])
        starts, pixels, energies = self._compact_masks(candidates, index, masks_wanted + place)
        logits = candidates.class_logits[index].float().cpu()[frames + own.start, slots]
        classes, probabilities = logits[:, :CLASSES].argmax(-1), logits.softmax(-1)[:, :CLASSES]
        frame_mask = torch.stack([frames, mask_of[slots]], dim=1)
        masks = _row_numbers(frame_mask.numpy(), masks_wanted.numpy())
        # A mask without a positive pixel shows nothing: its candidates go.
        shown = np.diff(starts)[masks] > 0
        return Regions(
            frame_count=np.int64(len(own)),
            frames=frames.numpy().astype(np.int32)[shown],
            scores=scores[frames, slots].numpy().astype(np.float32)[shown],
            classes=classes.numpy().astype(np.uint8)[shown],
            class_probabilities=probabilities.numpy().astype(np.float16)[shown],
            masks=masks[shown].astype(np.int32),
            mask_starts=starts,
            pixels=pixels,
            energies=energies,
        )

    def _select(self, scores: torch.Tensor, mask_of: torch.Tensor, masks: int):
        """Return frames [n] and slots [n] of the kept candidates and [m, 2] (frame, mask) of their masks.

        Args:
            scores: [N, Q].
            mask_of: [Q].
            masks: R.
        """
        number = len(scores)
        used_by = mask_of.expand_as(scores)
        best = scores.new_zeros(number, masks).scatter_reduce_(1, used_by, scores, "amax")
        limit = min(self._inference.masks_per_frame, masks)
        chosen = torch.zeros_like(best, dtype=torch.bool)
        strongest = best.argsort(dim=1, descending=True, stable=True)[:, :limit]
        chosen.scatter_(1, strongest, True)
        chosen &= best >= self._inference.score_floor
        kept = chosen[:, mask_of] & (scores >= self._inference.score_floor)
        frames, slots = kept.nonzero(as_tuple=True)
        return frames, slots, chosen.nonzero()

    def _compact_masks(self, candidates: Candidates, index: int, wanted: torch.Tensor):
        """Return mask_starts, pixels and energies of a segment's wanted masks [m, 2] (frame, mask)."""
        lengths, pixels, energies = [], [], []
        for chunk in wanted.split(_MASKS_AT_ONCE):
            selection = torch.cat([torch.full_like(chunk[:, :1], index), chunk], dim=1)
            selection = selection.to(candidates.mask_logits.device)
            images = candidates.masks(selection).flatten(1).float().cpu()
            _check_masks(images, type(self._decoder).__name__)
            least_share = max(self._inference.stored_energy, 0.5 / ENERGY_STEPS)
            found = compact_masks(images.numpy(), least_share, ENERGY_STEPS)
            for parts, part in zip((lengths, pixels, energies), found, strict=True):
                parts.append(part)
        starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
        return starts, _one_array(pixels), _one_array(energies)


def check_candidates(candidates: Candidates, batch_and_frames: Sequence[int], decoder: str) -> None:
    """Raise ContractError unless the candidates have matching shapes and scores in [0, 1]."""
    slots, masks = candidates.scores.shape[-1], candidates.mask_logits.shape[2]
    expected = {
        "scores": (*batch_and_frames, slots),
        "class_logits": (*batch_and_frames, slots, CLASSES + 1),
        "mask_logits": (*batch_and_frames, masks, *candidates.mask_logits.shape[3:5]),
        "mask_of": (slots,),
    }
    for name, shape in expected.items():
        found = tuple(getattr(candidates, name).shape)
        if found != shape:
            raise ContractError(f"Decoder {decoder} returned {name} of shape {found}, expected {shape}.")
    scores = candidates.scores
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ContractError(f"Decoder {decoder} returned scores that are NaN or outside [0, 1].")
    if not candidates.class_logits.isfinite().all():
        raise ContractError(f"Decoder {decoder} returned class logits that are not finite.")


def _check_masks(images: torch.Tensor, decoder: str) -> None:
    least, largest = images.aminmax()  # one pass; NaN anywhere makes both NaN
    if not (least.isfinite() and largest.isfinite()):
        raise ContractError(f"Decoder {decoder} returned masks that are NaN or infinite.")


def batched(items: Sequence, size: int) -> Iterator[Sequence]:
    """Yield the items in groups of `size`, the last one perhaps smaller."""
    remaining = iter(items)
    while group := list(islice(remaining, size)):
        yield group


def _one_array(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return the parts as one array, a single one without a copy: masks may fill hundreds of megabytes."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _row_numbers(rows: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return for each of `rows` [n, 2] its row number in the sorted `table` [m, 2]."""
    width = int(max(rows[:, 1].max(), table[:, 1].max())) + 1
    return np.searchsorted(table[:, 0] * width + table[:, 1], rows[:, 0] * width + rows[:, 1])
