"""A plugin with the smallest network detector: what tests of weights and of inference run."""

from types import MappingProxyType

import torch
from torch import nn

import sai_bench
from sai_bench.config import BackboneConfig, DecoderConfig
from sai_bench.interfaces import Backbone, Candidates, CandidateSpec, Decoder, SphereSpec


class TinyBackboneConfig(BackboneConfig):
    """Loudness per label frame, weighed for each direction."""

    learned = True

    channels: int = 3
    """Channels on the sphere."""

    def output(self, features):
        """Return maps of 18 x 36."""
        return SphereSpec("embedding", self.channels, 18, 36)


class TinyBackbone(nn.Module, Backbone):
    """Mean magnitudes of each microphone in a label frame times learned maps."""

    def __init__(self, config, features):
        super().__init__()
        self.maps = nn.Parameter(torch.randn(4, config.channels, 18, 36))
        self.hops = features.sample_rate_hz // (10 * features.hop_samples)

    def forward(self, features, array):
        """Return [B, N, D, 18, 36]."""
        loud = features.abs().mean(-1).unfold(2, self.hops, self.hops).mean(-1)
        return torch.einsum("bmn,mdhw->bndhw", loud.to(self.maps.dtype), self.maps)


class TinyDecoderConfig(DecoderConfig):
    """Two queries."""

    learned = True

    independent: bool = True
    """Whether frames are decoded alone."""

    def output(self, sphere):
        """Return two candidates."""
        return CandidateSpec(2, 2, sphere.height, sphere.width)


class TinyDecoder(nn.Module, Decoder):
    """Linear heads on the mean of the sphere."""

    landmarks = MappingProxyType({"what the heads say": ("heads", "B N F")})

    def __init__(self, config, sphere):
        super().__init__()
        self.frames_are_independent = config.independent
        self.heads = nn.Linear(sphere.channels, 2 * 15)
        self.mixing = nn.Parameter(torch.randn(2, sphere.channels))

    def forward(self, sphere):
        """Return candidates."""
        heads = self.heads(sphere.mean((-2, -1))).unflatten(-1, (2, 15)).float()
        masks = torch.einsum("qd,bndhw->bnqhw", self.mixing, sphere).float()
        return Candidates(heads[..., :14], heads[..., 14].sigmoid(), masks, torch.arange(2))


@sai_bench.hookimpl
def sai_bench_register(register):
    """Register both."""
    register.component("backbone", "tiny", TinyBackbone, config=TinyBackboneConfig, summary="tiny")
    register.component("decoder", "tiny", TinyDecoder, config=TinyDecoderConfig, summary="tiny")
