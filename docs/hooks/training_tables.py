"""Tables about what training reaches on the benchmark set rooms13, from committed results."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path

from sai_bench.results.record import RunRecord, VariantResult, read_record

_REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = _REPOSITORY / "docs" / "results" / "training"
WEIGHTS = _REPOSITORY / "specs" / "weights" / "steered_rooms13.safetensors"
"""What specs/steered_pretrained.yaml uses."""
STAGES = {
    "steered": ("detector",),
    "steered_class_maps": ("detector",),
    "tiny_rooms13": ("synthetic", "dcase"),
    "tiny_steered_rooms13": ("synthetic", "dcase"),
}
"""Specs whose runs were kept, each in a folder, and their stages of training. An entry is all that a further
spec takes: tables, curves and the script that makes the results go through them."""
STEPS_ONLY = frozenset({"tiny_rooms13"})
"""Specs whose kept results are older than the counting of validation and checkpoints: their seconds are those
of the steps alone. Take a name out when its results are made anew."""
PROTOTYPE_MAP = 0.2, 0.3
"""June mAP that a prototype of `steered` suggested, on other data: still sources, no validation split."""
JUNE, APRIL = "dcase2026_june", "dcase2026_april"
THRESHOLDS = ("0.25", "0.5", "0.75")

NO_TRAINING = "no_training"
NO_TRAINING_ALPHAS = {
    "0": "no_training_alpha_0",
    "0.25": "no_training_alpha_0_25",
    "1": "no_training_alpha_1",
}
"""Alpha -> variant of specs/steered.yaml that has the detector of specs/quickstart.yaml."""
OTHER_ALPHAS = {"0": "alpha_0", "0.25": "alpha_0_25", "1": "alpha_1"}
"""Alpha -> variant of each spec; the specs' own systems have 0.5."""
CHOICES = "steered_choices"
"""Spec whose variants differ in a key that acts after training, on the validation split."""


def systems() -> str:
    """Return what each trained system scores on the test split, and what training it took."""
    steered = record_of("steered")
    rows = [_row("no training", steered.variants[NO_TRAINING], interval_of("steered", NO_TRAINING), [])]
    for name in STAGES:
        variant = record_of(name).variants[name]
        rows.append(_row(f"`{name}.yaml`", variant, interval_of(name, name), _trained(name)))
    columns = [
        "system",
        "core minutes",
        "steps",
        "June mAP",
        "95% interval",
        *(f"AP at {t}" for t in THRESHOLDS),
    ]
    return _table([*columns, "Pearson r"], rows) + f"\n{_circumstances(steered)}\n"


def against_prototype() -> str:
    """Return how what `steered` reached compares with what its prototype suggested."""
    (low, high), reached = PROTOTYPE_MAP, _june_map("steered", "steered")
    place = "below" if reached < low else "above" if reached > high else "within"
    of_all = [reached, *(_june_map("steered", variant) for variant in OTHER_ALPHAS.values())]
    return (
        f"A prototype, on other data with still sources only, suggested a June mAP of {low:g} to {high:g}. "
        f"`steered.yaml` reaches {reached:.3f}, which lies {place} that range; with the four alphas below it "
        f"is {min(of_all):.3f} to {max(of_all):.3f}.\n"
    )


def rendering() -> str:
    """Return how long the benchmark set took to render."""
    time = json.loads((RESULTS / "rendering.json").read_text())
    return (
        f"The data of all splits, {time['recordings']} recordings of together {time['audio_s']:.0f} s, were "
        f"rendered in {time['seconds'] / 60:.1f} minutes on {time['cpu']}, {time['logical_cores']} logical "
        "cores (from the first recording that was written to the last).\n"
    )


def fusion() -> str:
    """Return the June mAP of each system with the prior weighted by different exponents."""
    rows = [_fusion_row("no training", "steered", NO_TRAINING, NO_TRAINING_ALPHAS)]
    rows += [_fusion_row(f"`{spec}.yaml`", spec, spec, OTHER_ALPHAS) for spec in STAGES]
    return _table(["system", "alpha 0", "alpha 0.25", "alpha 0.5", "alpha 1"], rows)


def choices() -> str:
    """Return the June mAP on the validation split with other keys that act after training."""
    record = record_of(CHOICES)
    rows = [
        [
            "as in `steered.yaml`" if name == CHOICES else f"`{_changed(record, name)}`",
            f"{_june_map(CHOICES, name):.3f}",
            "{:.3f} to {:.3f}".format(*interval_of(CHOICES, name)),
        ]
        for name in record.variants
    ]
    data = record.data
    return (
        _table(["system", "June mAP", "95% interval"], rows)
        + f"\nSplit `{data.split}`: {data.recordings} recordings, {data.audio_s:.0f} s.\n"
    )


def mask_shapes() -> str:
    """Return which share of labels discs pass the June metric's thresholds with, by how far they are off."""
    content = json.loads((RESULTS / "mask_shapes.json").read_text())
    thresholds = [str(threshold) for threshold in content["thresholds"]]
    rows = [
        [
            f"{offset} degrees off",
            *(f"{share:.2f}" for share in (*shares["best_extent"], *shares["common_extent"])),
        ]
        for offset, shares in content["by_offset_deg"].items()
    ]
    rows.append(["in place, flat disc", *(f"{share:.2f}" for share in content["flat_discs"]), "", "", ""])
    common = f"{content['common_extent_deg']:g} degrees for all"
    columns = ["disc", *(f"best radius, {t}" for t in thresholds), *(f"{common}, {t}" for t in thresholds)]
    return _table(columns, rows) + f"\n{content['labels']} labels of the validation split.\n"


