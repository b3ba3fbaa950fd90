"""Tables about the report's system: what it is made of and what it costs, from committed results."""

from __future__ import annotations

import json
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results" / "report"
SETTINGS = {"fp32": "float32", "bf16": "bfloat16", "bf16_compiled": "bfloat16, compiled"}
"""File of a benchmark -> what it was run with."""
BENCHMARK_FILES = (
    "test_spherical_attention_benchmark",
    "test_mask_queries_benchmark",
    "test_audiomae_benchmark",
)
"""Tests that time single parts of the report's system."""
TRAINING_BENCHMARK_FILES = ("test_training_benchmark",)
"""Tests that time a step of training and its losses."""


def shapes() -> str:
    """Return shapes, parameters and multiply-accumulates of each component."""
    description = json.loads((RESULTS / "describe.json").read_text())
    rows = ["| component | what | axes | lengths |", "| :--- | :--- | :--- | ---: |"]
    for part in description["parts"]:
        for shape in part["shapes"]:
            lengths = " x ".join(map(str, shape["lengths"]))
            rows.append(
                f"| {part['kind']} `{part['name']}` | {shape['what']} | {shape['axes']} | {lengths} |"
            )
    rows += ["", "| component | parameters | GMAC in 2 s |", "| :--- | ---: | ---: |"]
    for part in description["parts"]:
        if part["parameters"]:
            name = f"{part['kind']} `{part['name']}`"
            rows.append(f"| {name} | {part['parameters']:,} | {_gmacs(part['gmacs'])} |")
        rows += [
            f"| of it `{name}` | {detail['parameters']:,} | {_gmacs(detail['gmacs'])} |"
            for name, detail in part["details"].items()
        ]
        if part["gmacs_per_mask"] is not None:
            rows.append(f"| one full-size mask | | {part['gmacs_per_mask']:.3f} |")
    return "\n".join(rows) + "\n"


def _gmacs(number: float | None) -> str:
    return "" if number is None else f"{number:.1f}"


def costs() -> str:
    """Return real-time factors, and the cost of each part, for each setting that was measured."""
    results = {name: json.loads((RESULTS / f"bench_{name}.json").read_text()) for name in SETTINGS}
    rows = [
        "| setting | real-time factor up to the export | first pass, s | matrix products, GFLOP/s |",
        "| :--- | ---: | ---: | ---: |",
    ]
    for name, result in results.items():
        rate = result["matmul_gflops"][result["inference"]["precision"]]
        factor, first = f"{result['real_time_factor_to_export']:.2f}", f"{result['first_pass_s']:.1f}"
        rows.append(f"| {SETTINGS[name]} | {factor} | {first} | {rate:.0f} |")
    rows += [
        "",
        "| part | setting | wall s | CPU s | peak MB | real-time factor | limit s | times the limit |",
    ]
    rows += ["| :--- | :--- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    parts = [part["part"] for part in results["fp32"]["parts"]]
    for part in parts:
        for name, result in results.items():
            cost = next(one for one in result["parts"] if one["part"] == part)
            rows.append(f"| {part} | {SETTINGS[name]} | {_cells(cost)} |")
    return "\n".join(rows) + f"\n\n{_circumstances(results['fp32'])}\n"


def _cells(cost: dict) -> str:
    peak, limit = cost["peak_bytes"], cost["limit_s"]
    cells = [f"{cost['wall_s']:.3f}", f"{cost['cpu_s']:.3f}", "n/a" if peak is None else f"{peak / 1e6:.0f}"]
    cells.append(f"{cost['real_time_factor']:.3f}")
    cells += ["", ""] if not limit else [f"{limit:.2f}", f"{cost['wall_s'] / limit:.1f}"]
    return " | ".join(cells)


def _circumstances(result: dict) -> str:
    environment = result["environment"]
    return (
        f"{result['audio_s']:g} s of noise, median of {result['repeats']} passes, "
        f"{result['threads']} threads, {environment.get('cpu') or 'unknown processor'}, "
        f"torch {environment['packages'].get('torch')}."
    )
