"""`sai-bench bench`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from sai_bench.cli.options import JsonOption, PluginOption, SetOption, SpecArgument, load_spec_or_exit

if TYPE_CHECKING:
    from sai_bench.benchmarking import BenchResult


def _no_nan(seconds: float) -> float:
    """Refuse what is neither below the least nor above the largest value."""
    if math.isnan(seconds):
        raise typer.BadParameter("nan is no number of seconds.")
    return seconds


def bench(
    spec: SpecArgument,
    set_: SetOption = None,
    plugin: PluginOption = None,
    seconds: Annotated[
        float,
        typer.Option("--seconds", min=1, max=600, help="Seconds of noise to hear.", callback=_no_nan),
    ] = 20.0,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Passes that count.")] = 3,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads of torch [default: one per core].")
    ] = None,
    json_: JsonOption = None,
) -> None:
    """Measure what each part of a spec's system costs here: time, memory, distance to the machine's limit."""
    from sai_bench.cli.results_out import check_json_target, deliver

    check_json_target(json_, {})
    loaded = load_spec_or_exit(spec, set_, plugin)

    import torch

    from sai_bench.benchmarking import bench
    from sai_bench.progress import ConsoleReporter

    if threads is not None:
        torch.set_num_threads(threads)
    with ConsoleReporter().task("bench") as progress:
        result = bench(loaded, seconds, repeats, progress)
    deliver(lambda: as_text(result), result.to_json, json_)


def as_text(result: BenchResult) -> str:
    """Return what a system costs as a table for people."""
    lines = [f"{'part':<12}{'component':<40}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}{'RTF':>8}{'limit s':>9}"]
    for part in result.parts:
        peak = "" if part.peak_bytes is None else f"{part.peak_bytes / 1e6:.0f}"
        limit = "" if part.limit_s is None else f"{part.limit_s:.3f}"
        lines.append(
            f"{part.part:<12}{part.component:<40}{part.wall_s:>9.3f}{part.cpu_s:>9.3f}{peak:>9}"
            f"{part.real_time_factor:>8.4f}{limit:>9}"
        )
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in result.matmul_gflops.items())
    lines += [
        "",
        f"{result.audio_s:g} s of audio, real-time factor {result.real_time_factor:.3f} "
        f"({result.real_time_factor_to_export:.3f} up to the export), "
        f"{result.threads} threads, {result.inference['precision']}; "
        f"large matrix products in GFLOP/s: {rates}",
        "",
    ]
    return "\n".join(lines)
