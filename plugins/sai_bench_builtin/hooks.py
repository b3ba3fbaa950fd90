"""What this package registers. Strings only: importing this module imports no component."""

from __future__ import annotations

import sai_bench

_COMPONENTS = [
    # kind, name, class, config model, summary
    ("front_end", "stft", "front_ends.stft:Stft", "StftConfig", "complex short-time spectrum"),
    (
        "backbone",
        "steered_power",
        "backbones.steered_power:SteeredPower",
        "SteeredPowerConfig",
        "SRP-PHAT: steered response power from the array geometry, no training",
    ),
    (
        "decoder",
        "peak_regions",
        "decoders.peak_regions:PeakRegions",
        "PeakRegionsConfig",
        "regions around local maxima, one candidate per region and class",
    ),
    (
        "prior",
        "log_mel_linear",
        "priors.log_mel_linear:LogMelLinear",
        "LogMelLinearConfig",
        "logistic regression on pooled log-mel statistics, fitted in seconds",
    ),
    (
        "prior",
        "uniform",
        "priors.uniform:Uniform",
        "UniformConfig",
        "the same activity for every class: what a system is worth without recognition",
    ),
    ("fusion", "none", "fusions.none:NoFusion", "NoFusionConfig", "detector scores as they are"),
    ("fusion", "power", "fusions.power:Power", "PowerConfig", "s * p^alpha (report, equation 1)"),
    (
        "compressor",
        "dense",
        "compressors.dense:Dense",
        "DenseConfig",
        "every point, no reduction",
    ),
    (
        "compressor",
        "grid_support",
        "compressors.grid_support:GridSupport",
        "GridSupportConfig",
        "strongest point of each grid cell plus boundary support (report, 3.3.2)",
    ),
    (
        "dataset",
        "simulated_rooms",
        "datasets.simulated_rooms:SimulatedRooms",
        "SimulatedRoomsConfig",
        "shoebox rooms with extended, moving, overlapping sources",
    ),
    (
        "metric",
        "dcase2026_april",
        "metrics.dcase2026_april:April",
        "AprilConfig",
        "the evaluator of 2026-04-02: mAP, AP50, Pearson, distance",
    ),
    (
        "metric",
        "dcase2026_june",
        "metrics.dcase2026_june:June",
        "JuneConfig",
        "the ranking evaluator of 2026-06-30: mAP by soft IoU, Pearson",
    ),
]


@sai_bench.hookimpl
def sai_bench_register(register):
    """Register every built-in component."""
    for kind, name, target, config, summary in _COMPONENTS:
        register.component(
            kind,
            name,
            f"sai_bench_builtin.{target}",
            config=f"sai_bench_builtin.configs.{kind}:{config}",
            summary=summary,
        )
