import hashlib
import sys

import pytest

from sai_bench.errors import PluginError
from sai_bench.plugin_loading import add_plugin_file, load_plugins

GOOD = """
    import sai_bench

    class Config(sai_bench.ComponentConfig):
        weight: float = 0.5

    class Rule(sai_bench.Fusion):
        def __init__(self, config):
            self.weight = config.weight

        def __call__(self, scores, classes, frames, p):
            return scores

    @sai_bench.hookimpl
    def sai_bench_register(register):
        register.component("fusion", "{name}", Rule, config=Config, summary="a rule")
"""


@pytest.fixture(autouse=True)
def without_other_installed_plugins(monkeypatch):
    monkeypatch.delenv("SAI_BENCH_DISABLE_PLUGINS", raising=False)
    monkeypatch.delenv("SAI_BENCH_STRICT_PLUGINS", raising=False)


def test_a_file_adds_its_component_beside_the_built_ins(write_plugin):
    path = write_plugin("rule.py", GOOD.format(name="mine"))
    loaded = load_plugins([path])
    assert {"mine", "power"} <= set(loaded.registry.names("fusion"))
    component = loaded.registry.get("fusion", "mine")
    assert component.load_class()(component.load_config()()).weight == 0.5
    assert component.origin.label == str(path)
    assert component.origin.path == path.resolve()
    assert loaded.files == {str(path.resolve()): hashlib.sha256(path.read_bytes()).hexdigest()}
    assert loaded.warnings == []


def test_dataclasses_and_pydantic_models_of_a_file_work(write_plugin):
    path = write_plugin(
        "models.py",
        """
        from __future__ import annotations
        from dataclasses import dataclass, field
        import sai_bench

        @dataclass
        class Part:
            sizes: list[int] = field(default_factory=list)

        class Inner(sai_bench.ComponentConfig):
            alpha: float = 1.0

        class Config(sai_bench.ComponentConfig):
            '''Keys.'''
            inner: Inner = Inner()
            '''Nested.'''

        class Rule(sai_bench.Fusion):
            def __init__(self, config):
                self.part = Part([1, 2])

            def __call__(self, scores, classes, frames, p):
                return scores

        @sai_bench.hookimpl
        def sai_bench_register(register):
            register.component("fusion", "models", Rule, config=Config, summary="s")
        """,
    )
    component = load_plugins([path]).registry.get("fusion", "models")
    config = component.load_config()(inner={"alpha": 2})
    assert config.inner.alpha == 2
    assert component.load_config().model_fields["inner"].description == "Nested."
    assert component.load_class()(config).part.sizes == [1, 2]


def test_the_same_file_asked_for_twice_counts_once(write_plugin):
    path = write_plugin("rule.py", GOOD.format(name="mine"))
    loaded = load_plugins([path, path])
    add_plugin_file(loaded, path.parent / "." / path.name)
    assert loaded.registry.names("fusion").count("mine") == 1


def test_sys_path_is_left_alone(write_plugin):
    before = list(sys.path)
    load_plugins([write_plugin("rule.py", GOOD.format(name="mine"))])
    assert sys.path == before


def test_a_file_that_takes_a_built_ins_name_is_refused_with_both_origins(write_plugin):
    path = write_plugin("rule.py", GOOD.format(name="power"))
    with pytest.raises(
        PluginError, match=r"Two fusion components are named 'power': one from sai-bench"
    ) as caught:
        load_plugins([path])
    assert str(path) in str(caught.value)


def test_two_files_with_one_name_are_refused_with_both_paths(write_plugin):
    first = write_plugin("first.py", GOOD.format(name="mine"))
    second = write_plugin("second.py", GOOD.format(name="mine") + "\n    # another file\n")
    with pytest.raises(PluginError) as caught:
        load_plugins([first, second])
    assert str(first) in str(caught.value)
    assert str(second) in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("raise RuntimeError('no GPU here')", "cannot be loaded .RuntimeError: no GPU here"),
        ("import a_module_that_nobody_has", "ModuleNotFoundError.*a_module_that_nobody_has"),
        ("def broken(:", "SyntaxError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("x = 1", "registers nothing. Expected a function `sai_bench_register"),
        (
            "import sai_bench\n@sai_bench.hookimpl\ndef sai_bench_registr(register): pass",
            "sai_bench_registr.*The hook is called sai_bench_register",
        ),
        (
            "import sai_bench\n@sai_bench.hookimpl\ndef sai_bench_register(registry): pass",
            "registry",
        ),
        (
            "import sai_bench\n@sai_bench.hookimpl\ndef sai_bench_register(register): 1 / 0",
            "ZeroDivisionError",
        ),
        (
            "import sai_bench\n@sai_bench.hookimpl\ndef sai_bench_register(register):\n"
            "    register.component('fusin', 'a', 'm:C', config='m:C', summary='s')",
            "unknown kind 'fusin'. Did you mean 'fusion'",
        ),
    ],
)
def test_a_broken_file_is_refused_by_name_and_leaves_nothing_behind(write_plugin, source, message):
    path = write_plugin("broken_rule.py", source)
    modules = {name for name in sys.modules if name.startswith("sai_bench_plugin_file")}
    loaded = load_plugins()
    count = len(loaded.registry)
    with pytest.raises(PluginError, match=message) as caught:
        add_plugin_file(loaded, path)
    assert "broken_rule.py" in str(caught.value)
    assert len(loaded.registry) == count
    assert loaded.files == {}
    if "def sai_bench_reg" not in source and source != "x = 1":
        assert modules == {name for name in sys.modules if name.startswith("sai_bench_plugin_file")}


def test_a_missing_file_says_where_paths_start(tmp_path):
    with pytest.raises(PluginError, match=r"nowhere\.py.*No such file.*relative to the spec file"):
        load_plugins([tmp_path / "nowhere.py"])


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(PluginError, match="Is a directory"):
        load_plugins([tmp_path])


def test_a_file_that_is_not_python_by_name_is_refused(write_plugin):
    path = write_plugin("rule.txt", GOOD.format(name="mine"))
    with pytest.raises(PluginError, match=r"rule\.txt.*\.py"):
        load_plugins([path])


def test_an_edited_file_is_loaded_anew(write_plugin):
    path = write_plugin("rule.py", GOOD.format(name="mine"))
    assert load_plugins([path]).registry.get("fusion", "mine").load_config()().weight == 0.5
    path.write_text(path.read_text().replace("0.5", "0.25"))
    assert load_plugins([path]).registry.get("fusion", "mine").load_config()().weight == 0.25
