"""What must stay quick and light: list, show, check, schema; each in a fresh process."""

import json
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
QUICKSTART = REPOSITORY / "specs" / "quickstart.yaml"

_RUN_AND_REPORT_MODULES = """
import sys
from sai_bench.cli.main import main
sys.argv = ["sai-bench", *sys.argv[1:]]
try:
    main()
except SystemExit as leaving:
    assert not leaving.code, leaving.code
print("MODULES", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def modules_after(fresh, *arguments):
    done = fresh("-c", _RUN_AND_REPORT_MODULES, *arguments)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_list_imports_neither_torch_nor_numpy_nor_pydantic(fresh):
    assert not modules_after(fresh, "list") & {"torch", "torchaudio", "numpy", "scipy", "pydantic", "numba"}


@pytest.mark.parametrize("command", [("check", QUICKSTART), ("schema",)])
def test_check_and_schema_do_not_import_torch(fresh, command):
    assert not modules_after(fresh, *command) & {"torch", "torchaudio", "numba", "matplotlib", "soundfile"}


@pytest.mark.parametrize(
    "component",
    ["fusion/power", "dataset/simulated_rooms", "backbone/convnext_spherical", "decoder/mask_queries"],
)
def test_show_does_not_import_torch(fresh, component):
    assert not modules_after(fresh, "show", component) & {"torch", "torchaudio"}


def test_scoring_compressing_and_records_do_not_import_torch(fresh):
    code = """
import sys
from sai_bench.plugin_loading import load_plugins
for registration in load_plugins().registry:
    if registration.kind in ("fusion", "compressor", "metric", "dataset"):
        registration.load_class()
import sai_bench.predictions, sai_bench.results.record, sai_bench.results.summary, sai_bench.results.pictures
print("torch" in sys.modules)
"""
    done = fresh("-c", code)
    assert done.stdout.strip() == "False", done.stderr


def test_list_takes_less_than_three_tenths_of_a_second(fresh):
    def seconds():
        begun = time.perf_counter()
        assert fresh("-m", "sai_bench.cli", "list").returncode == 0
        return time.perf_counter() - begun

    seconds()  # the first may compile bytecode
    assert min(seconds() for _ in range(5)) < 0.3


def test_list_shows_every_kind_and_can_be_narrowed(sai_bench):
    everything = sai_bench("list").out
    for name in ("stft", "steered_power", "peak_regions", "log_mel_linear", "power", "grid_support"):
        assert name in everything
    only = sai_bench("list", "fusion").out
    assert "power" in only
    assert "stft" not in only


def test_an_unknown_kind_is_answered_with_the_closest(sai_bench):
    done = sai_bench("list", "fusoin")
    assert done.code == 2
    assert "Did you mean 'fusion'?" in done.err


def test_show_tells_formula_and_keys(sai_bench):
    done = sai_bench("show", "fusion/power")
    assert done.code == 0
    assert "s_d * p(c, t)^alpha" in done.out
    assert "  alpha  number (>= 0), default 0.5\n" in done.out


def test_show_lists_nested_and_required_keys_with_bounds_and_choices(sai_bench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    lines = [" ".join(line.split()) for line in sai_bench("show", "dataset/simulated_rooms").out.splitlines()]
    for expected in (
        "folder path, required",
        "splits.NAME.recordings integer (>= 1, <= 99999), required",
        "channels `4` or `32`, default 4",
        "rooms mapping",
        "rooms.side_range_m [number (>= 1.5, <= 50), number (>= 1.5, <= 50)], default [2.0, 10.0]",
    ):
        assert expected in lines
    after = lines.index("rooms.image_source_order integer (>= 0, <= 20), default 5") + 1
    assert lines[after] == "Highest number of reflections; 0 is an anechoic room."


@pytest.mark.parametrize("columns", [60, 100])
def test_show_wraps_keys_at_the_width_of_the_terminal_and_loses_no_word(sai_bench, monkeypatch, columns):
    def keys(width):
        monkeypatch.setenv("COLUMNS", str(width))
        return sai_bench("show", "dataset/simulated_rooms").out.partition("\nKeys:\n")[2]

    assert max(map(len, keys(columns).splitlines())) <= columns
    assert keys(columns).split() == keys(1000).split()


def test_show_says_when_a_component_has_no_keys(sai_bench):
    assert sai_bench("show", "fusion/none").out.endswith("\nNo keys.\n")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("power", "expected KIND/NAME"),
        ("fusion/powr", "Did you mean 'power'?"),
        ("fusin/power", "Did you mean 'fusion'?"),
    ],
)
def test_show_explains_a_name_it_does_not_know(sai_bench, asked, says):
    done = sai_bench("show", asked)
    assert done.code == 2
    assert says in done.err


def test_every_shipped_spec_is_right(sai_bench):
    specs = sorted((REPOSITORY / "specs").rglob("*.yaml"))
    done = sai_bench("check", *specs)
    assert done.code == 0, done.err
    assert done.out.count(": ok") == len(specs) > 0


def test_five_mistakes_are_reported_at_once_with_lines_and_suggestions(sai_bench, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "name: wrong\n"
        "system:\n"
        "  front_end: {use: stft, hop_sample: 240}\n"
        "  backbone: {use: steered_pwer}\n"
        "  decoder: {use: peak_regions}\n"
        "  prior: {use: uniform, probability: 3}\n"
        "  fusion: {use: power, alpha: loud}\n"
        "  compressor: {use: dense}\n"
        "sede: 1\n"
    )
    done = sai_bench("check", path)
    assert done.code == 2
    lines = done.err.splitlines()
    for line, where, suggestion in [
        (3, "system.front_end.hop_sample", "Did you mean"),
        (4, "system.backbone", "Did you mean 'steered_power'?"),
        (6, "system.prior.probability", ""),
        (7, "system.fusion.alpha", ""),
        (9, "sede", "Did you mean 'seed'?"),
    ]:
        matching = [text for text in lines if f"wrong.yaml:{line}: {where}" in text]
        assert matching, (line, where, done.err)
        assert suggestion in matching[0]


def test_schema_is_json_and_goes_to_a_file_when_asked(sai_bench, tmp_path):
    printed = json.loads(sai_bench("schema").out)
    target = tmp_path / "spec.schema.json"
    assert sai_bench("schema", "--out", target).code == 0
    assert json.loads(target.read_text()) == printed


def test_wrong_usage_is_exit_2(sai_bench):
    assert sai_bench("run").code == 2
    assert sai_bench("no-such-command").code == 2
    assert sai_bench("check", "absent.yaml").code == 2


def test_version(sai_bench):
    assert sai_bench("--version").out.startswith("sai-bench ")
