"""`sai-bench train`."""

from __future__ import annotations

import os

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
    """Train a spec's detector, stage by stage, and fit its prior; later commands reuse the weights.

    With several processes: torchrun --nproc-per-node 2 -m sai_bench.cli train SPEC.
    """
    from sai_bench.before_work import check_system
    from sai_bench.progress import ConsoleReporter
    from sai_bench.running import fitted_prior, open_context, trained_system

    loaded = load_spec_or_exit(spec, set_, plugin)
    loaded.require_system()
    check_system(loaded)
    context = open_context(cache, ConsoleReporter(), workers)
    ready, trained = trained_system(loaded, context)
    if int(os.environ.get("RANK", "0")):  # of the processes that torchrun started, one fits and reports
        return
    if not trained:
        weights = loaded.system.weights
        print(f"detector: as in {weights}" if weights else "no stage trains the detector")
    for stage in trained:
        print(f"detector, {stage.result.stage}: {stage.result.steps} steps, {stage.result.seconds:.1f} s")
        print(f"  {stage.weights}")
    fitted = fitted_prior(ready, context)
    if fitted is None:
        print(f"prior {loaded.system.prior.name} needs no fit")
    elif fitted.source is not None:
        print(f"prior {loaded.system.prior.name}: from {fitted.source}, as system.weights says")
    else:
        print(f"prior {loaded.system.prior.name}: {fitted.recordings} recordings, {fitted.seconds:.1f} s")
