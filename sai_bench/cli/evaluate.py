"""`sai-bench evaluate`."""

from __future__ import annotations

from sai_bench.cli.options import (
    CacheOption,
    OutOption,
    PluginOption,
    SetOption,
    SpecArgument,
    WorkersOption,
    load_spec_or_exit,
)


def evaluate(
    spec: SpecArgument,
    set_: SetOption = None,
    plugin: PluginOption = None,
    out: OutOption = None,
    cache: CacheOption = None,
    workers: WorkersOption = None,
) -> None:
    """Predict and score: a run without pictures."""
    from sai_bench.cli.results import print_results
    from sai_bench.progress import ConsoleReporter
    from sai_bench.running import open_context, run_spec

    loaded = load_spec_or_exit(spec, set_, plugin)
    context = open_context(cache, ConsoleReporter(), workers)
    print_results(*run_spec(loaded, out, context, pictures=False))
