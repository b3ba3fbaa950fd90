"""What is kept of label files between scorings: found by content, harmless if damaged, never needed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from sai_bench.files import sha256_of
from sai_bench.metrics import score
from sai_bench.stages.label_memory import LabelMemory

CASE = Path(__file__).parents[1] / "cases" / "june" / "dense"
JUNE = "dcase2026_june"


class Counting:
    """A metric that counts how often labels were scored; what it was given is `seen`."""

    def __init__(self):
        self.seen = []

    def score_with_memory(self, predictions, labels, memory):
        self.seen.append({name: array.tolist() for name, array in memory.items()})
        return {"n": np.array(len(labels))}, {"times": np.array(memory.get("times", 0) + 1)}


@pytest.fixture
def files(tmp_path):
    """A copy of a case: (predictions, labels)."""
    shutil.copytree(CASE, tmp_path / "files")
    return tmp_path / "files" / "predictions", tmp_path / "files" / "labels"


@pytest.fixture
def score_june(tmp_path):
    def call(predictions, labels, cache="cache"):
        return score(predictions, labels, [JUNE], cache=tmp_path / cache, workers=1).to_json()

    return call


def kept_files(cache):
    return sorted(cache.glob("labels.*/*/*"))


def forget_scores(cache):
    """As if another system was to be scored: what is kept of labels stays."""
    for folder in cache.glob("score.*"):
        shutil.rmtree(folder)


def test_a_metric_gets_what_it_kept_for_the_same_content_only(tmp_path):
    memory, metric = LabelMemory(tmp_path / "folder"), Counting()
    for sha256 in ("a", "b", "a", "a"):
        assert memory.score(metric, [], [None], sha256)["n"] == 1
    assert metric.seen == [{}, {}, {"times": 1}, {"times": 2}]


def test_scoring_keeps_one_file_for_each_label_file(score_june, files, tmp_path):
    predictions, labels = files
    first = score_june(predictions, labels)
    names = sorted(f"{sha256_of(path)}.npz" for path in labels.iterdir())
    assert sorted(path.name for path in kept_files(tmp_path / "cache")) == names
    forget_scores(tmp_path / "cache")
    assert score_june(predictions, labels) == first


def test_what_was_kept_is_what_the_next_scoring_uses(score_june, files, tmp_path):
    predictions, labels = files
    first = score_june(predictions, labels)
    # A wrong map in a valid file: nothing but its use can change the numbers.
    for path in kept_files(tmp_path / "cache"):
        with np.load(path) as archive:
            arrays = dict(archive)
        np.savez(path, **{**arrays, "values": np.ones_like(arrays["values"])})
    forget_scores(tmp_path / "cache")
    assert score_june(predictions, labels)[JUNE]["macro_pearson_r"] != first[JUNE]["macro_pearson_r"]


def test_changed_labels_do_not_get_what_was_kept_of_the_old_ones(score_june, files, tmp_path):
    predictions, labels = files
    score_june(predictions, labels)
    path = next(labels.iterdir())
    document = json.loads(path.read_text())
    for annotation in document["annotations"]:
        for points in annotation["segmentation"]:
            for point in points:
                point[2] = round(1 - point[2] / 2, 4)
    path.write_text(json.dumps(document))
    assert score_june(predictions, labels) == score_june(predictions, labels, cache="fresh")


@pytest.mark.parametrize("damage", ["empty", "cut", "other", "flipped"])
def test_a_damaged_file_is_as_good_as_none_and_is_replaced(score_june, files, tmp_path, damage):
    predictions, labels = files
    first = score_june(predictions, labels)
    good = {path: path.read_bytes() for path in kept_files(tmp_path / "cache")}
    for path, content in good.items():
        bad = bytearray(content)
        bad[len(bad) // 2] ^= 1  # among the values: only a checksum can tell
        path.write_bytes({"empty": b"", "cut": content[:-100], "other": b"{}", "flipped": bytes(bad)}[damage])
    forget_scores(tmp_path / "cache")
    assert score_june(predictions, labels) == first
    assert {path: path.read_bytes() for path in good} == good


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(score_june, files, tmp_path):
    predictions, labels = files
    first = score_june(predictions, labels)
    blocked = tmp_path / "blocked" / f"labels.{JUNE}"
    blocked.parent.mkdir()
    blocked.write_text("no folder")
    assert score_june(predictions, labels, cache="blocked") == first


def test_a_metric_that_keeps_nothing_leaves_no_files(files, tmp_path):
    score(*files, ["dcase2026_april"], cache=tmp_path / "cache", workers=1)
    assert not kept_files(tmp_path / "cache")


def test_another_configuration_or_library_has_a_memory_of_its_own(tmp_path, monkeypatch):
    from sai_bench.plugin_loading import load_plugins
    from sai_bench.spec import ComponentSpec
    from sai_bench.stages import label_memory

    registration = load_plugins().registry.get("metric", "dcase2026_april")
    config = registration.load_config()

    def folder(**settings):
        component = ComponentSpec("metric", "dcase2026_april", config(**settings), registration)
        return LabelMemory.of(component, tmp_path).folder

    before = folder()
    assert folder() == before != folder(sigma_deg=5)
    monkeypatch.setattr(label_memory, "library_versions", lambda: {"scipy": "another"})
    assert folder() != before


def test_runs_of_a_spec_keep_labels_too_and_score_the_same(workshop):
    lattice = [[100 + 2 * x, 60 + 2 * y, 1.0] for x in range(30) for y in range(30)]
    plugin = workshop.folder / "toy_components.py"
    plugin.write_text(plugin.read_text().replace("[[[180, 90, 1.0]]]", json.dumps([lattice])))
    june = "evaluation.metrics=[{use: dcase2026_june}]"
    first, _ = workshop.run(june)
    kept = kept_files(workshop.folder / "cache")
    assert [path.stem for path in kept] == [sha256_of(workshop.folder / "data" / "one.json")]
    forget_scores(workshop.folder / "cache")
    again, said = workshop.run(june)
    assert f"score.{JUNE}: 2 recordings computed" in said
    assert again.variants["toy"].metrics == first.variants["toy"].metrics
