import importlib
import sys
import textwrap

import pytest

from sai_bench import code_fingerprint as module


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
        importlib.invalidate_caches()
        module.code_fingerprint.cache_clear()
        module._source_path.cache_clear()
        return module.code_fingerprint("toybox.rule")

    yield write
    module.code_fingerprint.cache_clear()
    module._source_path.cache_clear()


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
