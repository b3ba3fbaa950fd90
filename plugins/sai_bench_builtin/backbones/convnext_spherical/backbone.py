"""`convnext_spherical`: features of a segment -> embedding on the sphere (report, section 2.2.2)."""

from __future__ import annotations

import torch
from torch import nn

from sai_bench.interfaces import Backbone, FeatureSpec, SphereSpec
from sai_bench.sphere import ArrayGeometry
from sai_bench_builtin.backbones.convnext_spherical.attention import SphericalCrossAttention
from sai_bench_builtin.backbones.convnext_spherical.encoder import ConvNextEncoder
from sai_bench_builtin.backbones.convnext_spherical.label_windows import average
from sai_bench_builtin.backbones.convnext_spherical.steered_maps import SteeredEmbedding
from sai_bench_builtin.configs.backbone import ConvNextSphericalConfig

_QUERY_STD = 0.02


class ConvNextSpherical(nn.Module, Backbone):
    """ConvNeXt encoder, then learned queries of a spherical grid attend to stages 2, 3 and 4.

    Each stage has a cross-attention block of its own; the queries are shared. A cell of the grid attends to
    the frequencies of one encoder frame at a time. The stages' maps are summed, and averaged over the encoder
    frames around the start of each label frame: at the report's size 5 of 101, which gives 21 maps at 0.0,
    0.1 ... 2.0 s. Sum and average are linear, so that their order does not matter; that of the feed-forward
    network does. The report sums maps of 101 frames, then averages (`feed_forward_at: encoder_frames`, if the
    blocks have such a network; it names none). The default averages first, which is cheaper and not the same.

    Encoder frame t stands for the time of the first STFT frame under it, t * time stride * hop. Nothing here
    convolves over the sphere, so there is no seam: cells are told apart by their queries only, and with
    `steered_bands`, which the report does not have, by steered maps that are added to the sum.
    """

    def __init__(self, config: ConvNextSphericalConfig, features: FeatureSpec):
        """Build the backbone with random weights.

        Args:
            config: the backbone's keys.
            features: what the front end promises.

        Raises:
            sai_bench.errors.WiringError: see `ConvNextSphericalConfig.output`.
        """
        super().__init__()
        self.config = config
        self.sphere = config.output(features)
        self.features = features
        self.frames_per_map = config.frames_per_label_frame(features)
        self.encoder = ConvNextEncoder(features.channels, config)
        self.queries = _GridQueries(self.sphere)
        stages = zip(
            config.stage_channels,
            config.frequency_tokens(features.bins),
            config.frequency_strides(),
            strict=True,
        )
        self.attentions = nn.ModuleList(
            SphericalCrossAttention(channels, tokens, token_bins, config)
            for channels, tokens, token_bins in list(stages)[1:]
        )
        # Last, so that the other weights of a seed do not depend on it.
        self.steered = SteeredEmbedding(config, features, self.sphere) if config.steered_bands else None

    @property
    def landmarks(self) -> dict[str, tuple[str, str]]:
        """Return what is worth showing of the inside: stages, queries, the stages' maps and steered maps."""
        averaged, frames = (", averaged to label frames", "N") if self._averages_first else ("", "T")
        maps = {
            f"stage {stage} map{averaged}": (f"attentions.{stage - 2}", f"B {frames} hw D")
            for stage in (2, 3, 4)
        }
        stages = {f"stage {stage}": (f"encoder.stages.{stage - 1}", "B T F C") for stage in (1, 2, 3, 4)}
        if self.steered is not None:
            maps["steered maps"] = ("steered.maps", "B N hw bands")
        return {**stages, "queries": ("queries", "h w D"), **maps}

    def compile(self, *args, **kwargs) -> None:
        """Compile the encoder in place (arguments as for `torch.compile`).

        The attention stays as it is: its small products are several times faster than compiled large ones.
        """
        self.encoder.compile(*args, **kwargs)

    def forward(self, features: torch.Tensor, array: ArrayGeometry | None = None) -> torch.Tensor:
        """Return the embedding of each direction at each label frame.

        Args:
            features: [B, C, T, F], brought to the type of the weights.
            array: the capsules, which only steered maps need: the rest has learned its array.

        Returns:
            [B, N, D, h, w]; map n is centred on n/10 s. N is at least the number of label frames that the
            STFT frames fill; what a stage with a shorter time stride hears beyond the others is left out.

        Raises:
            ValueError: C or F is not what the front end promised, or T is too short for one encoder frame;
                with steered maps, `array` is missing or has another number of capsules.
            AudioError: with steered maps, the channels are no capsules.
        """
        self._check(features)
        steered = None if self.steered is None else self.steered(features, array)
        grid = self.queries()
        queries, stages = grid.flatten(0, 1), self.encoder(features.to(grid.dtype))[1:]
        maps = [
            attention(queries, stage, frames)
            if self._averages_first
            else average(attention(queries, stage, 1), frames)
            for attention, stage, frames in zip(self.attentions, stages, self.frames_per_map, strict=True)
        ]
        shared = min(stage_maps.shape[1] for stage_maps in maps)
        sphere = sum(stage_maps[:, :shared] for stage_maps in maps)  # [B, N, G, D]
        if steered is not None:
            sphere = sphere + steered[:, :shared]
        return sphere.mT.unflatten(3, grid.shape[:2])

    @property
    def _averages_first(self) -> bool:
        return self.config.feed_forward_at == "label_frames"

    def _check(self, features: torch.Tensor) -> None:
        expected = (self.features.channels, self.features.bins)
        found = (features.shape[1], features.shape[3])
        if found != expected:
            raise ValueError(f"features have (channels, bins) = {found}, the front end promised {expected}")
        if self.config.time_frames(features.shape[2])[-1] < 1:
            raise ValueError(
                f"{features.shape[2]} STFT frames are too few for one frame of the encoder; give it longer "
                "segments"
            )


class _GridQueries(nn.Module):
    """The learned queries of the cells, which all stages share."""

    def __init__(self, sphere: SphereSpec):
        super().__init__()
        self.grid = nn.Parameter(torch.empty(sphere.height, sphere.width, sphere.channels))
        nn.init.trunc_normal_(self.grid, std=_QUERY_STD)

    def forward(self) -> torch.Tensor:
        """Return the queries [h, w, D]."""
        return self.grid
