"""A correct spec: what load_spec returns, its resolved form and its hash."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sai_bench.errors import SpecError
from sai_bench.files import safe_name
from sai_bench.plugin_loading import load_plugins
from sai_bench.spec import SYSTEM_KINDS, load_spec

FAKES = Path(__file__).with_name("fake_components.py")
SPECS = Path(__file__).parents[2] / "specs"


def test_values_of_the_file_and_defaults_arrive_typed(whole):
    spec = whole.load("specs/whole.yaml")
    assert (spec.name, spec.seed, spec.path) == ("whole", 3, whole.path / "specs/whole.yaml")
    assert spec.data.config.folder == whole.path / "data"
    assert spec.system.microphones == "mic"
    assert [c.name for c in spec.system.components()] == [
        "window", "power_map", "peaks", "learned", "exponent", "keep",
    ]  # fmt: skip
    assert spec.system.front_end.config.window_ms == 30.0
    assert spec.system.fusion.config.alpha == 0.25
    assert spec.system.prior.config.weights == whole.path / "specs/weights/prior.npz"
    assert [metric.name for metric in spec.evaluation.metrics] == ["april"]
    assert spec.require_system() is spec.system
    assert spec.require_data() is spec.data


def test_sections_left_out_have_the_documented_defaults(folder):
    spec = folder.load_text("data: {use: rooms, folder: .}\n")
    assert spec.inference.model_dump() == {
        "segment_s": 20.0, "context_s": 0.5, "pad_segments": False, "batch_segments": 1, "device": "cpu",
        "precision": "fp32", "compile": False, "score_floor": 0.02, "masks_per_frame": 12,
        "stored_energy": 0.1,
    }  # fmt: skip
    assert spec.export.model_dump() == {
        "score_threshold": 0.05, "detections_per_frame": 6, "mask_energy": 0.1,
    }  # fmt: skip
    assert (spec.evaluation.split, spec.evaluation.pictures, spec.evaluation.metrics) == ("test", 6, ())


def test_a_fragment_loads_and_says_what_a_command_misses(folder):
    spec = folder.load_text("data: {use: rooms, folder: .}\n")
    assert spec.name == "s"
    with pytest.raises(SpecError, match=r"^s\.yaml: system: missing"):
        spec.require_system()
    folder.write("t.yaml", "seed: 2\n")
    without_data = folder.load("t.yaml")
    with pytest.raises(
        SpecError, match=r"^t\.yaml: data: missing.* with `extends: t\.yaml` and a section `data`"
    ):
        without_data.require_data()


def test_a_variant_is_the_whole_spec_with_its_changes(whole):
    spec = whole.load("specs/whole.yaml", "system.front_end.window_ms=40")
    variant = spec.variants["flat_prior"]
    assert variant.system.prior.name == "flat"
    assert variant.system.fusion.config.alpha == 0.75
    assert variant.system.front_end.config.window_ms == 40
    assert variant.data == spec.data
    assert variant.variants == {}
    assert spec.system.prior.name == "learned"


def test_resolved_is_explicit_json_without_machine_paths(whole):
    resolved = whole.load("specs/whole.yaml").resolved()
    assert json.loads(json.dumps(resolved)) == resolved
    assert str(whole.path) not in json.dumps(resolved)
    assert resolved["data"] == {"use": "rooms", "folder": "../data", "recordings": 4}
    assert resolved["system"]["prior"] == {
        "use": "learned", "weights": "weights/prior.npz", "layers": [], "names": [], "gains": {},
        "window": [1, 2, 1],
    }  # fmt: skip
    assert resolved["system"]["fusion"] == {"use": "exponent", "alpha": 0.25, "floor": 0.0}
    assert resolved["variants"] == {
        "flat_prior": {
            "system.prior": {"use": "flat"},
            "system.fusion": {"use": "exponent", "alpha": 0.75, "floor": 0.0},
        }
    }


def test_of_a_path_far_from_the_spec_only_the_name_is_recorded(whole, tmp_path_factory):
    far = tmp_path_factory.mktemp("alice") / "secret" / "w.npz"
    spec = whole.load("specs/whole.yaml", f"system.prior.weights={far}")
    assert spec.resolved()["system"]["prior"]["weights"] == ".../w.npz"
    assert spec.system.prior.config.weights == far


def test_sha256_is_that_of_the_canonical_json(whole):
    spec = whole.load("specs/whole.yaml")
    text = json.dumps(spec.resolved(), sort_keys=True, separators=(",", ":"))
    assert spec.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_resolved_written_as_yaml_loads_as_the_same_spec(whole):
    rich = "{use: learned, weights: w.npz, layers: [{rate: 1e-3}], names: [c, a, b], gains: {7: 2}}"
    rich = f"system.prior={rich}"
    spec = whole.load("specs/whole.yaml", rich)
    whole.write("specs/again.yaml", yaml.safe_dump(spec.resolved(), sort_keys=False))
    again = whole.load("specs/again.yaml")
    assert again.resolved() == spec.resolved()
    assert again.sha256 == spec.sha256
    assert again.variants["flat_prior"].sha256 == spec.variants["flat_prior"].sha256
    assert again.system.prior.config == spec.system.prior.config


def test_sha256_depends_on_values_and_not_on_how_they_are_written(whole):
    spec = whole.load("specs/whole.yaml")
    same = whole.load("specs/whole.yaml", "system.fusion={floor: 0, alpha: 2.5e-1}", "export.mask_energy=.1")
    assert same.sha256 == spec.sha256
    assert whole.load("specs/whole.yaml", "system.fusion.alpha=0.26").sha256 != spec.sha256
    whole.write("elsewhere/specs/whole.yaml", (whole.path / "specs/whole.yaml").read_bytes())
    assert whole.load("elsewhere/specs/whole.yaml").sha256 == spec.sha256


def test_fresh_processes_agree_on_the_hash_and_import_neither_torch_nor_numpy(whole):
    code = (
        "import sys; from pathlib import Path; from sai_bench.spec import load_spec\n"
        "spec = load_spec('specs/whole.yaml', plugin_files=[Path(sys.argv[1])],\n"
        "    overrides=['system.prior.names=[b, a, d, c, z, y]'])\n"
        "print(spec.sha256, sorted({'torch', 'numpy', 'scipy'} & set(sys.modules)))"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code, str(FAKES)],
            env=os.environ | {"PYTHONHASHSEED": seed, "SAI_BENCH_DISABLE_PLUGINS": "builtin"},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(answers) == 1
    assert answers.pop().split(" ", 1)[1].strip() == "[]"


def test_plugins_of_the_caller_are_left_unchanged(whole):
    whole.write("specs/mine.py", PLUGIN)
    spec = whole.load("specs/whole.yaml", "plugins=[specs/mine.py]", "system.fusion={use: mine}")
    assert spec.system.fusion.registration.origin.label == "specs/mine.py"
    assert "mine" not in whole.fakes.registry.names("fusion")
    assert spec.resolved()["plugins"] == ["mine.py"]


PLUGIN = """
import sai_bench
class Config(sai_bench.ComponentConfig):
    alpha: float = 1.0
