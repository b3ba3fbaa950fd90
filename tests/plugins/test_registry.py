import sys

import pytest

import sai_bench
from sai_bench.errors import PluginError, UnknownComponentError
from sai_bench.interfaces import KIND_CLASSES
from sai_bench.registry import KINDS, Origin, Registrar, Registration, Registry


def registration(kind="fusion", name="mean", origin="somebody 1.0", target="m:C", config="m:Config"):
    return Registration(kind, name, target, config, "summary", Origin(origin))


def filled(*registrations):
    registry = Registry()
    registry.add_all(list(registrations))
    return registry


def test_unknown_name_suggests_the_closest_and_lists_all():
    registry = filled(registration(name="power"), registration(name="none"))
    with pytest.raises(UnknownComponentError) as caught:
        registry.get("fusion", "powr")
    assert str(caught.value) == "Unknown fusion 'powr'. Did you mean 'power'? Available: none, power."


def test_unknown_name_that_resembles_nothing_suggests_nothing():
    with pytest.raises(UnknownComponentError, match="Available: power") as caught:
        filled(registration(name="power")).get("fusion", "zzz")
    assert "Did you mean" not in str(caught.value)


def test_unknown_kind_suggests_the_closest():
    with pytest.raises(UnknownComponentError, match=r"Unknown kind 'fusin'\. Did you mean 'fusion'"):
        Registry().get("fusin", "power")


def test_a_name_belongs_to_its_kind():
    registry = filled(registration("fusion", "same"), registration("prior", "same"))
    assert registry.get("prior", "same").kind == "prior"


def test_two_components_of_one_name_are_refused_with_both_origins():
    registry = filled(registration(origin="sai-bench 0.1.0"))
    with pytest.raises(PluginError, match=r"'mean': one from sai-bench 0\.1\.0, one from /tmp/mine\.py"):
        registry.add_all([registration(name="other"), registration(origin="/tmp/mine.py")])
    assert registry.names("fusion") == ["mean"]  # all of a plugin or nothing


def test_components_come_in_the_order_of_the_signal_then_by_name():
    registry = filled(
        registration("metric", "a"),
        registration("fusion", "b"),
        registration("fusion", "a"),
        registration("front_end", "z"),
    )
    assert [(c.kind, c.name) for c in registry] == [
        ("front_end", "z"),
        ("fusion", "a"),
        ("fusion", "b"),
        ("metric", "a"),
    ]


def test_every_kind_has_a_base_class():
    assert list(KINDS) == list(KIND_CLASSES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "fusin"}, r"unknown kind 'fusin'\. Did you mean 'fusion'"),
        ({"name": "Mean-Rule"}, "lower_case_with_underscores"),
        ({"name": 3}, "lower_case_with_underscores"),
        ({"target": "no_colon"}, "target must be 'module:Class' or a class"),
        ({"target": "module:Class.method"}, "target must be 'module:Class' or a class"),
        ({"config": None}, "config must be 'module:Class' or a class"),
        ({"summary": "  "}, "one-line summary"),
    ],
)
def test_malformed_registrations_are_refused_naming_the_plugin(changes, message):
    good = {"kind": "fusion", "name": "mean", "target": "m:C", "config": "m:Config", "summary": "mean"}
    registrar = Registrar(Origin("somebody 1.0"))
    kind, name, target = ({**good, **changes}[key] for key in ("kind", "name", "target"))
    rest = {key: {**good, **changes}[key] for key in ("config", "summary")}
    with pytest.raises(PluginError, match=message) as caught:
        registrar.component(kind, name, target, **rest)
    assert "somebody 1.0" in str(caught.value)
    assert registrar.registrations == []


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module:Class", "cannot import no_such_module:Class .*ModuleNotFoundError"),
        ("json:Missing", "cannot import json:Missing .*AttributeError"),
        ("json:dumps", "json:dumps is a function, expected a class"),
    ],
)
def test_a_target_that_cannot_be_imported_names_component_and_origin(target, message):
    with pytest.raises(PluginError, match=message) as caught:
        registration(target=target).load_class()
    assert "fusion 'mean' from somebody 1.0" in str(caught.value)


