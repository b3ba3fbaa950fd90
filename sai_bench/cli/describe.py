"""`sai-bench describe`."""

from __future__ import annotations

from sai_bench.cli.options import JsonOption, PluginOption, SetOption, SpecArgument, load_spec_or_exit


def describe(
    spec: SpecArgument,
    set_: SetOption = None,
    plugin: PluginOption = None,
    json_: JsonOption = None,
) -> None:
    """Show what a spec's system is made of: shapes, parameters and multiply-accumulates of each part."""
    import json

    from sai_bench.description import describe
    from sai_bench.files import write_atomically

    description = describe(load_spec_or_exit(spec, set_, plugin))
    print(f"{description.name}: one segment of {description.segment_s:g} s")
    for part in description.parts:
        print(f"\n{part.kind}: {part.name}{_size(part.parameters, part.gmacs)}")
        for name, detail in part.details.items():
            print(f"  {name}{_size(int(detail['parameters']), detail['gmacs'])}")
        for shape in part.shapes:
            print(f"  {shape.what:<26} [{shape.axes}] = {' x '.join(map(str, shape.lengths))}")
        if part.note:
            print(f"  {part.note}")
    if json_ is not None:
        write_atomically(json_, (json.dumps(description.to_json(), indent=1) + "\n").encode())


def _size(parameters: int, gmacs: float | None) -> str:
    facts = [f"{parameters:,} parameters"] if parameters else []
    facts += [f"{gmacs:.2f} GMAC"] if gmacs else []
    return f" ({', '.join(facts)})" if facts else ""