def model_card() -> str:
    """Return what the shipped weights are, how they were trained and what they score."""
    record, content = record_of("steered"), WEIGHTS.read_bytes()
    variant, environment = record.variants["steered"], record.environment
    detector, prior = variant.fits["detector.detector"], variant.fits["prior"]
    june, april = (variant.metrics[metric] for metric in (JUNE, APRIL))
    low, high = interval_of("steered", "steered")
    processes = _trained("steered")[0]["processes"]
    rows = [
        ["file", f"`{WEIGHTS.name}`, {len(content) / 1e6:.2f} MB"],
        ["SHA-256", hashlib.sha256(content).hexdigest()],
        ["made by", f"`specs/{record.name}.yaml`, seed {record.seed}, commit {_commit(environment)}"],
        ["trained on", f"{detector.recordings} simulated recordings of `specs/data/rooms13.yaml`"],
        [
            "detector",
            f"{detector.steps} steps in {detector.seconds / 60:.1f} minutes, validation and checkpoints "
            + ("not counted" if "steered" in STEPS_ONLY else "included"),
        ],
        ["prior", f"fitted to {prior.recordings} recordings in {prior.seconds:.0f} s"],
        ["hardware", f"{environment.get('cpu')}, {processes} processes with one thread each"],
        ["June mAP, test split", f"{june['macro_mAP']:.3f} (95% interval {low:.3f} to {high:.3f})"],
        ["June Pearson r", f"{june['macro_pearson_r']:.3f}"],
        ["April mAP, AP50", f"{april['map']:.3f}, {april['ap50']:.3f}"],
    ]
    return _table(["", "what"], rows)


def _changed(record: RunRecord, variant: str) -> str:
    """Return the keys of sections that a variant changes, and their values there."""
    changes = []
    for path, section in record.spec["variants"][variant].items():
        own = functools.reduce(lambda tree, key: tree[key], path.split("."), record.spec)
        changes += [f"{key}: {value:g}" for key, value in section.items() if value != own[key]]
    return ", ".join(changes)


@functools.cache
def record_of(spec: str) -> RunRecord:
    """Return the record of a spec's run."""
    return read_record(RESULTS / spec / "result.json")


@functools.cache
def _intervals(spec: str) -> dict:
    return json.loads((RESULTS / spec / "intervals.json").read_text())


def interval_of(spec: str, variant: str) -> tuple[float, float]:
    """Return the 95% interval of a variant's June mAP over recordings."""
    interval = _intervals(spec)[variant]["macro_mAP"]
    return interval["low"], interval["high"]


def _fusion_row(name: str, spec: str, own: str, others: dict[str, str]) -> list[str]:
    order = (others["0"], others["0.25"], own, others["1"])
    return [name, *(f"{_june_map(spec, variant):.3f}" for variant in order)]


def _june_map(spec: str, variant: str) -> float:
    return record_of(spec).variants[variant].metrics[JUNE]["macro_mAP"]


def _row(name: str, variant: VariantResult, interval: tuple[float, float], trained: list[dict]) -> list[str]:
    numbers = variant.metrics[JUNE]
    return [
        name,
        f"{sum(stage['seconds'] * stage['processes'] for stage in trained) / 60:.0f}",
        str(sum(stage["steps"] for stage in trained)),
        f"{numbers['macro_mAP']:.3f}",
        f"{interval[0]:.3f} to {interval[1]:.3f}",
        *(f"{average:.3f}" for average in numbers["macro_AP_per_thr"]),
        f"{numbers['macro_pearson_r']:.3f}",
    ]


def _trained(spec: str) -> list[dict]:
    """Return what the stages of a spec's training left."""
    return [json.loads((RESULTS / spec / f"{stage}.json").read_text()) for stage in STAGES[spec]]


def _circumstances(record: RunRecord) -> str:
    environment = record.environment
    shortened = [f"`{name}.yaml`" for name in STAGES if name in STEPS_ONLY]
    but = f", but not in those of {' and '.join(shortened)}" if shortened else ""
    return (
        f"Split `{record.data.split}` of `specs/data/rooms13.yaml`: {record.data.recordings} recordings, "
        f"{record.data.audio_s:.0f} s. Seed {record.seed}, one training each. Core minutes: time of the "
        "training times processes, each with one thread, on "
        f"{environment.get('cpu') or 'unknown processor'}, {environment.get('logical_cores')} logical cores; "
        f"validation and checkpoints are included{but}. "
        "Intervals: recordings drawn with replacement, 1000 times."
    )


def _commit(environment: dict) -> str:
    git = environment.get("git") or {}
    return (git.get("commit") or "unknown")[:10] + " with local changes" * bool(git.get("dirty"))


def _table(columns: list[str], rows: list[list[str]]) -> str:
    rules = [":---", *["---:"] * (len(columns) - 1)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (columns, rules, *rows))