def test_a_config_that_is_no_component_config_is_refused():
    with pytest.raises(PluginError, match=r"Derive the config model from sai_bench\.ComponentConfig"):
        registration(config="collections:OrderedDict").load_config()


def test_classes_may_be_registered_directly():
    class Config(sai_bench.ComponentConfig):
        pass

    class Rule(sai_bench.Fusion):
        def __call__(self, scores, classes, frames, p):
            return scores

    direct = registration(target=Rule, config=Config)
    assert direct.load_class() is Rule
    assert direct.load_config() is Config


def test_a_class_that_is_no_component_of_its_kind_is_refused():
    class Incomplete(sai_bench.Fusion):
        pass

    with pytest.raises(PluginError, match="Incomplete does not define __call__"):
        registration(target=Incomplete, config=sai_bench.ComponentConfig).load_class()
    with pytest.raises(PluginError, match=r"dict is no Fusion. Derive it from sai_bench\.Fusion"):
        registration(target=dict, config=sai_bench.ComponentConfig).load_class()


def test_a_module_that_calls_exit_is_a_broken_plugin(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "leaving.py").write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(PluginError, match=r"cannot import leaving:Rule .*SystemExit"):
        registration(target="leaving:Rule", config=sai_bench.ComponentConfig).load_class()


def test_an_installed_plugin_names_its_classes():
    class Rule(sai_bench.Fusion):
        def __call__(self, scores, classes, frames, p):
            return scores

    with pytest.raises(PluginError, match=r"target is a class\. An installed plugin names it"):
        Registrar(Origin("cone 1.0")).component(
            "fusion", "rule", Rule, config=sai_bench.ComponentConfig, summary="x"
        )


def test_the_code_of_an_imported_component_is_that_of_its_import(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "quick_rule.py"
    path.write_text(
        "import sai_bench\nclass Rule(sai_bench.Fusion):\n"
        "    def __call__(self, scores, classes, frames, p):\n        return scores\n"
    )
    rule = registration(target="quick_rule:Rule", config=sai_bench.ComponentConfig)
    before = rule.code_sha256()
    path.write_text(path.read_text() + "# edited\n")
    edited = rule.code_sha256()
    assert edited != before
    rule.load_class()
    path.write_text(path.read_text() + "# edited again\n")
    assert rule.code_sha256() == edited


@pytest.fixture
def described(tmp_path, monkeypatch):
    """Write a module and return the description of a component in it, and whether it was imported."""
    monkeypatch.syspath_prepend(tmp_path)

    def describe(name, source, target):
        (tmp_path / f"{name}.py").write_text(source)
        return registration(target=f"{name}:{target}").description(), name in sys.modules

    return describe


_RULE = """
import sai_bench

class Base(sai_bench.Fusion):
    \"\"\"Averages.

    Over all.
    \"\"\"

    def __call__(self, scores, classes, frames, p):
        return scores
"""


def test_a_description_is_read_without_importing_the_component(described):
    assert described("read_only", _RULE, "Base") == ("Averages.\n\nOver all.", False)


@pytest.mark.parametrize(
    ("name", "source", "target"),
    [
        ("inheriting", f"{_RULE}\nclass Rule(Base): pass\n", "Rule"),
        ("renaming", f"{_RULE}\nRule = Base\n", "Rule"),
    ],
)
def test_a_description_that_does_not_stand_there_is_asked_of_the_class(described, name, source, target):
    assert described(name, source, target) == ("Averages.\n\nOver all.", True)


def test_a_description_of_a_module_that_is_broken_or_not_there_names_it(described):
    with pytest.raises(PluginError, match=r"cannot import unfinished:Rule .*SyntaxError"):
        described("unfinished", "class Rule(:", "Rule")
    with pytest.raises(PluginError, match="cannot import no_such_module:Rule"):
        registration(target="no_such_module:Rule").description()
