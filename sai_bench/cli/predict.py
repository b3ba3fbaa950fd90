"""`sai-bench predict`."""

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


def predict(
    spec: SpecArgument,
    set_: SetOption = None,
    plugin: PluginOption = None,
    out: OutOption = None,
    cache: CacheOption = None,
    workers: WorkersOption = None,
) -> None:
    """Write the prediction files of a spec's system, without scoring them."""
    from sai_bench.progress import ConsoleReporter
    from sai_bench.running import open_context, predict_only

    loaded = load_spec_or_exit(spec, set_, plugin)
    print(predict_only(loaded, out, open_context(cache, ConsoleReporter(), workers)))
