"""Training through the command line: what it leaves, what is reused, what it refuses."""

from __future__ import annotations

import shutil

import accelerate
import numpy as np
import pytest
import soundfile
import yaml
from safetensors.numpy import load_file

from sai_bench.results.record import read_record
from sai_bench.training.training_log import read_log

ONE_STEP = [
    "--set=training.first.steps=1",
    "--set=training.first.validation_split=null",
    "--set=training.first.ema_decay=0",
    "--set=training.second=null",
    "--set=training.recognition=null",
]
BARELY = "--set=training.first.optimiser.learning_rate=1e-12"
"""With ONE_STEP the result is where the stage began."""


@pytest.fixture
def one_step(small, sai_bench, tmp_path):
    """Train the first stage for a step in an empty cache; return the command's end and the weights."""

    def run(*arguments):
        done = sai_bench("train", small.spec, "--cache", tmp_path / "cache", *ONE_STEP, *arguments)
        if done.code:
            return done, None
        return done, load_file(small.folder("first", tmp_path / "cache") / "last.safetensors")

    return run


@pytest.fixture
def refused(small, sai_bench, tmp_path):
    """Run a command that must end with exit code 2 and one message, and train nothing; return the message."""

    def run(*arguments, command="train"):
        done = sai_bench(command, small.spec, "--cache", tmp_path / "cache", *arguments)
        assert done.code == 2
        assert done.err.count("error: ") == 1
        left = {path.suffix for path in (tmp_path / "cache" / "train").rglob("*")}
        assert not left & {".safetensors", ".jsonl"}
        return done.err

    return run


@pytest.fixture
def recorded(small, tmp_path):
    """The small data set as if recorded in real rooms; the folder, and the keys that name it."""
    (rendered,) = (small.spec.parent / "data").iterdir()
    for kind in ("mic_dev", "labels_dev"):
        shutil.copytree(rendered / kind, tmp_path / "recorded" / kind)
    data = {"use": "stairs26", "folder": str(tmp_path / "recorded"), "cache_folder": str(tmp_path / "hashes")}
    return tmp_path / "recorded", f"--set=data={data}"


def same(tensors, others):
    return tensors.keys() == others.keys() and all(np.array_equal(tensors[n], others[n]) for n in tensors)


def close(tensors, others):
    return all(np.allclose(tensors[name], others[name], rtol=0, atol=1e-9) for name in tensors)


def test_a_run_trains_all_stages_and_its_record_says_what_came_of_them(small):
    record = read_record(small.out / "result.json")
    fits = record.variants["small"].fits

    assert [*fits] == ["detector.first", "detector.second", "prior"]
    assert {name: fit.steps for name, fit in fits.items()} == {
        "detector.first": 20,
        "detector.second": 2,
        "prior": None,
    }
    assert {fit.recordings for fit in fits.values()} == {3}
    assert not any(fit.reused for fit in fits.values())
    assert record.spec["training"]["first"]["losses"]["calibration"] == 1
    assert not any("RANDOM" in note for note in record.notes)


def test_a_stage_leaves_weights_checkpoint_log_and_scalars_for_tensorboard(small):
    folder = small.folder("first")
    names = {path.name for path in folder.iterdir()}

    assert names >= {"last.safetensors", "best.safetensors", "checkpoint.safetensors", "log.jsonl"}
    assert [*(folder / "tensorboard").glob("events.out.tfevents.*")]
    assert {"data_s", "step_s", "loss", "learning_rate"} <= read_log(folder)[0].keys()


def test_what_is_trained_is_reused_by_every_command(small, sai_bench, tmp_path):
    cache = ["--cache", small.cache]
    wav = tmp_path / "noise.wav"
    soundfile.write(wav, np.random.default_rng(0).normal(0, 0.1, (24_000, 4)), 24_000, subtype="FLOAT")

    for command, *arguments in [
        ("run", small.spec, *cache, "--out", tmp_path / "again"),
        ("train", small.spec, *cache),
        ("detect", small.spec, wav, *cache, "--out", tmp_path / "detected"),
    ]:
        done = sai_bench(command, *arguments)
        assert done.code == 0, done.err
        assert "train first: 20 steps reused" in done.err
        assert "train second: 2 steps reused" in done.err
    fits = read_record(tmp_path / "again" / "result.json").variants["small"].fits
    assert all(fit.reused for fit in fits.values())


