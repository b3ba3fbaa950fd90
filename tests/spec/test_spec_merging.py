"""`extends`, relative paths and `--set`."""

# ruff: noqa: E501 (messages stand on one line, as they are shown)

from __future__ import annotations

import pytest

ROOMS = "data: {use: rooms, folder: rooms_here, recordings: 7}\n"


def test_later_files_and_the_file_itself_win_key_by_key(folder):
    folder.write("a.yaml", "seed: 1\nexport: {mask_energy: 0.2, score_threshold: 0.3}\n" + ROOMS)
    folder.write("b.yaml", "seed: 2\nexport: {score_threshold: 0.4}\ndata: {recordings: 8}\n")
    folder.write("c.yaml", "extends: [a.yaml, b.yaml]\nexport: {detections_per_frame: 3}\n")
    spec = folder.load("c.yaml")
    assert spec.seed == 2
    assert spec.export.model_dump() == {
        "mask_energy": 0.2, "score_threshold": 0.4, "detections_per_frame": 3,
    }  # fmt: skip
    assert spec.data.config.recordings == 8


def test_paths_are_relative_to_the_file_that_wrote_them(folder):
    folder.write("base/deep/rooms.yaml", ROOMS)
    folder.write("base/mid.yaml", "extends: deep/rooms.yaml\nseed: 5\n")
    folder.write("specs/main.yaml", "extends: ../base/mid.yaml\n")
    spec = folder.load("specs/main.yaml")
    assert spec.data.config.folder == folder.path / "base/deep/rooms_here"
    assert spec.resolved()["data"]["folder"] == "../base/deep/rooms_here"
    assert folder.load("specs/main.yaml", "data.folder=x").data.config.folder == folder.path / "x"


def test_another_component_replaces_the_inherited_keys(whole):
    whole.write("specs/other.yaml", "extends: whole.yaml\nsystem: {fusion: {use: weighted, weight: 2}}\n")
    assert whole.load("specs/other.yaml", "variants=null").system.fusion.resolved() == {
        "use": "weighted",
        "weight": 2,
    }
    whole.write("specs/same.yaml", "extends: whole.yaml\nsystem: {fusion: {use: exponent, floor: 0.1}}\n")
    fusion = whole.load("specs/same.yaml").system.fusion.resolved()
    assert fusion == {"use": "exponent", "alpha": 0.25, "floor": 0.1}


def test_lists_are_replaced(whole):
    whole.write("specs/m.yaml", "extends: whole.yaml\nevaluation: {metrics: [{use: june}]}\n")
    assert [metric.name for metric in whole.load("specs/m.yaml").evaluation.metrics] == ["june"]


def test_plugins_of_extended_specs_are_kept(whole):
    for name in ("one", "two"):
        whole.write(f"{name}/{name}.py", PLUGIN.replace("NAME", name))
        whole.write(f"{name}/s.yaml", f"plugins: [{name}.py]\n")
    text = "extends: [../specs/whole.yaml, ../one/s.yaml, ../two/s.yaml, ../one/s.yaml]\n"
    whole.write(
        "three/s.yaml", text + "system: {fusion: {use: two}, compressor: {use: one}}\nvariants: null\n"
    )
    spec = whole.load("three/s.yaml")
    assert (spec.system.fusion.name, spec.system.compressor.name) == ("two", "one")
    assert spec.resolved()["plugins"] == ["../one/one.py", "../two/two.py"]


PLUGIN = """
import sai_bench
class Config(sai_bench.ComponentConfig):
    alpha: float = 1.0
@sai_bench.hookimpl
def sai_bench_register(register):
    for kind in ("fusion", "compressor"):
        register.component(kind, "NAME", object, config=Config, summary="test")
"""


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"a": "seed: 1\nextends: a.yaml"}, "a.yaml:2: extends: a circle: a.yaml -> a.yaml."),
        ({"a": "extends: b.yaml", "b": "\nextends: c.yaml", "c": "extends: [b.yaml]"}, "c.yaml:1: extends: a circle: b.yaml -> c.yaml -> b.yaml."),
        ({"a": "extends: d/x.yaml", "b": ""}, "a.yaml:1: extends: no file d/x.yaml (relative to this file)."),
        ({"a": "extends:\n - b.yaml\n - room.yaml", "b": "seed: 1", "rooms": ""}, "a.yaml:3: extends: no file room.yaml (relative to this file). Did you mean 'rooms.yaml'?"),
        ({"a": "extends: 3"}, "a.yaml:1: extends: expected the path of a spec file or a list of paths, got 3."),
        ({"a": "extends: []"}, "a.yaml:1: extends: expected the path of a spec file or a list of paths, got a list."),
        ({"a": "extends:"}, "a.yaml:1: extends: expected the path of a spec file or a list of paths, got nothing."),
        ({"a": "extends: b.yaml", "b": "x: ["}, "b.yaml:2: not valid YAML"),
        ({"a": 'extends: "x\\0y"'}, "a.yaml:1: extends: expected the path of a spec file or a list of paths, got the text"),
    ],
)  # fmt: skip
def test_extends_that_cannot_be_followed_are_reported(folder, files, problem):
    for name, text in files.items():
        folder.write(f"{name}.yaml", text + "\n")
    problems = folder.problems("a.yaml")
    assert len(problems) == 1
    assert problems[0].startswith(problem)


