import pytest

IMPORTS_AND_RAISES = "raise RuntimeError('driver too old')"
TAKES_POWER = """
    import sai_bench

    @sai_bench.hookimpl
    def sai_bench_register(register):
        register.component("fusion", "mine", "m:C", config="m:Config", summary="s")
        register.component("fusion", "power", "m:C", config="m:Config", summary="s")
"""
LAZY = """
    import sai_bench

    @sai_bench.hookimpl
    def sai_bench_register(register):
        register.component(
            "fusion", "lazy", "lazy_rule:Rule", config="lazy_rule:Config", summary="s"
        )
"""
MISSPELT = """
    import sai_bench

    @sai_bench.hookimpl
    def sai_bench_registr(register):
        pass
"""


def names(report, kind="fusion"):
    return {name for k, name, _ in report["components"] if k == kind}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (IMPORTS_AND_RAISES, "RuntimeError: driver too old"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        (TAKES_POWER, "Two fusion components are named 'power': one from sai-bench"),
        (MISSPELT, "The hook is called sai_bench_register"),
        ("def broken(:", "SyntaxError"),
    ],
    ids=["raises", "exits", "takes a built-in's name", "misspelt hook", "syntax error"],
)
def test_a_broken_installed_plugin_is_one_warning_and_the_built_ins_stay(
    install, load_in_fresh_process, source, reason
):
    folder = install("sai-bench-broken", {"broken": "broken_hooks"}, {"broken_hooks": source})
    report = load_in_fresh_process(folder)
    [warning] = report["warnings"]
    assert warning.startswith("Plugin 'broken' of sai-bench-broken 0.1 is broken and was skipped")
    assert reason in warning
    assert "SAI_BENCH_DISABLE_PLUGINS=broken" in warning
    assert "\n" not in warning
    assert {"power", "none"} <= names(report)
    assert "mine" not in names(report)  # nothing of a half-registered plugin
    assert all("broken" not in label for _, _, label in report["components"])


def test_an_entry_point_without_a_module_is_one_warning(install, load_in_fresh_process):
    folder = install("sai-bench-gone", {"gone": "module_that_was_removed"})
    [warning] = load_in_fresh_process(folder)["warnings"]
    assert "'gone' of sai-bench-gone 0.1" in warning
    assert "ModuleNotFoundError" in warning


def test_a_plugin_that_registers_nothing_is_one_warning(install, load_in_fresh_process):
    folder = install("sai-bench-idle", {"idle": "idle_hooks"}, {"idle_hooks": "x = 1"})
    [warning] = load_in_fresh_process(folder)["warnings"]
    assert "'idle' of sai-bench-idle 0.1 registers nothing" in warning


def test_one_broken_plugin_does_not_hide_a_good_one(install, load_in_fresh_process):
    install("sai-bench-a-broken", {"a_broken": "a_hooks"}, {"a_hooks": IMPORTS_AND_RAISES})
    folder = install("sai-bench-lazy", {"lazy": "lazy_hooks"}, {"lazy_hooks": LAZY}, version="2.3")
    report = load_in_fresh_process(folder)
    assert ["fusion", "lazy", "sai-bench-lazy 2.3"] in report["components"]
    assert len(report["warnings"]) == 1


def test_strings_import_no_component_and_no_heavy_package(install, load_in_fresh_process):
    folder = install(
        "sai-bench-lazy",
        {"lazy": "lazy_hooks"},
        {"lazy_hooks": LAZY, "lazy_rule": "raise RuntimeError('imported too early')"},
    )
    report = load_in_fresh_process(folder)
    assert report["warnings"] == []
    assert "lazy" in names(report)
    assert {"lazy_rule", "torch", "numpy", "scipy", "pydantic"}.isdisjoint(report["modules"])


def test_strict_mode_turns_a_broken_plugin_into_an_error(install, load_in_fresh_process):
    folder = install("sai-bench-broken", {"broken": "broken_hooks"}, {"broken_hooks": IMPORTS_AND_RAISES})
    report = load_in_fresh_process(folder, SAI_BENCH_STRICT_PLUGINS="1")
    assert "'broken' of sai-bench-broken 0.1" in report["error"]
    assert load_in_fresh_process(folder, SAI_BENCH_STRICT_PLUGINS="0")["warnings"]


def test_disabled_plugins_are_not_even_imported(install, load_in_fresh_process):
    folder = install("sai-bench-broken", {"broken": "broken_hooks"}, {"broken_hooks": IMPORTS_AND_RAISES})
    report = load_in_fresh_process(folder, SAI_BENCH_DISABLE_PLUGINS="other, broken")
    assert report["warnings"] == []
    assert "broken_hooks" not in report["modules"]
    assert "power" in names(report)


def test_disabling_everything_says_that_nothing_is_registered(load_in_fresh_process):
    report = load_in_fresh_process(SAI_BENCH_DISABLE_PLUGINS="builtin")
    assert report["components"] == []
    assert "No components are registered" in report["warnings"][0]


def test_built_ins_name_their_distribution_as_origin(load_in_fresh_process):
    import sai_bench

    report = load_in_fresh_process()
    assert report["warnings"] == []
    origin = f"sai-bench {sai_bench.__version__}"
    assert {label for _, name, label in report["components"] if name in ("power", "dense")} == {origin}
