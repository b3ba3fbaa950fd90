"""Decoder `class_discs`: place and extent of each class as probabilities, masks as a decision."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

from sai_bench.interfaces import Candidates, Decoder, SphereSpec
from sai_bench.sphere import CLASSES
from sai_bench.training.distributed import mean_count
from sai_bench.training.mask_losses import soft_iou
from sai_bench.training.mask_sets import EMPTY
from sai_bench.training.targets import MaskTargets
from sai_bench_builtin.configs.class_maps import ClassDiscsConfig, ClassDiscsLosses
from sai_bench_builtin.decoders.class_discs.discs import (
    agreement_table,
    angles_deg,
    best_discs,
    cell_areas,
    disc_energies,
    region_centres,
)
from sai_bench_builtin.decoders.class_maps.losses import class_targets, to_peak_one
from sai_bench_builtin.decoders.class_maps.network import ClassMapNetwork, MapLogits
from sai_bench_builtin.decoders.class_maps.regions import OUTSIDE, FoundRegions, cell_vectors, find_regions
from sai_bench_builtin.decoders.class_maps.smoothing import smoothed

_WORTH_IT = 1e-3
"""Candidates of classes less probable than this get score 0 and no mask: nobody will look at them."""

_AT_ONCE = 256
"""Candidates whose masks are decided on together, to bound the memory."""

_BALANCED_DEG = 12.0
"""Cells this near to a peak say where the middle of the probability around it is."""

_LARGEST_ENERGY = 1 - 1e-6
_SMALLEST_ENERGY = 1e-9


class ClassDiscs(nn.Module, Decoder):
    """Is a class heard, where is its centre, how wide is it: probabilities. The mask is decided from them.

    The softmax of a class's map says where the centre of its region is, if the class sounds, and a head at
    the peak how large the region is. A system that is unsure of either still has to draw one mask; the best
    one is the disc whose expected agreement with the region is the highest, over the extents that the region
    may have and its places in the candidate's territory. Agreement is the share of soft IoU thresholds that
    are passed, as a mean average precision counts it, with a ramp around each (`agreement_table`). That
    expected value times the probability that the class sounds is the score.

    A class has one softmax, whatever the number of its sources: two that sound at once share it, and score
    about half each.
    """

    def __init__(self, config: ClassDiscsConfig, sphere: SphereSpec):
        """Build the decoder with random weights.

        Args:
            config: the decoder's keys.
            sphere: what the backbone promises.
        """
        super().__init__()
        promised = config.output(sphere)
        self.config = config
        self.grid = (promised.height, promised.width)
        self.network = ClassMapNetwork(config, sphere)
        self.extent_head = nn.Sequential(
            nn.Linear(config.hidden_channels + CLASSES, config.hidden_channels),
            nn.GELU(),
            nn.Linear(config.hidden_channels, len(config.extents_deg)),
        )
        # No buffers: these stay in float32 when the weights do not.
        self._vectors = cell_vectors(*self.grid)
        self._extents = torch.tensor(config.extents_deg)
        self._agreement = agreement_table(config)

    @property
    def frames_are_independent(self) -> bool:
        """Whether a frame's candidates hang on its own features alone: there is no smoothing in training."""
        return self.training or not (self.config.smoothing_frames or self.config.activity_smoothing_frames)

    def forward(self, sphere: torch.Tensor) -> Candidates:
        """Return the candidates: at most `candidates` a frame, each with its own mask.

        Args:
            sphere: [B, N, D, h, w] embedding.
        """
        batch = sphere.shape[:2]
        self._move_to(sphere.device)
        logits = self.network(sphere.flatten(0, 1))
        if not self.frames_are_independent:
            logits = smoothed(logits, batch, self.config)
        with torch.autocast(sphere.device.type, enabled=False):
            # No loss teaches the level of a map: what counts is the softmax, also in the search for peaks.
            logits = replace(logits, maps=logits.maps.flatten(2).log_softmax(2).view_as(logits.maps))
            found = find_regions(logits, self._vectors, self.config)
            masks, scores = self._decided(logits, found)
        return Candidates(
            class_logits=found.class_logits().unflatten(0, batch),
            scores=scores.unflatten(0, batch),
            mask_logits=masks.unflatten(0, batch),
            mask_of=torch.arange(found.classes.shape[1], device=sphere.device),
        )

    def target_grids(self, losses: ClassDiscsLosses) -> tuple[tuple[int, int], ...]:
        """Return the grid of the maps."""
        return (self.grid,)

    def loss(
        self, sphere: torch.Tensor, targets: MaskTargets, losses: ClassDiscsLosses
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the weighted sum of the losses, and each loss by name (see `ClassDiscsLosses`)."""
        self._move_to(sphere.device)
        logits = self.network(sphere.flatten(0, 1))
        classes, masks = targets.classes.flatten(0, 1), targets.masks[self.grid].flatten(0, 1)
        sounds, _ = class_targets(classes, masks)
        frame, slot = (classes != EMPTY).nonzero(as_tuple=True)
        kind, regions = classes[frame, slot], to_peak_one(masks[frame, slot])
        with torch.autocast(sphere.device.type, enabled=False):
            shares = regions.flatten(1) * cell_areas(self._vectors)
            centres = region_centres(shares, self._vectors)
            distances = angles_deg(centres, self._vectors)
        extent_logits = self._extent_logits(logits, frame, kind, distances.argmin(1))
        if targets.class_agnostic:
            logits, sounds, kind = logits.of_any_class(), sounds[:, :1], torch.zeros_like(kind)
        maps = logits.maps[frame, kind].flatten(1)
        parts = {
            "activity": F.binary_cross_entropy_with_logits(logits.activity, sounds),
            "place": _place_loss(maps, distances, losses.place_width_deg),
            "extent": _mean(
                F.cross_entropy(extent_logits, self._fitting_extents(distances, regions), reduction="none")
            ),
        }
        parts = {name: part for name, part in parts.items() if getattr(losses, name) or name == "activity"}
        return sum(getattr(losses, name) * part for name, part in parts.items()), parts

    def compile(self, *args, **kwargs) -> None:
        """Compile the network; deciding on masks stays as it is (arguments as for `torch.compile`)."""
        self.network.compile(*args, **kwargs)

    def _extent_logits(
        self, logits: MapLogits, frames: torch.Tensor, classes: torch.Tensor, cells: torch.Tensor
    ) -> torch.Tensor:
        """Return logits [..., S] of the extents of regions of `classes` whose centres are at `cells`."""
        features = logits.features_at(frames, cells)
        kind = F.one_hot(classes, CLASSES).to(features.dtype)
        seen = torch.cat([features, kind], dim=-1).to(self.extent_head[0].weight.dtype)
        return self.extent_head(seen).float()

    def _fitting_extents(self, distances: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
        """Return which disc has the highest soft IoU with each region: numbers [m].

        Args:
            distances: [m, G] of the cells from the region's centre, in degrees.
            regions: [m, h, w] with peak 1.
        """
        fits = []
        for radius in self.config.extents_deg:
            discs = to_peak_one(disc_energies(distances, radius, self.config).view_as(regions))
            fits.append(soft_iou(discs, regions))
        return torch.stack(fits, dim=1).argmax(1)

    def _decided(self, logits: MapLogits, found: FoundRegions) -> tuple[torch.Tensor, torch.Tensor]:
        """Return masks [n, R, h, w] as logits and scores [n, R] of the regions found.

        Args:
            logits: of n label frames, maps as logarithms of probabilities.
            found: the regions in them.
        """
        probability = found.activity.sigmoid() * found.peaks.isfinite()
        scores = torch.zeros_like(probability)
        masks = torch.full_like(found.inside, OUTSIDE, dtype=torch.float32)
        worthy = (probability >= _WORTH_IT).nonzero()
        for frame, slot in (part.unbind(1) for part in worthy.split(_AT_ONCE)):
            energies, agreement = self._best_masks(logits, found, frame, slot)
            inside = found.inside[frame, slot]
            masks[frame, slot] = torch.where(inside, energies.view_as(inside).logit(), OUTSIDE)
            scores[frame, slot] = probability[frame, slot] * agreement
        return masks, scores

    def _best_masks(
        self, logits: MapLogits, found: FoundRegions, frame: torch.Tensor, slot: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return energies [m, G] of the best discs of m regions, and how well each is expected to agree.

        Two centres are tried: the peak, and the middle of the probability around it. Only probability in the
        candidate's own territory counts: places outside are too far to agree, or another candidate's.
        """
        kind, cell = found.classes[frame, slot], found.cells[frame, slot]
        places = logits.maps[frame, kind].flatten(1).exp() * found.inside[frame, slot].flatten(1)
        extents = self._extent_logits(logits, frame, kind, cell).softmax(1)
        peaks = self._vectors[cell]
        near = angles_deg(peaks, self._vectors) <= _BALANCED_DEG
        middles = region_centres(places * near, self._vectors)
        by_peak, by_middle = (
            best_discs(places, extents, centres, self._vectors, self._agreement)
            for centres in (peaks, middles)
        )
        better = by_middle[1] > by_peak[1]
        centres = torch.where(better[:, None], middles, peaks)
        radii = self._extents[torch.where(better, by_middle[0], by_peak[0])]
        energies = disc_energies(angles_deg(centres, self._vectors), radii[:, None], self.config)
        return energies.clamp(_SMALLEST_ENERGY, _LARGEST_ENERGY), torch.maximum(by_middle[1], by_peak[1])

    def _move_to(self, device: torch.device) -> None:
        self._vectors, self._extents, self._agreement = (
            constant.to(device) for constant in (self._vectors, self._extents, self._agreement)
        )


def _place_loss(maps: torch.Tensor, distances: torch.Tensor, width_deg: float) -> torch.Tensor:
    """Return the cross entropy of maps' softmax [m, G] with a Gaussian blob at the centre, mean over m."""
    wanted = (-0.5 * (distances / width_deg) ** 2).softmax(1)
    return _mean(-(wanted * maps.log_softmax(1)).sum(1))


def _mean(losses: torch.Tensor) -> torch.Tensor:
    """Return the mean [] over the regions of all processes, 0 if there are none."""
    return losses.sum() / mean_count(torch.tensor(len(losses), device=losses.device))
