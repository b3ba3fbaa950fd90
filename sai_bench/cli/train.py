"""`sai-bench train`."""

from __future__ import annotations

from sai_bench.cli.options import (
    CacheOption,
    PluginOption,
    SetOption,
    SpecArgument,
    WorkersOption,
    load_spec_or_exit,
)


def train(
    spec: SpecArgument,
    set_: SetOption = None,
    plugin: PluginOption = None,
    cache: CacheOption = None,
    workers: WorkersOption = None,
) -> None:
    """Fit whatever a spec's system needs fitted; later commands reuse the weights."""
    from sai_bench.progress import ConsoleReporter
    from sai_bench.running import open_context, prepare_data
    from sai_bench.stages.fitting import fit_prior

    loaded = load_spec_or_exit(spec, set_, plugin)
    loaded.require_system()
    context = open_context(cache, ConsoleReporter(), workers)
    dataset = prepare_data(loaded, context.workers, context.reporter)
    fitted = fit_prior(loaded, dataset, context)
    if fitted is None:
        print(f"prior {loaded.system.prior.name} needs no fit")
    elif fitted.source is not None:
        print(f"prior {loaded.system.prior.name}: from {fitted.source}, as system.weights says")
    else:
        print(f"prior {loaded.system.prior.name}: {fitted.recordings} recordings, {fitted.seconds:.1f} s")