def test_what_is_trained_is_reused_before_recordings_are_looked_at(small, sai_bench, tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(small.cache / "train", cache / "train")

    done = sai_bench("train", small.spec, "--cache", cache)

    assert done.code == 0, done.err
    assert "train first: 20 steps reused" in done.err
    assert not (cache / "label_masks").exists()


def test_keys_that_only_matter_after_training_neither_train_anew_nor_make_weights_unfit(
    small, sai_bench, tmp_path
):
    tree = yaml.safe_load(small.spec.read_text())
    tree["system"]["decoder"] = {"use": "class_discs", "upsampling": 2, "hidden_channels": 8}
    tree["training"] = {"first": {"steps": 1, "batch_segments": 2, "segment_s": 0.5}}
    (tmp_path / "discs.yaml").write_text(yaml.safe_dump(tree))

    def run(command, *arguments, **keys):
        changes = [f"--set=system.decoder.{key}={value}" for key, value in keys.items()]
        cache = [] if command == "load" else ["--cache", tmp_path / "cache"]
        done = sai_bench(command, tmp_path / "discs.yaml", *arguments, *changes, *cache)
        assert done.code == 0, done.err
        return done.err

    run("export-weights", tmp_path / "exported.safetensors", smoothing_frames=3)

    assert "train first: 1 steps reused" in run("train", smoothing_frames=2, candidates=4)
    run("load", tmp_path / "exported.safetensors", candidates=5)
    assert "train first: 1 steps reused" not in run("train", hidden_channels=9)


def test_exported_weights_are_the_trained_ones_fit_and_replace_the_training(small, sai_bench, tmp_path):
    file = tmp_path / "exported.safetensors"
    assert sai_bench("export-weights", small.spec, file, "--cache", small.cache).code == 0

    exported, trained = load_file(file), load_file(small.folder("second") / "last.safetensors")
    assert same({name: exported[name] for name in trained}, trained)
    assert {name.partition(".")[0] for name in exported} == {"backbone", "decoder", "prior"}
    assert sai_bench("load", small.spec, file).code == 0

    cache = tmp_path / "cache"
    done = sai_bench("train", small.spec, "--cache", cache, f"--set=system.weights={file}")
    assert done.code == 0
    assert "train: no stage, system.weights names exported.safetensors" in done.err
    assert not (cache / "train").exists()


def test_a_stage_begins_with_the_weights_that_the_one_before_it_left(small, sai_bench, tmp_path):
    cache = tmp_path / "cache"
    done = sai_bench(
        "train",
        small.spec,
        "--cache",
        cache,
        "--set=training.first.steps=3",
        "--set=training.second.steps=1",
        "--set=training.second.optimiser.learning_rate=1e-12",
        "--set=training.recognition=null",
    )
    assert done.code == 0

    first = load_file(small.folder("first", cache) / "best.safetensors")
    assert close(load_file(small.folder("second", cache) / "last.safetensors"), first)
    assert not close(load_file(small.folder("first") / "best.safetensors"), first)


def test_a_stage_begins_with_the_weights_file_that_it_names(small, one_step, tmp_path):
    file = small.folder("second") / "last.safetensors"

    _, random = one_step(BARELY)
    shutil.rmtree(tmp_path / "cache" / "train")
    _, given = one_step(BARELY, f"--set=training.first.initial_weights={file}")

    assert close(given, load_file(file))
    assert not close(random, load_file(file))


def test_frozen_parameters_stay_what_they_were(one_step, small, tmp_path):
    _, start = one_step(BARELY)
    shutil.rmtree(tmp_path / "cache" / "train")

    # The refinement's correction is zero in the first step.
    frozen = "--set=training.first.frozen=[backbone.encoder, decoder.class_head]"
    _, end = one_step(frozen, "--set=training.first.steps=3")

    moved = {name for name in start if not np.allclose(start[name], end[name], rtol=0, atol=1e-9)}
    still = {name for name in start if name.startswith(("backbone.encoder.", "decoder.class_head."))}
    assert still
    assert moved == start.keys() - still


def test_steps_can_be_set_on_the_command_line_and_make_another_training(one_step, small, tmp_path):
    done, _ = one_step("--set=training.first.steps=2")

    assert "detector, first: 2 steps" in done.out
    assert small.folder("first", tmp_path / "cache").name != small.folder("first").name


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("first.split=trian", "training.first.split: data set 'simulated_rooms' has no split 'trian'. Did "),
        ("first.validation_split=nix", "training.first.validation_split: data set 'simulated_rooms' has no"),
        (
            "recognition.split=nix",
            "training.recognition.split: data set 'simulated_rooms' has no split 'nix'",
        ),
        ("first.initial_weights=nix.safetensors", "training.first.initial_weights: nix.safetensors: no such"),
        ("first.frozen=[backbone.encodr]", "Did you mean 'backbone.encoder'?"),
        ("first.frozen=[backbone, decoder]", "training.first.frozen: nothing is left that learns"),
        ("first.segment_s=0.55", "segment_s = 0.55 is no whole number of label frames"),
        ("first.losses.bec=1", "training.first.losses.bec: unknown key. Did you mean 'bce'?"),
        (
            "second.losses={classification: 0, bce: 0, dice: 0, scoring: 0, refinement: 0}",
            "training.second.losses: all weights are 0 (classification, bce, dice, scoring, refinement, ",
        ),
        ("more={trains: prior}", "training.more: a second stage that trains the prior"),
        ("more={trains: fusion}", "training.more.trains: expected 'detector' or 'prior'"),
    ],
)
def test_a_stage_that_cannot_be_trained_is_refused(refused, override, says):
    only_the_prior = ["--set=training.first=null", "--set=training.second=null"]
    about_the_prior = override.startswith("recognition")

    assert says in refused(*(only_the_prior if about_the_prior else []), f"--set=training.{override}")


