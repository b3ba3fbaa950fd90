"""`sai-bench train` in processes of its own: killed and started again, several at once, two in one place."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sai_bench.folder_lock import folder_lock
from sai_bench.training.training_log import read_log

PATIENCE_S = 300
LOSSES = ("classification", "bce", "dice", "scoring", "refinement", "calibration")


def started(*arguments, **options):
    # With one worker no other processes stay when this one is killed but the one that reads ahead.
    command = [sys.executable, "-m", "sai_bench.cli", *map(str, arguments), "--workers", "1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def ended(process):
    said, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, said


def with_torchrun(processes, *arguments, **options):
    command = [str(Path(sys.executable).with_name("torchrun")), "--nproc-per-node", str(processes)]
    command += ["--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    command += ["-m", "sai_bench.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S, **options)


def wait_for_step(cache, step, process):
    """Wait until a stage's log says that it has done so many steps."""
    begun = time.monotonic()
    while time.monotonic() - begun < PATIENCE_S:
        assert process.poll() is None, process.communicate()[0]
        for folder in cache.glob("train/small-first-*"):
            if any(line["step"] >= step for line in read_log(folder)):
                return folder
        time.sleep(0.01)
    raise AssertionError(f"no step {step} after {PATIENCE_S} s")


def test_a_killed_training_goes_on_and_ends_with_the_weights_of_an_undisturbed_one(
    small, hashes, one_thread, tmp_path
):
    cache = tmp_path / "cache"
    process = started("train", small.spec, "--cache", cache, env=one_thread)
    folder = wait_for_step(cache, 10, process)
    process.send_signal(signal.SIGKILL)
    ended(process)
    assert (folder / "checkpoint.safetensors").exists()
    assert not (folder / "result.json").exists()
    assert not (folder / "last.safetensors").exists()

    code, said = ended(started("train", small.spec, "--cache", cache, env=one_thread))  # at once

    assert code == 0, said
    assert "detector, first: 20 steps" in said
    undisturbed = small.folder("first")
    assert folder.name == undisturbed.name
    for file in ("last.safetensors", "best.safetensors", "checkpoint.safetensors"):
        assert hashes(folder / file) == hashes(undisturbed / file), file
    second = small.folder("second", cache)
    assert hashes(second / "last.safetensors") == hashes(small.folder("second") / "last.safetensors")
    assert losses(folder) == losses(undisturbed)


def losses(folder):
    """Return all losses that a log knows, by kind, name and step."""
    return {
        (line["kind"], name, line["step"]): value
        for line in read_log(folder)
        for name, value in line.items()
        if name.startswith("loss")
    }


def test_two_processes_have_the_loss_curve_of_one_with_the_same_segments_in_a_step(
    small, one_thread, tmp_path
):
    cache = tmp_path / "cache"

    done = with_torchrun(2, "train", small.spec, "--cache", cache, env=one_thread)

    assert done.returncode == 0, done.stderr
    folder = small.folder("first", cache)
    assert folder.name == small.folder("first").name
    curve, alone = losses(folder), losses(small.folder("first"))
    assert {name for _, name, _ in curve} == {"loss", *(f"loss_{name}" for name in LOSSES)}
    assert curve == pytest.approx(alone, rel=1e-3)
    assert {step for kind, _, step in curve if kind == "train"} == {5, 10, 15, 20}
    assert {step for kind, _, step in curve if kind == "validation"} == {10, 20}
    assert "detector, first: 20 steps" in done.stdout
    assert done.stdout.count("prior log_mel_linear") == 1  # one of the processes fits the prior


def test_two_trainings_cannot_write_to_one_place(small, sai_bench, tmp_path):
    cache = tmp_path / "cache"
    folder = cache / "train" / small.folder("first").name
    folder.mkdir(parents=True)

    with folder_lock(folder, doing="", otherwise=""):
        done = sai_bench("train", small.spec, "--cache", cache)

    assert done.code == 2
    assert done.err.count("error:") == 1
    assert f"{folder}: another training writes here. Wait for it, or take another --cache." in done.err
