"""What this package registers. Strings only: importing this module imports no component."""

from __future__ import annotations

import sai_bench

_COMPONENTS = [
    # kind, name, class, config model, summary
    ("front_end", "stft", "front_ends.stft:Stft", "StftConfig", "complex short-time spectrum"),
    (
        "front_end",
        "stft_log_magnitude_phase",
        "front_ends.stft_log_magnitude_phase:StftLogMagnitudePhase",
        "StftLogMagnitudePhaseConfig",
        "log magnitude, sine and cosine of the phase of every microphone (report, 2.2.2)",
    ),
    (
        "front_end",
        "stft_phase_difference",
        "front_ends.stft_phase_difference:StftPhaseDifference",
        "StftPhaseDifferenceConfig",
        "log magnitudes and the phase differences of microphone pairs",
    ),
    (
        "backbone",
        "convnext_spherical",
        "backbones.convnext_spherical.backbone:ConvNextSpherical",
        "ConvNextSphericalConfig",
        "ConvNeXt encoder and spherical cross-attention (report, 2.2.2)",
    ),
    (
        "backbone",
        "steered_masks",
        "backbones.steered_masks.backbone:SteeredMasks",
        "SteeredMasksConfig",
        "learned masks over time and frequency, projected by the array's steering vectors",
    ),
    (
        "backbone",
        "steered_power",
        "backbones.steered_power:SteeredPower",
        "SteeredPowerConfig",
        "SRP-PHAT: steered response power from the array geometry, no training",
    ),
    (
        "decoder",
        "class_maps",
        "decoders.class_maps.decoder:ClassMaps",
        "ClassMapsConfig",
        "activity and a dense map of each class, regions around the maps' peaks",
    ),
    (
        "decoder",
        "class_discs",
        "decoders.class_discs.decoder:ClassDiscs",
        "ClassDiscsConfig",
        "activity and place of each class, the disc that is expected to agree best",
    ),
    (
        "decoder",
        "peak_regions",
        "decoders.peak_regions:PeakRegions",
        "PeakRegionsConfig",
        "regions around local maxima, one candidate per region and class",
    ),
    (
        "decoder",
        "mask_queries",
        "decoders.mask_queries.decoder:MaskQueries",
        "MaskQueriesConfig",
        "learned queries with masked attention, one mask each (report, 2.2.3)",
    ),
    (
        "prior",
        "audiomae",
        "priors.audiomae.prior:AudioMae",
        "AudioMaeConfig",
        "frozen AudioMAE encoder with a fitted head, 2-s windows (report, 2.3)",
    ),
    (
        "prior",
        "label_frequency",
        "priors.label_frequency:LabelFrequency",
        "LabelFrequencyConfig",
        "how often each class sounds in the training data, whatever is heard",
    ),
    (
        "prior",
        "log_mel_cnn",
        "priors.log_mel_cnn.prior:LogMelCnn",
        "LogMelCnnConfig",
        "small convolutional network on the log-mel spectrogram",
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
        "oracle",
        "priors.oracle:Oracle",
        "OracleConfig",
        "the labels themselves, for diagnostics: what perfect recognition would be worth",
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
    ("fusion", "log_odds", "fusions.log_odds:LogOdds", "LogOddsConfig", "weighted sum of log odds"),
    ("fusion", "geometric", "fusions.geometric:Geometric", "GeometricConfig", "s^(1-w) * p^w"),
    (
        "fusion",
        "rank_average",
        "fusions.rank_average:RankAverage",
        "RankAverageConfig",
        "average of the ranks of score and activity in the recording",
    ),
    ("fusion", "noisy_or", "fusions.noisy_or:NoisyOr", "NoisyOrConfig", "1 - (1 - s) * (1 - w p)"),
    (
        "fusion",
        "presence",
        "fusions.presence:Presence",
        "PresenceConfig",
        "s * P^alpha, P one probability per class for the whole recording",
    ),
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
        "datasets.simulated_rooms.dataset:SimulatedRooms",
        "SimulatedRoomsConfig",
        "shoebox rooms with extended, moving, overlapping sources",
    ),
    (
        "dataset",
        "stairs26",
        "datasets.stairs26:Stairs26",
        "Stairs26Config",
        "STAIRS26: em32 or MIC recordings of real rooms with label JSONs",
    ),
    (
        "dataset",
        "starss23",
        "datasets.starss23.dataset:Starss23",
        "Starss23Config",
        "STARSS23: MIC or FOA recordings of real rooms, regions made from CSV directions",
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