class Mine:
    pass
@sai_bench.hookimpl
def sai_bench_register(register):
    register.component("fusion", "mine", Mine, config=Config, summary="test")
"""


def test_plugin_files_named_in_spec_and_option_are_loaded_before_validation(whole):
    whole.write("plugins/mine.py", PLUGIN)
    text = "extends: whole.yaml\nplugins: [../plugins/mine.py]\nsystem: {fusion: {use: mine, alpha: 3}}\n"
    whole.write("specs/named.yaml", text)
    named = whole.load("specs/named.yaml")
    assert named.system.fusion.config.alpha == 3
    file = whole.path / "plugins/mine.py"
    option = whole.load("specs/whole.yaml", "system.fusion={use: mine, alpha: 3}", plugin_files=[file])
    assert option.sha256 == named.sha256
    assert list(named.plugins.files.values()) == [hashlib.sha256(file.read_bytes()).hexdigest()]


def test_broken_and_missing_plugin_files_are_problems_at_their_lines(whole):
    whole.write("specs/broken.py", "raise ValueError('boom')\n")
    whole.write("specs/bad.yaml", "extends: whole.yaml\nplugins:\n  - broken.py\n  - missing.py\n  - 3\n")
    problems = whole.problems("specs/bad.yaml", plugin_files=[Path("nothing.py")])
    assert [p.split(": ")[0] for p in problems] == ["--plugin nothing.py"] + [
        f"specs/bad.yaml:{line}" for line in (3, 4, 5)
    ]
    assert "ValueError: boom" in problems[1]
    assert "specs/missing.py: cannot read this plugin" in problems[2]
    assert "got 3" in problems[3]


@pytest.mark.skipif(not list(SPECS.glob("*.yaml")), reason="no shipped specs yet")
@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_specs_load_with_the_installed_components(path, tmp_path):
    spec = load_spec(path, plugins=load_plugins())
    assert spec.name == safe_name(spec.name)
    for kind in SYSTEM_KINDS if spec.system else ():
        assert getattr(spec.system, kind).resolved()["use"]
    copy = tmp_path / "specs" / path.name
    copy.parent.mkdir()
    copy.write_text(yaml.safe_dump(spec.resolved()))
    assert load_spec(copy).sha256 == spec.sha256
