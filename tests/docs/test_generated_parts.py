import json
from types import SimpleNamespace

import pytest
import yaml

from sai_bench.plugin_loading import load_plugins
from sai_bench.spec import load_spec


def built_in():
    return [c for c in load_plugins().registry if str(c.target).startswith("sai_bench_builtin.")]


def rows_of(table):
    """Return the cells of each body row of a Markdown table, by its first cell."""
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]
    return {cells[0]: cells[1:] for cells in rows}


@pytest.mark.parametrize("component", built_in(), ids=lambda c: f"{c.kind}/{c.name}")
def test_every_built_in_component_is_documented_with_all_its_keys(rendered, component):
    page = rendered("components.md")
    _, _, section = page.partition(f"### {component.kind}/{component.name}\n")
    section = section.partition("\n### ")[0]
    assert component.summary in section
    assert f"::: {component.target.replace(':', '.')}\n" in section
    for key, field in component.load_config().model_fields.items():
        assert f"| `{key}` |" in section
        assert " ".join(field.description.split()) in section


def test_the_losses_that_a_decoder_is_trained_with_are_documented(hooks):
    sections = hooks.component_tables.component_sections("decoder")
    section = sections.partition("### decoder/mask_queries\n")[2].partition("\n### ")[0]
    rows = rows_of(section.partition("Keys of `losses` in a training stage:\n")[2])
    assert rows["`bce`"][:2] == ["number (>= 0, <= 1000)", "`5.0`"]
    assert "`matching.dice`" in rows
    assert (
        "Keys of `losses`" not in sections.partition("### decoder/peak_regions\n")[2].partition("\n### ")[0]
    )


def test_keys_have_their_bounds_defaults_and_dotted_names(hooks):
    sections = hooks.component_tables.component_sections("dataset")
    rows = rows_of(sections.partition("### dataset/simulated_rooms\n")[2].partition("\n### ")[0])
    assert rows["`duration_s`"][:2] == ["number (>= 0.5, <= 600)", "`20`"]
    assert rows["`folder`"][:2] == ["path", "required"]
    assert rows["`channels`"][:2] == ["`4` or `32`", "`4`"]
    assert rows["`splits.NAME.rooms`"][:2] == ["integer (>= 1, <= 9999)", "required"]
    assert rows["`rooms.height_range_m`"][1] == "`[2.0, 4.0]`"


@pytest.mark.parametrize(
    "marker",
    ["tabel: quickstart", "table: quickstrt", "components: priors", "keys: exports", "file: readme"],
)
def test_an_unknown_marker_stops_the_build_and_says_where(hooks, marker):
    page = SimpleNamespace(file=SimpleNamespace(src_uri="some_page.md"))
    with pytest.raises(ValueError, match="unknown marker") as failure:
        hooks.generated_parts.on_page_markdown(f"before\n<!-- {marker} -->\nafter", page)
    assert str(failure.value).startswith(f"some_page.md: unknown marker '{marker}'")


def test_every_page_has_a_place_in_the_navigation_and_its_markers_are_known(rendered, repository):
    def pages(entry):
        if isinstance(entry, str):
            return [entry]
        return [
            page for part in (entry.values() if isinstance(entry, dict) else entry) for page in pages(part)
        ]

    listed = pages(yaml.safe_load((repository / "mkdocs.yml").read_text())["nav"])
    assert sorted(listed) == sorted(path.name for path in (repository / "docs").glob("*.md"))
    for name in listed:
        assert "<!--" not in rendered(name)


def test_the_summary_table_shows_the_numbers_of_the_result_file(hooks, repository):
    text = (repository / "docs/results/quickstart/result.json").read_text()
    record = json.loads(text)
    table = hooks.result_tables.quickstart()
    rows = rows_of(table)
    assert set(rows) == {"quickstart", "uniform_prior"}
    for system, cells in rows.items():
        result = record["variants"][system]
        metric = result["metrics"]["dcase2026_april"]
        assert cells[:3] == [f"{metric[name]:.4f}" for name in ("map", "ap50", "pearson")]
        assert cells[3] == str(result["files"]["detections"])
    assert f"{record['data']['recordings']} recordings" in table
    assert f"Seed {record['seed']}." in table
    assert record["environment"]["cpu"] in table
    assert str(record["environment"]["logical_cores"]) + " logical cores" in table


