import re

import pytest

COMMANDS = (
    "python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/sai-bench run specs/quickstart.yaml",
    'python3 -m venv .venv && .venv/bin/pip install -e ".[test]" && .venv/bin/pytest',
)


@pytest.fixture
def readme(repository):
    return (repository / "README.md").read_text()


def test_the_readme_gives_the_two_commands_each_in_a_block_of_its_own(readme, blocks):
    shell = [block.strip() for block in blocks(readme, "sh")]
    assert all(command in shell for command in COMMANDS)


def test_continuous_integration_takes_the_steps_of_the_test_command(repository):
    script = (repository / ".ci" / "run").read_text()
    # The same steps in a folder that is thrown away, and quietly.
    steps = COMMANDS[1].replace(".venv/bin/", "BIN/").replace(".venv", "VENV")
    taken = next(line for line in script.splitlines() if "-m venv" in line)
    taken = taken.replace('"$venv"', "VENV").replace(" -q", "")
    taken = re.sub(r'"\$venv/bin/(\w+)"', r"BIN/\1", taken)
    assert taken == steps


def test_the_generated_parts_of_the_readme_are_up_to_date(hooks, readme):
    assert hooks.result_tables.with_fresh_blocks(readme) == readme, (
        "bring it up to date: python docs/hooks/result_tables.py README.md"
    )


def test_the_readme_quotes_the_quickstart_spec_and_the_example_plugin(repository, readme, blocks):
    assert (repository / "specs/quickstart.yaml").read_text() in blocks(readme, "yaml")
    assert (repository / "plugins/example_single_file.py").read_text() in blocks(readme, "python")


def test_every_part_of_the_quickstart_spec_is_explained(repository, readme):
    spec = (repository / "specs/quickstart.yaml").read_text()
    explanation = readme.partition("<!-- end: quickstart-spec -->")[2].partition("\n## ")[0]
    words = set(re.findall(r"^(?:  )?(\w+):", spec, re.MULTILINE)) | set(re.findall(r"use: (\w+)", spec))
    kinds = {"front_end", "backbone", "decoder", "prior", "fusion", "compressor"}
    for word in words - kinds:
        assert f"`{word}`" in explanation


def test_the_script_leaves_text_outside_the_markers_alone_and_refuses_unknown_ones(hooks):
    text = "above\n<!-- begin: quickstart -->\nold\n<!-- end: quickstart -->\nbelow\n"
    fresh = hooks.result_tables.with_fresh_blocks(text)
    assert fresh.startswith("above\n<!-- begin: quickstart -->\n| system |")
    assert fresh.endswith("<!-- end: quickstart -->\nbelow\n")
    assert "old" not in fresh
    with pytest.raises(ValueError, match="quickstrt"):
        hooks.result_tables.with_fresh_blocks(text.replace("quickstart", "quickstrt"))
    with pytest.raises(ValueError, match="has no"):
        hooks.result_tables.with_fresh_blocks("<!-- begin: quickstart -->\n")
