"""A complete drop-in fusion rule: the mean of detector score and prior. Try it with --plugin FILE."""

from pydantic import Field

import sai_bench


class MeanConfig(sai_bench.ComponentConfig):
    """What a spec may set: `fusion: {use: mean, weight: 0.3}`."""

    weight: float = Field(default=0.5, ge=0, le=1)
    """Share of the prior in the new score."""


class MeanFusion(sai_bench.Fusion):
    """New score: (1 - w) s + w p[c, t]."""

    def __init__(self, config: MeanConfig):
        self.weight = config.weight

    def __call__(self, scores, classes, frames, p):
        """Return the new scores of candidates with the given classes and frames."""
        return (1 - self.weight) * scores + self.weight * p[classes, frames]


@sai_bench.hookimpl
def sai_bench_register(register):
    """Tell sai_bench about the rule."""
    register.component("fusion", "mean", MeanFusion, config=MeanConfig, summary="mean of score and prior")
