"""Front end, backbone and decoder over a whole recording: waveform -> regions.

Select, then upsample: only candidates above the score floor become 180 x 360 masks, and only the pixels above
a share of the peak are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from sai_bench.audio import resample
from sai_bench.errors import ContractError
from sai_bench.regions import ENERGY_STEPS, Regions, join
from sai_bench.sphere import CLASSES, FRAMES_PER_S, frame_count

if TYPE_CHECKING:
    from sai_bench.interfaces import Candidates
    from sai_bench.spec import InferenceSettings, SystemSpec
    from sai_bench.sphere import ArrayGeometry

_MASKS_AT_ONCE = 256
"""Full-size masks held in memory at a time (64,800 pixels x 4 bytes each)."""


class Detector:
    """The part of a system that hears: front end, backbone and decoder, built from a spec.

    Attributes:
        sample_rate_hz: the rate that recordings are resampled to.
    """

    def __init__(self, system: SystemSpec, inference: InferenceSettings):
        features = system.front_end.config.output()
        sphere = system.backbone.config.output(features)
        self.sample_rate_hz = features.sample_rate_hz
        self._inference = inference
        self._front_end = system.front_end.build()
        self._backbone = system.backbone.build(features)
        self._decoder = system.decoder.build(sphere)

    def __call__(self, waveform: np.ndarray, sample_rate_hz: int, array: ArrayGeometry) -> Regions:
        """Return the candidates of a recording.

        Args:
            waveform: [M, S] float32, full scale 1.
            sample_rate_hz: its rate.
            array: the capsules of the M channels.
        """
        frames = frame_count(waveform.shape[1], sample_rate_hz)
        waveform = resample(waveform, sample_rate_hz, self.sample_rate_hz)
        parts, first_frames = [], []
        for first, last in self._segments(frames):
            parts.append(self._segment(waveform, array, first, last, frames))
            first_frames.append(first)
        return join(parts, first_frames, frames)

    def _segments(self, frames: int) -> list[tuple[int, int]]:
        """Return (first, last + 1) label frames of each segment."""
        step = max(1, round(self._inference.segment_s * FRAMES_PER_S))
        return [(first, min(first + step, frames)) for first in range(0, frames, step)]

    @torch.inference_mode()
    def _segment(
        self, waveform: np.ndarray, array: ArrayGeometry, first: int, last: int, frames: int
    ) -> Regions:
        """Return the regions of label frames first ... last - 1, counted from `first`."""
        context = round(self._inference.context_s * FRAMES_PER_S)
        begin, end = max(0, first - context), min(frames, last + context)
        samples_per_frame = self.sample_rate_hz / FRAMES_PER_S
        piece = waveform[:, round(begin * samples_per_frame) : round(end * samples_per_frame)]
        # The last label frame may be partial: pad with silence, so that it is heard like the others.
        missing = round((end - begin) * samples_per_frame) - piece.shape[1]
        if missing > 0:
            piece = np.pad(piece, ((0, 0), (0, missing)))
        features = self._front_end(torch.from_numpy(np.ascontiguousarray(piece))[None])
        sphere = self._backbone(features, array)
        # Context frames serve the smoothing of their neighbours and are then another segment's business.
        sphere = sphere[:, first - begin : last - begin]
        if sphere.shape[1] != last - first:
            raise ContractError(
                f"Backbone {type(self._backbone).__name__} returned too few label frames for "
                f"{piece.shape[1]} samples: "
                f"{sphere.shape[1]} of {last - first} wanted. Expected one per 0.1 s."
            )
        candidates = self._decoder(sphere)
        check_candidates(candidates, last - first, type(self._decoder).__name__)
        return self._keep(candidates)

    def _keep(self, candidates: Candidates) -> Regions:
        """Select the candidates worth keeping and store their masks compactly."""
        frames, slots, masks_wanted = self._select(candidates)
        if not len(frames):
            return Regions.empty(candidates.scores.shape[1])
        starts, pixels, energies = self._compact_masks(candidates, masks_wanted)
        probabilities = candidates.class_logits[0, frames, slots].softmax(-1)[:, :CLASSES]
        frame_mask = torch.stack([frames, candidates.mask_of[slots]], dim=1)
        masks = _row_numbers(frame_mask.numpy(), masks_wanted.numpy())
        # A mask without a positive pixel shows nothing: its candidates go.
        shown = np.diff(starts)[masks] > 0
        return Regions(
            frame_count=np.int64(candidates.scores.shape[1]),
            frames=frames.numpy().astype(np.int32)[shown],
            scores=candidates.scores[0, frames, slots].numpy().astype(np.float32)[shown],
            class_probabilities=probabilities.numpy().astype(np.float16)[shown],
            masks=masks[shown].astype(np.int32),
            mask_starts=starts,
            pixels=pixels,
            energies=energies,
        )

    def _select(self, candidates: Candidates):
        """Return frames [n] and slots [n] of the kept candidates and [m, 2] (frame, mask) of their masks."""
        scores = candidates.scores[0]
        number, masks = len(scores), candidates.mask_logits.shape[2]
        mask_of = candidates.mask_of.expand_as(scores)
        best = scores.new_zeros(number, masks).scatter_reduce_(1, mask_of, scores, "amax")
        limit = min(self._inference.masks_per_frame, masks)
        chosen = torch.zeros_like(best, dtype=torch.bool)
        strongest = best.argsort(dim=1, descending=True, stable=True)[:, :limit]
        chosen.scatter_(1, strongest, True)
        chosen &= best >= self._inference.score_floor
        kept = chosen[:, candidates.mask_of] & (scores >= self._inference.score_floor)
        frames, slots = kept.nonzero(as_tuple=True)
        return frames, slots, chosen.nonzero()

    def _compact_masks(self, candidates: Candidates, wanted: torch.Tensor):
        """Return mask_starts, pixels and energies of the wanted masks [m, 2] (frame, mask)."""
        lengths, pixels, energies = [], [], []
        for chunk in wanted.split(_MASKS_AT_ONCE):
            selection = torch.cat([torch.zeros_like(chunk[:, :1]), chunk], dim=1)
            images = candidates.masks(selection).flatten(1).float().numpy()
            peaks = images.max(axis=1, keepdims=True)
            with np.errstate(invalid="ignore", divide="ignore"):
                relative = np.where(peaks > 0, images / peaks, 0.0)
            mask, pixel = np.nonzero(relative >= max(self._inference.stored_energy, 0.5 / ENERGY_STEPS))
            lengths.append(np.bincount(mask, minlength=len(chunk)))
            pixels.append(pixel.astype(np.uint16))
            energies.append(np.rint(relative[mask, pixel] * ENERGY_STEPS).astype(np.uint8))
        starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
        return starts, np.concatenate(pixels), np.concatenate(energies)


def check_candidates(candidates: Candidates, frames: int, decoder: str) -> None:
    """Raise ContractError unless `candidates` of one segment have matching shapes and scores in [0, 1]."""
    slots, masks = candidates.scores.shape[-1], candidates.mask_logits.shape[2]
    expected = {
        "scores": (1, frames, slots),
        "class_logits": (1, frames, slots, CLASSES + 1),
        "mask_logits": (1, frames, masks, *candidates.mask_logits.shape[3:5]),
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


def _row_numbers(rows: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return for each of `rows` [n, 2] its row number in the sorted `table` [m, 2]."""
    width = int(max(rows[:, 1].max(), table[:, 1].max())) + 1
    return np.searchsorted(table[:, 0] * width + table[:, 1], rows[:, 0] * width + rows[:, 1])
