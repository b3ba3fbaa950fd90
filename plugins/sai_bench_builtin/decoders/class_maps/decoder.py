"""Decoder `class_maps`: class activity and a dense map per class; candidates are the maps' peaks."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from sai_bench.interfaces import Candidates, Decoder, SphereSpec
from sai_bench.sphere import CLASSES
from sai_bench.training.targets import MaskTargets
from sai_bench_builtin.configs.class_maps import ClassMapsConfig, ClassMapsLosses
from sai_bench_builtin.decoders.class_maps import losses as terms
from sai_bench_builtin.decoders.class_maps.network import ClassMapNetwork, MapLogits
from sai_bench_builtin.decoders.class_maps.regions import OUTSIDE, FoundRegions, cell_vectors, find_regions
from sai_bench_builtin.decoders.class_maps.smoothing import smoothed

_ALMOST_NOTHING = 1e-6
"""Energies stay this far below 1, where logits have no end."""

_SHARPNESS_RANGE = 0.4, 5.0


class ClassMaps(nn.Module, Decoder):
    """Is a class heard, and if so, where: two questions, two outputs, both dense and without matching.

    The map of a class is learned only where the class sounds, so it answers "where would it be"; that it
    does not sound is the activity's business. A candidate is a peak of a map with the region around it; its
    score is learned to predict the soft IoU of that mask with a label of the class, 0 if there is none.
    """

    def __init__(self, config: ClassMapsConfig, sphere: SphereSpec):
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
        self.sharpness = nn.Linear(config.hidden_channels, 1)
        nn.init.zeros_(self.sharpness.weight)
        nn.init.constant_(self.sharpness.bias, math.log(config.initial_sharpness))
        self._vectors = cell_vectors(*self.grid)  # no buffer: it stays in float32 when the weights do not
        self.score_head = None
        if config.score == "learned":
            self.score_head = nn.Sequential(
                nn.Linear(config.hidden_channels + CLASSES + 3, config.hidden_channels),
                nn.GELU(),
                nn.Linear(config.hidden_channels, 1),
            )
            nn.init.constant_(self.score_head[-1].bias, config.initial_logit)

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
        logits = self.network(sphere.flatten(0, 1))
        if not self.frames_are_independent:
            logits = smoothed(logits, batch, self.config)
        found = self._regions(logits)
        masks = self._region_masks(logits, found)
        return Candidates(
            class_logits=found.class_logits().unflatten(0, batch),
            scores=self._scores(logits, found, masks).unflatten(0, batch),
            mask_logits=masks.unflatten(0, batch),
            mask_of=torch.arange(found.classes.shape[1], device=sphere.device),
        )

    def target_grids(self, losses: ClassMapsLosses) -> tuple[tuple[int, int], ...]:
        """Return the grid of the maps."""
        return (self.grid,)

    def loss(
        self, sphere: torch.Tensor, targets: MaskTargets, losses: ClassMapsLosses
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the weighted sum of the losses, and each loss by name (see `ClassMapsLosses`)."""
        logits = found_now = self.network(sphere.flatten(0, 1))
        classes = targets.classes.flatten(0, 1)
        masks = targets.masks[self.grid].flatten(0, 1)
        sounds, union = terms.class_targets(classes, masks)
        if targets.class_agnostic:
            logits, sounds, union = logits.of_any_class(), sounds[:, :1], union[:, :1]
        frame, kind = sounds.nonzero(as_tuple=True)
        parts = {"activity": F.binary_cross_entropy_with_logits(logits.activity, sounds)}
        heard_maps, wanted = logits.maps[frame, kind], union[frame, kind]
        weighted = {
            "map": lambda: terms.map_loss(heard_maps, wanted, losses.map_exponent),
            "place": lambda: terms.place_loss(heard_maps, wanted),
            "dice": lambda: terms.dice_loss(heard_maps, wanted),
            "shape": lambda: terms.shape_loss(self._mask_logits(logits, frame, kind), wanted),
        }
        parts |= {name: term() for name, term in weighted.items() if getattr(losses, name)}
        if losses.score and self.score_head is not None:
            parts["score"] = self._score_loss(found_now, targets)
        return sum(getattr(losses, name) * part for name, part in parts.items()), parts

    def compile(self, *args, **kwargs) -> None:
        """Compile the network; searching for peaks stays as it is (arguments as for `torch.compile`)."""
        self.network.compile(*args, **kwargs)

    def _regions(self, logits: MapLogits) -> FoundRegions:
        self._vectors = self._vectors.to(logits.maps.device)
        with torch.autocast(logits.maps.device.type, enabled=False):
            return find_regions(logits, self._vectors, self.config)

    def _mask_logits(self, logits: MapLogits, frames: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Return logits [..., h, w] of the energies that maps are as masks: probability ** sharpness.

        Args:
            logits: of n label frames.
            frames: [...] which label frames.
            classes: [...] which classes, broadcast with `frames`.
        """
        factor = self.config.upsampling
        sharpness = self.sharpness(logits.cells.to(self.sharpness.weight.dtype))[..., 0].float()
        sharpness = sharpness.exp().clamp(*_SHARPNESS_RANGE)
        sharpness = sharpness.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
        energies = sharpness[frames] * F.logsigmoid(logits.maps[frames, classes])  # logarithms
        energies = energies.clamp_max(-_ALMOST_NOTHING)
        return energies - torch.log(-torch.expm1(energies))

    def _region_masks(self, logits: MapLogits, found: FoundRegions) -> torch.Tensor:
        """Return logits [n, R, h, w] of the regions' masks, OUTSIDE beyond the regions."""
        masks = self._mask_logits(logits, found.frames, found.classes)
        return torch.where(found.inside, masks, OUTSIDE)

    def _score_loss(self, logits: MapLogits, targets: MaskTargets) -> torch.Tensor:
        """Return how far the scores of the candidates, as they are found now, are from their quality."""
        classes, masks = targets.classes.flatten(0, 1), targets.masks[self.grid].flatten(0, 1)
        with torch.no_grad():
            found = self._regions(logits)
            own_masks = self._region_masks(logits, found)
            # Without classes, a candidate is good if its mask is that of any region.
            own = torch.zeros_like(found.classes) if targets.class_agnostic else found.classes
            quality = terms.qualities(own_masks.sigmoid(), own, masks, classes)
        scores = self._score_logits(logits, found, own_masks)
        return terms.quality_loss(scores, quality, found.peaks.isfinite())

    def _scores(self, logits: MapLogits, found: FoundRegions, masks: torch.Tensor) -> torch.Tensor:
        """Return scores [n, R] in [0, 1], 0 where there is no region."""
        if self.score_head is None:
            scores = found.activity.sigmoid() * found.peaks.sigmoid()
        else:
            scores = self._score_logits(logits, found, masks).sigmoid()
        return torch.where(found.peaks.isfinite(), scores, 0)

    def _score_logits(self, logits: MapLogits, found: FoundRegions, masks: torch.Tensor) -> torch.Tensor:
        """Return score logits [n, R] from the features at the peak, the region's size and the class."""
        at_peak = logits.features_at(found.frames, found.cells)
        masks = masks.sigmoid().flatten(2)
        area = masks.sum(2) / masks.amax(2).clamp_min(torch.finfo(masks.dtype).tiny)
        facts = [found.activity, found.peaks.clamp_min(OUTSIDE), area.clamp_min(1).log()]
        kind = F.one_hot(found.classes, CLASSES)
        seen = torch.cat([at_peak, torch.stack(facts, dim=2).detach(), kind.to(at_peak.dtype)], dim=2)
        return self.score_head(seen.to(self.score_head[0].weight.dtype))[..., 0].float()