def test_a_chain_of_files_that_is_too_long_is_refused_and_a_lattice_is_not(folder):
    folder.write("n30.yaml", "seed: 1\n")
    for i in range(30):
        folder.write(f"n{i}.yaml", f"extends: n{i + 1}.yaml\n")
    assert "a chain of more than 20 files" in folder.problems("n0.yaml")[0]
    # 2^15 paths through 15 files: each file is read once.
    folder.write("m15.yaml", "seed: 9\n")
    for i in range(15):
        folder.write(f"m{i}.yaml", f"extends: [m{i + 1}.yaml, m{i + 1}.yaml]\n")
    assert folder.load("m0.yaml").seed == 9


@pytest.mark.parametrize(
    ("overrides", "fusion"),
    [
        (["system.fusion.alpha=0.3"], {"use": "exponent", "alpha": 0.3, "floor": 0}),
        (["system.fusion.alpha=1e-3"], {"use": "exponent", "alpha": 0.001, "floor": 0}),
        (
            ["system.fusion.alpha=0.3", "system.fusion.alpha=0.4"],
            {"use": "exponent", "alpha": 0.4, "floor": 0},
        ),
        (["system.fusion={floor: 0.2}"], {"use": "exponent", "alpha": 0.25, "floor": 0.2}),
        (["system.fusion={use: weighted, weight: 5}"], {"use": "weighted", "weight": 5}),
        (["system.fusion.use=weighted", "system.fusion.weight=5"], {"use": "weighted", "weight": 5}),
        (["system.fusion.weight=5", "system.fusion.use=weighted"], {"use": "weighted", "weight": 5}),
    ],
)
def test_overrides_set_keys_and_components(whole, overrides, fusion):
    whole.write("specs/plain.yaml", (whole.path / "specs/whole.yaml").read_text().split("variants:")[0])
    spec = whole.load("specs/plain.yaml", *overrides)
    assert spec.system.fusion.resolved() == fusion
    assert spec.data.config.recordings == 4


def test_overrides_reach_sections_that_the_file_leaves_out(folder):
    spec = folder.load_text(
        "seed: 1\n", "inference.segment_s=5", "data={use: rooms, folder: d}", "evaluation.split=x=y"
    )
    assert spec.inference.segment_s == 5
    assert spec.data.config.folder == folder.path / "d"
    assert spec.evaluation.split == "x=y"


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("system.fusion.alhpa=0.3", "--set system.fusion.alhpa: unknown key. Did you mean 'alpha'?"),
        ("sytem.fusion.alpha=0.3", "--set sytem.fusion.alpha: sytem: unknown key. Did you mean 'system'?"),
        ("system.fusion.alpha=high", "--set system.fusion.alpha: expected a number, got the text 'high'."),
        ("system.fusion.alpha=.nan", "--set system.fusion.alpha: expected a finite number, got .nan."),
        ("system.fusion={alhpa: 1}", "--set system.fusion: system.fusion.alhpa: unknown key. Did you mean 'alpha'?"),
        ("system.fusion.use=expnent", "--set system.fusion.use: Unknown fusion 'expnent'. Did you mean 'exponent'?"),
        ("system.fusion=exponent", "--set system.fusion: expected a mapping with the key 'use', got the text 'exponent'. Did you mean {use: exponent}?"),
        ("system.front_end={use: mel}", "specs/plain.yaml:8: system.backbone: takes complex_spectrum, got log_mel."),
        ("system.fusion.alpha", "--set system.fusion.alpha: expected PATH=VALUE, such as system.fusion.alpha=0.3."),
        ("=3", "--set =3: expected PATH=VALUE"),
        ("a..b=3", "--set a..b=3: expected PATH=VALUE"),
        ("seed=", "--set seed: empty. Expected YAML"),
        ("seed=[1", "--set seed: not valid YAML"),
        ("seed={a: 1, a: 2}", "--set seed: seed.a: duplicate key. Keep one of them."),
        ("seed=!!python/name:os.system", "--set seed: the tag !!python/name:os.system is not allowed."),
        ("extends=x.yaml", "--set extends: extends belongs in a spec file."),
        ("evaluation.metrics.0.alpha=1", "--set evaluation.metrics.0.alpha: evaluation.metrics: expected a list of metrics"),
    ],
)  # fmt: skip
def test_wrong_overrides_name_the_option(whole, override, problem):
    whole.write("specs/plain.yaml", (whole.path / "specs/whole.yaml").read_text().split("variants:")[0])
    problems = whole.problems("specs/plain.yaml", override)
    assert problems[0].startswith(problem), problems


def test_a_table_with_numbers_as_keys_is_replaced_and_not_merged(whole):
    whole.write(
        "specs/base.yaml", "extends: whole.yaml\nsystem: {prior: {use: learned, gains: {1: 0.5, 2: 0.5}}}\n"
    )
    whole.write("specs/child.yaml", "extends: base.yaml\nsystem: {prior: {gains: {7: 1}}}\n")
    assert whole.load("specs/child.yaml").system.prior.config.gains == {7: 1}
    assert whole.load("specs/base.yaml", "system.prior.gains={3: 1}").system.prior.config.gains == {3: 1}
