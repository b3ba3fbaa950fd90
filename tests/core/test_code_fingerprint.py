import importlib
import sys
import textwrap

import pytest

from sai_bench import code_fingerprint as module


def forget_places():
    """New modules appear during these tests, which never happens while a command runs."""
    importlib.invalidate_caches()
    for function in (module.source_path, module._search_folders, module._is_users_own):
        function.cache_clear()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `toybox` whose sources a test can edit; returns a writer of its files."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(**sources):
        (tmp_path / "toybox" / "deep").mkdir(parents=True, exist_ok=True)
        for name in ("", "deep/"):
            (tmp_path / "toybox" / name / "__init__.py").touch()
        for name, source in sources.items():
            path = tmp_path / "toybox" / f"{name.replace('__', '/')}.py"
            path.write_text(textwrap.dedent(source))
        forget_places()
        return module.code_fingerprint("toybox.rule")

    yield write
    forget_places()


def test_changes_with_the_module_and_with_what_it_imports_and_with_nothing_else(package):
    sources = {
        "rule": "from toybox.deep import maths\nfrom . import near\nimport numpy\n",
        "near": "def f():\n    from toybox import late\n",
        "late": "A = 1\n",
        "deep__maths": "from ..far import B\n",
        "far": "B = 1\n",
        "stranger": "C = 1\n",
    }
    first = package(**sources)
    assert package(**sources) == first
    assert package(**{**sources, "stranger": "C = 2\n"}) == first
    for name in ("rule", "near", "late", "deep__maths", "far"):
        assert package(**{**sources, name: sources[name] + "# changed\n"}) != first, name


def test_leaves_out_what_only_type_checkers_import(package):
    rule = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from toybox import other\n"
    assert package(rule=rule, other="A = 1\n") == package(rule=rule, other="A = 2\n")


def test_imports_nothing(package):
    package(rule="import toybox.bad\n", bad="raise RuntimeError\n")
    assert not any(name.startswith("toybox") for name in sys.modules)


def test_names_a_module_that_does_not_exist(package):
    package(rule="")
    with pytest.raises(ModuleNotFoundError, match=r"toybox\.missing"):
        module.code_fingerprint("toybox.missing")


def test_a_plugin_file_changes_with_what_it_imports(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    plugin, helper = tmp_path / "my_prior.py", tmp_path / "my_features.py"
    plugin.write_text("import numpy\nfrom my_features import f\n")
    helper.write_text("A = 1\n")
    forget_places()
    first = module.code_fingerprint(plugin)
    helper.write_text("A = 2\n")
    assert module.code_fingerprint(plugin) != first
    plugin.write_text("import numpy\n")
    without = module.code_fingerprint(plugin)
    helper.write_text("A = 3\n")
    assert module.code_fingerprint(plugin) == without


def hashed_modules(monkeypatch, start):
    """Names of the modules whose code determines a hash."""
    hashed = set()
    original = module._parsed
    monkeypatch.setattr(module, "_parsed", lambda path, name: hashed.add(name) or original(path, name))
    module.code_fingerprint(start)
    return hashed


@pytest.mark.parametrize("line", ["from sai_bench import Fusion", "from sai_bench.interfaces import Fusion"])
def test_a_name_of_a_facade_leads_to_its_own_module_alone(tmp_path, monkeypatch, line):
    plugin = tmp_path / "my_fusion.py"
    plugin.write_text(f"{line}\n")
    assert hashed_modules(monkeypatch, plugin) == {"file my_fusion.py", "sai_bench.interfaces.fusion"}


def test_a_fusion_rule_does_not_hang_on_how_predictions_are_read(monkeypatch):
    hashed = hashed_modules(monkeypatch, "sai_bench_builtin.fusions.power")
    assert hashed >= {"sai_bench.interfaces.fusion", "sai_bench_builtin.configs.fusion"}
    assert not hashed & {"sai_bench.predictions", "sai_bench.point_text", "sai_bench.interfaces"}


def test_a_plugin_changes_with_the_built_in_class_that_it_extends(tmp_path, monkeypatch):
    plugin = tmp_path / "my_decoder.py"
    plugin.write_text("from sai_bench_builtin.decoders.peak_regions import PeakRegions\n")
    hashed = hashed_modules(monkeypatch, plugin)
    assert "sai_bench_builtin.decoders.peak_regions" in hashed
    assert "sai_bench.upsampling" in hashed
    assert not [name for name in hashed if name.startswith(("torch", "numpy", "pydantic"))]


def test_a_package_without_init_is_found(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "loose").mkdir()
    (tmp_path / "loose" / "rule.py").write_text("from loose import other\n")
    (tmp_path / "loose" / "other.py").write_text("A = 1\n")
    forget_places()
    first = module.code_fingerprint("loose.rule")
    (tmp_path / "loose" / "other.py").write_text("A = 2\n")
    assert module.code_fingerprint("loose.rule") != first
