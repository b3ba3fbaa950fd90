"""`sai-bench predict`."""

from __future__ import annotations

from sai_bench.cli.options import (
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
    workers: WorkersOption = None,
) -> None:
    """Write the prediction files of a spec's system, without scoring them."""
    from sai_bench.progress import ConsoleReporter
    from sai_bench.running import predict_only

    loaded = load_spec_or_exit(spec, set_, plugin)
    folder = predict_only(loaded, out, ConsoleReporter(), workers)
    print(folder)
