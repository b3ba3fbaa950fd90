import ast
import importlib.util
import re
import shlex
import shutil

import pytest
import typer

from sai_bench import hookspec
from sai_bench.cli.main import app
from sai_bench.errors import SpecError
from sai_bench.interfaces import KIND_CLASSES
from sai_bench.spec import load_spec


def commands():
    return typer.main.get_command(app).commands


def options_of(command):
    return {name for parameter in command.params for name in parameter.opts if name.startswith("--")}


@pytest.mark.parametrize("name", commands())
def test_every_command_has_a_section_that_names_all_its_options(repository, name):
    text = (repository / "docs" / "commands.md").read_text()
    heading = f"\n## sai-bench {name}\n"
    assert heading in text
    section = text.partition(heading)[2].partition("\n## ")[0]
    for option in options_of(commands()[name]) - {"--help"}:
        assert f"`{option}" in section or f"{option} " in section


def test_every_command_line_in_the_pages_uses_commands_and_options_that_exist(page, blocks):
    for block in blocks(page.read_text(), "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.split("&&")[-1], comments=True)
            if not words or not words[0].endswith("sai-bench"):
                continue
            assert words[1] in commands()
            used = {word for word in words if word.startswith("--")}
            assert used <= options_of(commands()[words[1]])


def test_every_hook_and_every_kind_is_in_the_plugin_page(repository):
    text = (repository / "docs" / "plugins.md").read_text()
    section = text.partition("\n## The eight kinds\n")[2].partition("\n## ")[0]
    for kind, base in KIND_CLASSES.items():
        row = next(line for line in section.splitlines() if line.startswith(f"| `{kind}` |"))
        assert f"`{base.__name__}`" in row
        if "__call__" in vars(base):
            assert "->" in row
    hooks = [name for name in vars(hookspec) if name.startswith("sai_bench_")]
    assert hooks
    for hook in hooks:
        assert f"`{hook}(register)`" in text


def test_the_plugin_page_names_every_environment_variable_of_plugin_loading(repository):
    from sai_bench import plugin_loading

    text = (repository / "docs" / "plugins.md").read_text()
    for variable in (plugin_loading.DISABLE_VARIABLE, plugin_loading.STRICT_VARIABLE):
        assert f"`{variable}=" in text


def test_specs_in_the_pages_are_valid(page, blocks, repository, tmp_path):
    """Blocks stand where specs do: beside quickstart.yaml, with the example plugins one folder up."""
    shutil.copytree(repository / "specs", tmp_path / "specs")
    (tmp_path / "plugins").mkdir()
    for plugin in (repository / "plugins").glob("example_*.py"):
        shutil.copy(plugin, tmp_path / "plugins")
    for block in blocks(page.read_text(), "yaml"):
        if block.startswith("name: mistakes\n"):
            continue
        path = tmp_path / "specs" / "block.yaml"
        path.write_text(block)
        assert load_spec(path).name


def test_the_five_mistakes_give_the_messages_on_the_page(repository, blocks, tmp_path, monkeypatch):
    text = (repository / "docs" / "specs.md").read_text().partition("\n## Mistakes\n")[2]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mistakes.yaml").write_text(blocks(text, "yaml")[0])
    with pytest.raises(SpecError) as failure:
        load_spec("mistakes.yaml")
    assert len(failure.value.problems) == 5
    assert [f"error: {problem}" for problem in failure.value.problems] == blocks(text, "text")[0].splitlines()


def test_python_in_the_pages_is_valid_and_takes_from_sai_bench_what_is_there(page, blocks):
    for block in blocks(page.read_text(), "python"):
        for name in names_from_sai_bench(ast.parse(block, page.name)):
            assert exists(name), name


def names_from_sai_bench(tree):
    """Return the dotted names that a source takes from sai_bench, imported or as attributes."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names.add(f"{node.value.id}.{node.attr}")
    return {name for name in names if name.partition(".")[0] == "sai_bench"}


def exists(name):
    module, _, attribute = name.rpartition(".")
    if not module or importlib.util.find_spec(name.partition(".")[0]) is None:
        return importlib.util.find_spec(name) is not None
    home = importlib.import_module(module)
    return hasattr(home, attribute) or (hasattr(home, "__path__") and bool(importlib.util.find_spec(name)))


@pytest.mark.parametrize(
    "source", ["import sai_bench.absent", "from sai_bench.sphere import absent", "sai_bench.absent()"]
)
def test_a_name_that_sai_bench_lacks_would_be_found(source):
    assert not all(exists(name) for name in names_from_sai_bench(ast.parse(source)))


def test_links_to_files_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path = target.partition("#")[0]
        if path and "://" not in path:
            assert (page.parent / path).exists(), target


def test_paths_of_the_repository_named_in_the_pages_exist(page, repository):
    for path in re.findall(r"(?<![\w/])((?:docs|specs|plugins|tests)/[\w./]*\w\.\w+)", page.read_text()):
        assert (repository / path).exists(), path
