"""Missing folders of a file that is to be written: made by all commands alike, and only for a result."""

import pytest

SPEC = """\
name: plain
system:
  front_end: {use: stft}
  backbone: {use: steered_power, grid_height: 18, grid_width: 36}
  decoder: {use: peak_regions}
  prior: {use: uniform}
  fusion: {use: none}
  compressor: {use: grid_support}
"""

WRITERS = [
    ("describe", "plain.yaml", "--json", "{}"),
    ("schema", "--out", "{}"),
    ("export-weights", "plain.yaml", "{}"),
]


@pytest.fixture(params=WRITERS, ids=lambda arguments: arguments[0])
def write(request, sai_bench, tmp_path):
    (tmp_path / "plain.yaml").write_text(SPEC)
    return lambda target: sai_bench(*(part.format(target) for part in request.param))


def test_missing_folders_are_made(write, tmp_path):
    done = write("not/there/yet.safetensors")
    assert done.code == 0, done.err
    assert (tmp_path / "not" / "there" / "yet.safetensors").is_file()


def test_a_file_where_a_folder_should_be_is_refused(write, tmp_path):
    (tmp_path / "taken").write_text("")
    done = write("taken/yet.safetensors")
    assert done.code == 2
    assert "taken/yet.safetensors: cannot be written (Not a directory)" in done.err


def test_a_command_that_fails_makes_none(sai_bench, tmp_path):
    (tmp_path / "plain.yaml").write_text(SPEC)
    absent = ("--set", "system.weights=absent.safetensors")
    assert sai_bench("export-weights", "plain.yaml", "not/there/yet.safetensors", *absent).code == 2
    assert not (tmp_path / "not").exists()