def test_the_other_tables_show_the_numbers_of_the_result_file(hooks, repository):
    record = json.loads((repository / "docs/results/quickstart/result.json").read_text())
    own = record["variants"]["quickstart"]
    assert rows_of(hooks.result_tables.quickstart_sizes())["quickstart"][4] == (
        f"{own['files']['dense_bytes_total'] / own['files']['prediction_bytes_total']:.1f}"
    )
    per_class = own["metrics"]["dcase2026_april"]["per_class_ap"]
    assert rows_of(hooks.result_tables.quickstart_classes())["12 Knock"][0] == f"{per_class['12']:.4f}"
    assert f"{own['stages']['detect']['seconds']:.1f}" in hooks.result_tables.quickstart_stages()
    assert (
        f"{own['metrics']['dcase2026_april']['macro_pearson']:.4f}" in hooks.result_tables.quickstart_macro()
    )


def test_the_committed_runs_are_of_the_shipped_spec_and_show_a_first_and_a_second_run(repository):
    spec = load_spec(repository / "specs" / "quickstart.yaml")
    runs = [
        json.loads((repository / "docs/results/quickstart" / name).read_text())
        for name in ("result.json", "second_run.json")
    ]
    advice = "make the results anew: docs/hooks/regenerate_results.sh"
    assert [run["spec_sha256"] for run in runs] == [spec.sha256] * 2, advice
    first, second = ([*run["variants"].values()] for run in runs)
    assert not any(stage["reused"] for stage in first[0]["stages"].values()), advice
    assert not any(stage["computed"] for system in second for stage in system["stages"].values()), advice
    assert [system["metrics"] for system in first] == [system["metrics"] for system in second], advice


def test_the_benchmark_table_shows_the_figures_of_the_benchmark_file(hooks, repository):
    content = json.loads((repository / "docs/results/benchmarks.json").read_text())
    rows = rows_of(hooks.result_tables.benchmarks())
    assert set(rows) == {one["name"] for one in content["benchmarks"]}
    for one in content["benchmarks"]:
        figures, median, rounds = rows[one["name"]]
        assert (median, rounds) == (f"{one['median_s'] * 1000:.3g}", str(one["rounds"]))
        for figure in one["figures"].values():
            assert f"{figure:.3g}" in figures


def test_trimmed_benchmarks_keep_the_figures_and_drop_who_measured(hooks):
    raw = {
        "machine_info": {
            "node": "somebodys-laptop",
            "python_version": "3.12.1",
            "cpu": {"brand_raw": "CPU X", "count": 4},
        },
        "benchmarks": [
            {
                "name": "test_speed_of_it",
                "fullname": "tests/benchmarks/test_it_benchmark.py::test_speed_of_it",
                "stats": {"median": 0.5, "rounds": 7, "data": [0.5]},
                "extra_info": {"times_faster": 3},
            }
        ],
    }
    trimmed = hooks.trim_benchmarks.trimmed(raw)
    assert trimmed["machine"] == {"cpu": "CPU X", "logical_cores": 4, "python": "3.12.1"}
    assert trimmed["benchmarks"] == [
        {
            "file": "test_it_benchmark",
            "name": "speed of it",
            "rounds": 7,
            "median_s": 0.5,
            "figures": {"times_faster": 3},
        }
    ]
    assert "somebodys" not in json.dumps(trimmed)


def test_committed_results_hold_no_path_of_the_machine_that_made_them(repository):
    def texts(value):
        if isinstance(value, dict):
            return [text for item in value.values() for text in texts(item)]
        if isinstance(value, list):
            return [text for item in value for text in texts(item)]
        return [value] if isinstance(value, str) else []

    def is_of_one_machine(text):
        return text.startswith(("/", "~")) or text.split("/").count("..") > 1

    assert is_of_one_machine("../../somebody/data")
    results = repository / "docs/results"
    found = [text for path in results.rglob("*.json") for text in texts(json.loads(path.read_text()))]
    found += [word for path in results.rglob("*.log") for word in path.read_text().split()]
    assert len(found) > 100
    assert not [text for text in found if is_of_one_machine(text)]
