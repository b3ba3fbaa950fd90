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
    from sai_bench.running import fitted_prior, open_context

    loaded = load_spec_or_exit(spec, set_, plugin)
    loaded.require_system()
    fitted = fitted_prior(loaded, open_context(cache, ConsoleReporter(), workers))
    if fitted is None:
        print(f"prior {loaded.system.prior.name} needs no fit")
    elif fitted.source is not None:
        print(f"prior {loaded.system.prior.name}: from {fitted.source}, as system.weights says")
    else:
        print(f"prior {loaded.system.prior.name}: {fitted.recordings} recordings, {fitted.seconds:.1f} s")
