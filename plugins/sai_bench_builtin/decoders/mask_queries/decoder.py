"""Decoder `mask_queries`: learned queries attend to the sphere, layer by layer, and become masks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from sai_bench.interfaces import Candidates, Decoder, SphereSpec
from sai_bench.sphere import CLASSES, COLUMNS, ROWS
from sai_bench.training.mask_sets import SetPrediction
from sai_bench.training.targets import Grid, MaskTargets
from sai_bench_builtin.configs.decoder import MaskQueriesConfig
from sai_bench_builtin.configs.mask_query_losses import MaskQueriesLosses
from sai_bench_builtin.decoders.mask_queries.attention import aligned, masked_attention_bias
from sai_bench_builtin.decoders.mask_queries.heads import (
    AttentionMasks,
    MaskFeatures,
    MultiLayer,
    ProductMasks,
    derived_scores,
    peak_of,
)
from sai_bench_builtin.decoders.mask_queries.layers import DecoderLayer
from sai_bench_builtin.decoders.mask_queries.positions import (
    TIME_PERIODS_FRAMES,
    frame_positions,
    sphere_positions,
)
from sai_bench_builtin.decoders.mask_queries.refinement import RefinedCandidates, Refinement
from sai_bench_builtin.decoders.mask_queries.set_loss import loss_of_layers


@dataclass(frozen=True)
class _Memory:
    """What the queries of n sets (frames or segments) work on; a set has F frames.

    Attributes:
        cells: [n, F * h * w, C] float32 what the attention reads.
        features: [n, C, F, h, w] float32 what masks are made of.
    """

    cells: torch.Tensor
    features: torch.Tensor


class MaskQueries(nn.Module, Decoder):
    """Q learned queries a frame (or a segment), `layers` transformer layers, one mask a query.

    With masked attention, a mask is predicted before the first layer and after each, and the next layer
    reads only the cells that it covers. Class, score and mask heads are shared by all layers. See
    `MaskQueriesConfig` for the choices that make it a decoder like DETR, MaskFormer or Mask2Former.
    """

    def __init__(self, config: MaskQueriesConfig, sphere: SphereSpec):
        super().__init__()
        config.output(sphere)  # refuses a map that is no embedding
        self.config = config
        self.frames_are_independent = config.query_scope == "frame"
        channels, grid = config.query_channels, (sphere.height, sphere.width)
        self.grid = grid
        degree = 0 if config.position == "none" else config.position_degree
        positions = sphere_positions(*grid, degree, zonal=config.position == "elevation")
        self.register_buffer("positions", positions, persistent=False)
        self.identities = nn.Parameter(torch.randn(config.queries, channels))
        if config.initial_queries == "learned":
            self.start = nn.Parameter(torch.randn(config.queries, channels))
        else:
            self.register_buffer("start", torch.zeros(config.queries, channels), persistent=False)
        times = 2 * len(TIME_PERIODS_FRAMES) if config.query_scope == "segment" else 0
        self.layers = nn.ModuleList(
            DecoderLayer(
                channels,
                config.heads,
                config.feed_forward_channels,
                sphere.channels,
                positions.shape[1] + times,
                config.first_attention,
            )
            for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(channels)
        self.mask_features = MaskFeatures(sphere.channels, config.mask_channels)
        self.mask_head = (
            ProductMasks(channels, config.mask_channels)
            if config.mask_head == "product"
            else AttentionMasks(channels, config.mask_channels, config.heads)
        )
        self.class_head = nn.Linear(channels, CLASSES + 1)
        self.score_head = MultiLayer(channels, channels, 1) if config.score == "learned" else None
        self.refinement = None
        if config.refinement == "learned" and grid != (ROWS, COLUMNS):
            self.refinement = Refinement(sphere.channels, grid, config.refinement_channels)

    def _apply(self, fn, recurse=True):
        # What a network is rounded to must not round the positions: attention logits are float32.
        exact = self.positions
        super()._apply(fn, recurse)
        self.positions = exact.to(self.positions.device)
        return self

    def compile(self, *args, **kwargs) -> None:
        """Leave the decoder as it is: compiled it is no faster, and compiling takes a minute."""

    def forward(self, sphere: torch.Tensor) -> Candidates:
        """Return the final candidates: Q a frame, each with its own mask.

        Args:
            sphere: [B, N, D, h, w] embedding.
        """
        sphere = sphere.to(self.identities.dtype)
        return self._candidates(sphere, self._predictions(sphere, every_layer=False)[-1])

    def forward_layers(self, sphere: torch.Tensor) -> tuple[Candidates, list[SetPrediction]]:
        """Return the final candidates and, for deep supervision, what each layer predicts.

        Args:
            sphere: [B, N, D, h, w] embedding.

        Returns:
            the candidates, and `layers` predictions of sets, preceded by that of the initial queries if the
            config asks for it. There are n = B N sets with masks [n, Q, 1, h, w], or n = B with
            [n, Q, N, h, w] for queries of a segment.
        """
        sphere = sphere.to(self.identities.dtype)
        predictions = self._predictions(sphere, every_layer=True)
        return self._candidates(sphere, predictions[-1]), predictions

    def target_grids(self, losses: MaskQueriesLosses) -> tuple[Grid, ...]:
        """Return the grid of the masks, and the sizes of the refinement's steps if they are supervised."""
        refined = self.refinement is not None and losses.refinement > 0
        return (self.grid, *(self.refinement.sizes if refined else ()))

    def loss(
        self, sphere: torch.Tensor, targets: MaskTargets, losses: MaskQueriesLosses
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the weighted sum of the losses of all layers, and the last layer's by name."""
        candidates, layers = self.forward_layers(sphere)
        return loss_of_layers(
            layers,
            candidates if self.refinement is not None else None,
            targets,
            self.grid,
            losses,
            by_segment=self.config.query_scope == "segment",
        )

    def _predictions(self, sphere: torch.Tensor, every_layer: bool) -> list[SetPrediction]:
        """Return the predictions of every layer, or only the final one."""
        memory = self._memory(sphere)
        states = self.start.expand(len(memory.cells), -1, -1)
        predictions, bias = [], None
        for number in range(self.config.layers + 1):  # 0 stands for the initial queries
            if number:
                states = self.layers[number - 1](states, self.identities, memory.cells, bias)
            elif not self.config.initial_prediction:
                continue
            is_last = number == self.config.layers
            guides = self.config.masked_attention and not is_last
            if not (guides or every_layer or is_last):
                continue
            seen = self.norm(states)
            mask_logits = self.mask_head(seen, memory.features)
            if guides:
                bias = masked_attention_bias(mask_logits.flatten(2))
            if every_layer or is_last:
                predictions.append(self._prediction(seen, mask_logits))
        return predictions

    def _memory(self, sphere: torch.Tensor) -> _Memory:
        """Return what the queries work on, from the sphere features [B, N, D, h, w]."""
        batch, frames = sphere.shape[:2]
        flat = sphere.flatten(0, 1)
        features = self.mask_features(flat).float()
        positions = self.positions.expand(len(flat), -1, -1)
        cells = torch.cat([flat.float().flatten(2).transpose(1, 2), positions], dim=2)
        if self.config.query_scope == "frame":
            return _Memory(aligned(cells), features[:, :, None])
        times = frame_positions(frames, sphere.device)
        times = times[None, :, None].expand(batch, -1, cells.shape[1], -1)
        cells = torch.cat([cells.unflatten(0, (batch, frames)), times], dim=3).flatten(1, 2)
        return _Memory(aligned(cells), features.unflatten(0, (batch, frames)).transpose(1, 2))

    def _prediction(self, states: torch.Tensor, mask_logits: torch.Tensor) -> SetPrediction:
        """Return the prediction of queries [n, Q, d] with mask logits [n, Q, F, h, w]."""
        return SetPrediction(
            class_logits=self.class_head(states).float(),
            mask_logits=mask_logits,
            score_logits=self.score_head(states)[..., 0].float() if self.score_head else None,
        )

    def _candidates(self, sphere: torch.Tensor, prediction: SetPrediction) -> Candidates:
        """Return the candidates of every frame that a prediction of sets stands for."""
        batch, frames = sphere.shape[:2]
        class_logits, mask_logits, score_logits = (
            prediction.class_logits,
            prediction.mask_logits,
            prediction.score_logits,
        )
        if self.config.query_scope == "frame":
            class_logits = class_logits.unflatten(0, (batch, frames))
            mask_logits = mask_logits[:, :, 0].unflatten(0, (batch, frames))
        else:
            class_logits = class_logits[:, None].expand(-1, frames, -1, -1)
            mask_logits = mask_logits.transpose(1, 2)
        if score_logits is None:
            scores = derived_scores(class_logits, mask_logits)
        elif self.config.query_scope == "frame":
            scores = score_logits.sigmoid().unflatten(0, (batch, frames))
        else:
            scores = score_logits.sigmoid()[:, None] * peak_of(mask_logits)
        mask_of = torch.arange(self.config.queries, device=sphere.device)
        if self.refinement is None:
            return Candidates(class_logits, scores, mask_logits, mask_of)
        return RefinedCandidates(class_logits, scores, mask_logits, mask_of, sphere, self.refinement)
