"""`sai-bench describe`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sai_bench.cli.options import JsonOption, PluginOption, SetOption, SpecArgument, load_spec_or_exit

if TYPE_CHECKING:
    from sai_bench.description import Description


def describe(
    spec: SpecArgument,
    set_: SetOption = None,
    plugin: PluginOption = None,
    json_: JsonOption = None,
) -> None:
    """Show what a spec's system is made of: shapes, parameters and multiply-accumulates of each part."""
    from sai_bench.cli.results_out import check_json_target, deliver

    check_json_target(json_, {})
    loaded = load_spec_or_exit(spec, set_, plugin)

    from sai_bench.description import describe

    description = describe(loaded)
    deliver(lambda: as_text(description), description.to_json, json_)


def as_text(description: Description) -> str:
    """Return a description for people."""
    lines = [f"{description.name}: one segment of {description.segment_s:g} s"]
    for part in description.parts:
        lines += ["", f"{part.kind}: {part.name}{_size(part.parameters, part.gmacs)}"]
        for name, detail in part.details.items():
            lines.append(f"  {name}{_size(int(detail['parameters']), detail['gmacs'])}")
        width = max((len(shape.what) for shape in part.shapes), default=0)
        for shape in part.shapes:
            lines.append(f"  {shape.what:<{width}} [{shape.axes}] = {' x '.join(map(str, shape.lengths))}")
        if part.note:
            lines.append(f"  {part.note}")
    return "\n".join([*lines, ""])


def _size(parameters: int, gmacs: float | None) -> str:
    facts = [f"{parameters:,} parameters"] if parameters else []
    facts += [f"{gmacs:.2f} GMAC"] if gmacs else []
    return f" ({', '.join(facts)})" if facts else ""
