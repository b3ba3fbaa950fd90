"""Tables made from the committed results: no number in the documentation is typed by hand.

Quoted files are kept true likewise. As a script it brings a file that mkdocs does not build, the README, up
to date:

    python docs/hooks/result_tables.py README.md

rewrites everything between `<!-- begin: NAME -->` and `<!-- end: NAME -->`.
"""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import report_tables
import training_tables

from sai_bench.results.record import RunRecord, read_record
from sai_bench.results.summary import format_value, markdown_table
from sai_bench.sphere import CLASS_NAMES

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "docs" / "results"
FIRST_RUN = RESULTS / "quickstart" / "result.json"
SECOND_RUN = RESULTS / "quickstart" / "second_run.json"
FUSION_LOG = RESULTS / "quickstart" / "mean_fusion.log"
BENCHMARKS = RESULTS / "benchmarks.json"

METRIC = "dcase2026_april"
OFFICIAL_AND_MACRO = {
    "mAP": ("map", "macro_present", "macro13", "macro_union"),
    "Pearson r": ("pearson", "macro_pearson", None, None),
    "distance error (%)": ("distance_mape", "macro_distance_mape", None, None),
}
"""Row -> the metric's numbers in the columns official, macro, over 13 classes, over the union."""

_BLOCK = re.compile(r"(<!-- begin: ([\w-]+) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)


def quickstart() -> str:
    """Return the summary of the quickstart run, its system beside the variants, and what it was run on."""
    record = _first_run()
    return f"{markdown_table(record)}\n{_circumstances(record)}\n"


def quickstart_times() -> str:
    """Return how long a first and a second run of the quickstart took, and what they had to compute."""
    rows = []
    for name, record in (("first", _first_run()), ("second", read_record(SECOND_RUN))):
        stages = [stage for variant in record.variants.values() for stage in variant.stages.values()]
        computed, reused = sum(s.computed for s in stages), sum(s.reused for s in stages)
        seconds = (record.finished - record.started).total_seconds()
        rows.append([name, f"{seconds:.0f}", str(computed), str(reused)])
    return _table(["run", "seconds from start to end", "stage files computed", "reused"], rows)


def quickstart_stages() -> str:
    """Return the computing time of each stage of each system."""
    rows = [
        [system, stage, str(timing.recordings), f"{timing.seconds:.1f}", _factor(timing.real_time_factor)]
        for system, variant in _first_run().variants.items()
        for stage, timing in variant.stages.items()
    ]
    return _table(["system", "stage", "recordings", "seconds", "real-time factor"], rows, text_columns=2)


def fusion_log() -> str:
    """Return what the command line said of the quickstart's own system with another fusion rule."""
    own_system = FUSION_LOG.read_text().partition("\nvariant uniform_prior")[0]
    return f"```text\n{own_system}\n```\n"


def quickstart_classes() -> str:
    """Return the average precision of each class."""
    variants = _first_run().variants
    rows = [
        [
            f"{category} {name}",
            *(_number(v.metrics[METRIC]["per_class_ap"][str(category)]) for v in variants.values()),
        ]
        for category, name in enumerate(CLASS_NAMES)
    ]
    return _table(["class", *variants], rows)


def quickstart_macro() -> str:
    """Return the official numbers of the April metric beside true macro averages."""
    rows = []
    for system, variant in _first_run().variants.items():
        numbers = variant.metrics[METRIC]
        rows += [
            [system, label, *("" if name is None else _number(numbers[name]) for name in names)]
            for label, names in OFFICIAL_AND_MACRO.items()
        ]
    columns = ["system", "number", "official", "macro", "macro over 13", "macro over the union"]
    return _table(columns, rows, text_columns=2)


def quickstart_sizes() -> str:
    """Return how large prediction files are, with and without the compressor."""
    rows = []
    for system, variant in _first_run().variants.items():
        files = variant.files
        dense, small = files["dense_bytes_total"], files["prediction_bytes_total"]
        sizes = [files["prediction_bytes_mean"], files["prediction_bytes_max"], files["dense_bytes_max"]]
        rows.append(
            [
                system,
                str(files["detections"]),
                *(f"{size / 1e6:.3g}" for size in sizes),
                f"{dense / small:.1f}" if small else "n/a",
            ]
        )
    columns = ["system", "detections", "mean MB", "largest MB", "largest MB uncompressed", "times smaller"]
    return _table(columns, rows)


def benchmarks(files: Sequence[str] = ()) -> str:
    """Return the timed parts, with the figures that each benchmark reports besides its time.

    Args:
        files: names of test files (without suffix) whose benchmarks are wanted; all if empty.
    """
    content = json.loads(BENCHMARKS.read_text())
    rows = [
        [
            one["name"],
            "; ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in one["figures"].items()),
            f"{one['median_s'] * 1000:.3g}",
            str(one["rounds"]),
        ]
        for one in content["benchmarks"]
        if not files or one["file"] in files
    ]
    machine = content["machine"]
    table = _table(["benchmark", "figures", "median ms", "rounds"], rows, text_columns=2)
    place = f"{machine['cpu']}, {machine['logical_cores']} logical cores; Python {machine['python']}."
    return f"{table}\nMeasured on {place}\n"


TABLES: dict[str, Callable[[], str]] = {
    "quickstart": quickstart,
    "quickstart-times": quickstart_times,
    "quickstart-stages": quickstart_stages,
    "fusion-log": fusion_log,
    "quickstart-classes": quickstart_classes,
    "quickstart-macro": quickstart_macro,
    "quickstart-sizes": quickstart_sizes,
    "benchmarks": benchmarks,
    "report-shapes": report_tables.shapes,
    "report-costs": report_tables.costs,
    "report-benchmarks": functools.partial(benchmarks, report_tables.BENCHMARK_FILES),
    "training-benchmarks": functools.partial(benchmarks, report_tables.TRAINING_BENCHMARK_FILES),
    "trained-systems": training_tables.systems,
    "trained-against-prototype": training_tables.against_prototype,
    "rendering-time": training_tables.rendering,
    "trained-fusion": training_tables.fusion,
    "trained-choices": training_tables.choices,
    "model-card": training_tables.model_card,
    "mask-shapes": training_tables.mask_shapes,
}
"""What may stand after `table:` in a marker."""


def quoted(path: str, language: str) -> str:
    """Return a file of the repository as a fenced block of code."""
    return f"```{language}\n{(REPOSITORY / path).read_text()}```\n"


QUOTED_FILES: dict[str, Callable[[], str]] = {
    "report-spec": functools.partial(quoted, "specs/report.yaml", "yaml"),
    "quickstart-spec": functools.partial(quoted, "specs/quickstart.yaml", "yaml"),
    "example-plugin": functools.partial(quoted, "plugins/example_single_file.py", "python"),
    "example-fitted-prior": functools.partial(quoted, "plugins/example_fitted_prior.py", "python"),
    "example-trainable-decoder": functools.partial(quoted, "plugins/example_trainable_decoder.py", "python"),
    "tiny-rooms13-spec": functools.partial(quoted, "specs/tiny_rooms13.yaml", "yaml"),
}
"""What may stand after `file:` in a marker."""


def with_fresh_blocks(text: str) -> str:
    """Return a text with the tables and files between its begin and end markers made anew.

    Raises:
        ValueError: a marker names neither a table nor a file, or a begin has no end.
    """
    known = TABLES | QUOTED_FILES

    def fresh(block: re.Match) -> str:
        begin, name, end = block.groups()
        if name not in known:
            raise ValueError(f"unknown marker 'begin: {name}'. Known: {', '.join(known)}.")
        return f"{begin}{known[name]()}{end}"

    if text.count("<!-- begin: ") != len(_BLOCK.findall(text)):
        raise ValueError("a '<!-- begin: NAME -->' has no '<!-- end: NAME -->'.")
    return _BLOCK.sub(fresh, text)


@functools.cache
def _first_run() -> RunRecord:
    return read_record(FIRST_RUN)


def _circumstances(record: RunRecord) -> str:
    environment, data = record.environment, record.data
    packages = environment.get("packages", {})
    git = environment.get("git") or {}
    revision = f", commit {git['commit'][:10]}" if git.get("commit") else ""
    revision += " with local changes" * bool(git.get("dirty"))
    return (
        f"Split `{data.split}`: {data.recordings} recordings, {data.audio_s:.0f} s of audio. "
        f"Seed {record.seed}. {environment.get('cpu') or 'unknown processor'}, "
        f"{environment.get('logical_cores')} logical cores. {environment.get('python')}, "
        f"torch {packages.get('torch')}, sai-bench {packages.get('sai-bench')}{revision}."
    )


def _number(value: float | None) -> str:
    return format_value("", value)


def _factor(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3g}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> str:
    """Return a Markdown table whose first columns hold text and the others numbers."""
    rules = [":---" if i < text_columns else "---:" for i in range(len(columns))]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (columns, rules, *rows))


def main(paths: Sequence[str]) -> None:
    """Rewrite the generated parts of files."""
    for path in map(Path, paths):
        old = path.read_text()
        new = with_fresh_blocks(old)
        if new != old:
            path.write_text(new)
        print(f"{path}: {'rewritten' if new != old else 'up to date'}")


if __name__ == "__main__":
    main(sys.argv[1:])
