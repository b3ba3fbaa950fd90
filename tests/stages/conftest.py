import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sai_bench.progress import Reporter
from sai_bench.running import open_context, run_spec
from sai_bench.spec import load_spec

SPEC = """\
name: toy
plugins: [toy_components.py]
data: {use: toy, folder: data}
system:
  front_end: {use: stft}
  backbone: {use: steered_power, grid_height: 18, grid_width: 36}
  decoder: {use: peak_regions, contrast_at_zero: 0}
  prior: {use: table, table: level.txt}
  fusion: {use: half}
  compressor: {use: grid_support}
inference: {score_floor: 0}
export: {score_threshold: 0}
evaluation:
  metrics: [{use: dcase2026_april}]
  pictures: 0
"""


@dataclass
class Lines(Reporter):
    """Keeps what a run says."""

    said: list[str] = field(default_factory=list)

    def line(self, text):
        self.said.append(text)


@dataclass
class Workshop:
    """A folder with a spec of toy components, and runs of it."""

    folder: Path
    spec: Path

    def run(self, *overrides, out="run", pictures=False):
        """Run the spec; return (record, what was said)."""
        reporter = Lines()
        spec = load_spec(self.spec, overrides=overrides)
        context = open_context(self.folder / "cache", reporter, workers=1)
        record, _ = run_spec(spec, self.folder / out, context, pictures=pictures)
        return record, reporter.said

    def computed(self, *overrides):
        """Run the spec and return the names of the stages that had something to compute."""
        _, said = self.run(*overrides)
        return {line.split(":")[0] for line in said if "computed" in line or " on " in line}

    def predictions(self, out="run"):
        """Return the published predictions: file name -> bytes."""
        return {p.name: p.read_bytes() for p in sorted((self.folder / out / "predictions").glob("*.json"))}


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """A fresh folder with the toy components, their helper module, a table and the spec."""
    shutil.copy(Path(__file__).parent / "toy_components.py", tmp_path)
    (tmp_path / "toy_numbers.py").write_text("HALF = 0.5\n")
    (tmp_path / "level.txt").write_text("0.9")
    (tmp_path / "toy.yaml").write_text(SPEC)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "toy_numbers", raising=False)
    from sai_bench import code_fingerprint

    for function in (
        code_fingerprint.source_path,
        code_fingerprint._search_folders,
        code_fingerprint._is_users_own,
    ):
        function.cache_clear()
    return Workshop(tmp_path, tmp_path / "toy.yaml")