@pytest.mark.parametrize("harm", ["removed", "truncated"])
def test_a_result_that_was_lost_is_restored_and_never_taken_as_it_is(small, sai_bench, tmp_path, harm):
    cache = tmp_path / "cache"
    shutil.copytree(small.cache / "train", cache / "train")
    best = small.folder("first", cache) / "best.safetensors"
    if harm == "removed":
        best.unlink()
    else:
        best.write_bytes(best.read_bytes()[:-9])

    done = sai_bench("train", small.spec, "--cache", cache)

    assert done.code == 0, done.err
    assert "train first: 20 steps in" in done.err
    assert "train second: 2 steps reused" in done.err
    assert best.read_bytes() == (small.folder("first") / "best.safetensors").read_bytes()
    assert "train first: 20 steps reused" in sai_bench("train", small.spec, "--cache", cache).err


def test_online_rendering_is_refused_for_a_data_set_that_cannot(refused, recorded):
    _, data = recorded

    said = refused(data, "--set=training.first.sampling.online=true")

    assert "training.first.sampling.online: data set 'stairs26' cannot render while training" in said


def test_segments_that_processes_cannot_share_are_refused(refused, monkeypatch):
    monkeypatch.setattr(accelerate.Accelerator, "num_processes", 2)

    said = refused("--set=training.first.batch_segments=3")

    assert "training.first.batch_segments: 3 segments cannot be shared by 2 processes" in said


@pytest.mark.parametrize("command", ["train", "run"])
def test_recordings_with_nan_are_named_together_before_anything_is_trained(
    sai_bench, small, recorded, tmp_path, command
):
    folder, data = recorded
    bad = sorted((folder / "mic_dev" / "train").glob("*.wav"))[:2]
    for wav in bad:
        samples, rate = soundfile.read(wav, dtype="float32")
        samples[-1, 2] = np.nan
        soundfile.write(wav, samples, rate, subtype="FLOAT")

    done = sai_bench(command, small.spec, "--cache", tmp_path / "cache", data)

    assert done.code == 2
    first, *each = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert "training.first: recordings cannot be learned from" in first
    assert [line.split(": ")[1] for line in each] == [wav.stem for wav in bad]
    assert all("NaN or infinite, the first in channel 3 at" in line for line in each)
    assert not (tmp_path / "cache" / "train").exists()


def test_a_cache_that_cannot_be_written_is_refused_before_anything_is_trained(small, sai_bench, tmp_path):
    (tmp_path / "cache").write_text("a file, where a folder should be")

    done = sai_bench("train", small.spec, "--cache", tmp_path / "cache")

    assert done.code == 2
    assert done.err.count("error: ") == 1
    assert "cannot be made or written" in done.err
    assert "--cache" in done.err


def test_a_spec_that_trains_nothing_says_so(small, sai_bench, tmp_path):
    text = yaml.safe_load(small.spec.read_text())
    text["training"] = None
    text["system"]["prior"] = {"use": "uniform"}
    (tmp_path / "plain.yaml").write_text(yaml.safe_dump(text))

    done = sai_bench("train", tmp_path / "plain.yaml", "--cache", tmp_path / "cache")

    assert done.code == 0
    assert done.out == "no stage trains the detector\nprior uniform needs no fit\n"
