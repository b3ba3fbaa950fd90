"""Fake components and a folder to write specs into."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from sai_bench.errors import SpecError
from sai_bench.plugin_loading import LoadedPlugins, add_plugin_file
from sai_bench.spec import load_spec

FAKES = Path(__file__).with_name("fake_components.py")

WHOLE = """\
name: whole
seed: 3
data:
  use: rooms
  folder: ../data
system:
  front_end: {use: window, window_ms: 30}
  backbone: {use: power_map}
  decoder: {use: peaks}
  prior: {use: learned, weights: weights/prior.npz}
  fusion:
    use: exponent
    alpha: 0.25
  compressor: {use: keep}
evaluation:
  metrics: [{use: april}]
variants:
  flat_prior:
    system.prior: {use: flat}
    system.fusion.alpha: 0.75
"""


@pytest.fixture(scope="session")
def fakes() -> LoadedPlugins:
    loaded = LoadedPlugins()
    add_plugin_file(loaded, FAKES)
    loaded.files.clear()
    return loaded


class Folder:
    """A working folder that specs are written into and loaded from by relative path."""

    def __init__(self, path: Path, fakes: LoadedPlugins):
        self.path = path
        self.fakes = fakes

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else dedent(text).encode())
        return path

    def load(self, name: str, *overrides: str, **options):
        return load_spec(name, overrides=overrides, plugins=self.fakes, **options)

    def problems(self, name: str, *overrides: str, **options) -> list[str]:
        with pytest.raises(SpecError) as caught:
            self.load(name, *overrides, **options)
        return caught.value.problems

    def problems_of(self, text: str | bytes, *overrides: str) -> list[str]:
        self.write("s.yaml", text)
        return self.problems("s.yaml", *overrides)

    def load_text(self, text: str, *overrides: str):
        self.write("s.yaml", text)
        return self.load("s.yaml", *overrides)


@pytest.fixture
def folder(tmp_path, monkeypatch, fakes) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path, fakes)


@pytest.fixture
def whole(folder) -> Folder:
    """The folder with a complete, correct spec in it: specs/whole.yaml."""
    folder.write("specs/whole.yaml", WHOLE)
    return folder
