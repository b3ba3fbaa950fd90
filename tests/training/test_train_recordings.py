"""Which recordings are learned from where a data set does not look at them itself, as one of a plugin may."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import soundfile

PLUGIN = """\
import sai_bench
from sai_bench.files import sha256_of
from sai_bench.sphere import mic_array


class AsItIsConfig(sai_bench.ComponentConfig):
    folder: sai_bench.SpecPath


class AsItIs(sai_bench.Dataset):
    root = None
    manifest_sha256 = "unknown"

    def __init__(self, config):
        self.root = config.folder

    def prepare(self, workers=1, reporter=None): ...

    def splits(self):
        return ("train", "test")

    def recordings(self, split):
        audio = sorted((self.root / "mic_dev" / split).glob("*.wav"))
        labels = [self.root / "labels_dev" / split / f"{path.stem}_std.json" for path in audio]
        return [
            sai_bench.Recording(a.stem, a, label if label.exists() else None, mic_array(), sha256_of(a))
            for a, label in zip(audio, labels)
        ]


@sai_bench.hookimpl
def sai_bench_register(register):
    register.component("dataset", "as_it_is", AsItIs, config=AsItIsConfig, summary="a folder as it is")
"""


@pytest.fixture
def train_on(small, sai_bench, tmp_path):
    """The recordings of the small system in a folder, and a command that trains its first stage on them."""
    (rendered,) = (small.spec.parent / "data").iterdir()
    for kind in ("mic_dev", "labels_dev"):
        shutil.copytree(rendered / kind, tmp_path / "data" / kind)
    (tmp_path / "as_it_is.py").write_text(PLUGIN)
    changes = [
        f"data={{use: as_it_is, folder: {tmp_path / 'data'}}}",
        "training.first.steps=1",
        "training.first.validation_split=null",
        "training.second=null",
        "training.recognition=null",
    ]
    arguments = [f"--set={change}" for change in changes]
    arguments += ["--plugin", tmp_path / "as_it_is.py", "--cache", tmp_path / "cache"]
    return tmp_path / "data", lambda: sai_bench("train", small.spec, *arguments)


def test_recordings_that_cannot_be_read_are_named_together_before_anything_is_trained(train_on, tmp_path):
    folder, train = train_on
    broken, narrow, _ = sorted((folder / "mic_dev" / "train").glob("*.wav"))
    broken.write_bytes(b"RIFF nonsense")
    soundfile.write(narrow, np.zeros((24_000, 3)), 24_000)

    done = train()

    assert done.code == 2
    first, *each = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert "training.first: recordings cannot be learned from" in first
    assert [line.split(": ")[1] for line in each] == [broken.stem, narrow.stem]
    assert "cannot be read as audio" in each[0]
    assert "has 3 channels, expected 4" in each[1]
    assert not (tmp_path / "cache" / "train").exists()
    assert not (tmp_path / "cache" / "label_masks").exists()


def test_recordings_without_labels_are_left_out_and_a_split_of_them_is_refused(train_on):
    folder, train = train_on
    unlabelled, *others = sorted((folder / "labels_dev" / "train").glob("*.json"))

    unlabelled.unlink()
    done = train()
    assert done.code == 0, done.err
    assert "1 train recordings without labels are left out" in done.err

    for labels in others:
        labels.unlink()
    done = train()
    assert done.code == 2
    assert "training.first needs labels, but split 'train' has no labelled recordings" in done.err
