"""`sai-bench run`."""

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


def run(
    spec: SpecArgument,
    set_: SetOption = None,
    plugin: PluginOption = None,
    out: OutOption = None,
    cache: CacheOption = None,
    workers: WorkersOption = None,
) -> None:
    """Do everything a spec asks for: data, fit, predictions, scores, record and pictures."""
    from sai_bench.cli.results import print_results
    from sai_bench.progress import ConsoleReporter
    from sai_bench.running import open_context, run_spec

    loaded = load_spec_or_exit(spec, set_, plugin)
    context = open_context(cache, ConsoleReporter(), workers)
    print_results(*run_spec(loaded, out, context, pictures=True))
