"""`sai-bench render`."""

from __future__ import annotations

from sai_bench.cli.options import PluginOption, SetOption, SpecArgument, WorkersOption, load_spec_or_exit


def render(
    spec: SpecArgument, set_: SetOption = None, plugin: PluginOption = None, workers: WorkersOption = None
) -> None:
    """Make a spec's data ready: render them, or check what was downloaded."""
    from sai_bench.cores import usable_cores
    from sai_bench.progress import ConsoleReporter
    from sai_bench.running import prepare_data

    loaded = load_spec_or_exit(spec, set_, plugin)
    dataset = prepare_data(loaded, workers or usable_cores(), ConsoleReporter())
    for split in dataset.splits():
        print(f"{split}: {len(dataset.recordings(split))} recordings")
    print(dataset.root)
