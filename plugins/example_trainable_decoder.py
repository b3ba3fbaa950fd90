"""A complete decoder that learns: a map for each class. Try it with --plugin FILE."""

import torch
from pydantic import Field

import sai_bench
from sai_bench.sphere import CLASSES
from sai_bench.training.distributed import mean_count


class PlainMapsLosses(sai_bench.LossConfig):
    """What a training stage may set: `losses: {focus: 2}`."""

    focus: float = Field(default=1.0, ge=0)
    """A cell counts by |wanted - found| to this power: less if it is right already. 0: all cells alike."""


class PlainMapsConfig(sai_bench.DecoderConfig):
    """What a spec may set: `decoder: {use: plain_maps, kernel: 5}`."""

    learned = True  # it has weights
    losses = PlainMapsLosses  # and can be trained

    kernel: int = Field(default=3, ge=1, le=15)
    """Rows and columns of the convolution; odd."""

    def output(self, sphere):
        """Return what comes out: a candidate with a mask of its own for each class."""
        return sai_bench.CandidateSpec(CLASSES, CLASSES, sphere.height, sphere.width)


class PlainMaps(torch.nn.Module, sai_bench.Decoder):
    """One convolution; a map's peak is the score of its class."""

    def __init__(self, config, sphere):
        super().__init__()
        self.grid = (sphere.height, sphere.width)
        self.maps = torch.nn.Conv2d(sphere.channels, CLASSES, config.kernel, padding="same")
        torch.nn.init.constant_(self.maps.bias, -3)  # most cells are empty

    def forward(self, sphere):
        """Return K candidates for sphere features [B, N, D, h, w]."""
        logits = self.logits(sphere.to(self.maps.weight.dtype)).float()
        sure = 20 * torch.eye(CLASSES, CLASSES + 1, device=logits.device)  # candidate k is of class k
        return sai_bench.Candidates(
            class_logits=sure.expand(*logits.shape[:2], -1, -1),
            scores=logits.sigmoid().flatten(3).amax(3),
            mask_logits=logits,
            mask_of=torch.arange(CLASSES, device=logits.device),
        )

    def target_grids(self, losses):
        """Return the grids at which `loss` wants its targets."""
        return (self.grid,)

    def loss(self, sphere, targets, losses):
        """Return what training lowers [], and its parts for the log."""
        found = self.logits(sphere).float()
        masks = targets.masks[self.grid]  # [B, N, T, h, w], T slots for regions
        slots = torch.where(targets.present, targets.classes, CLASSES)  # empty slots to a map of their own
        wanted = masks.new_zeros(*masks.shape[:2], CLASSES + 1, *self.grid)
        wanted = wanted.scatter_reduce(2, slots[..., None, None].expand_as(masks), masks, "amax")[:, :, :-1]
        errors = torch.nn.functional.binary_cross_entropy_with_logits(found, wanted, reduction="none")
        errors = errors * (wanted - found.detach().sigmoid()).abs() ** losses.focus
        loss = errors.sum() / mean_count(wanted.sum())  # of all processes, if several train together
        return loss, {"maps": loss}

    def logits(self, sphere):
        """Return maps [B, N, K, h, w]."""
        return self.maps(sphere.flatten(0, 1)).unflatten(0, sphere.shape[:2])


@sai_bench.hookimpl
def sai_bench_register(register):
    """Tell sai_bench about the decoder."""
    register.component(
        "decoder", "plain_maps", PlainMaps, config=PlainMapsConfig, summary="a map for each class"
    )
