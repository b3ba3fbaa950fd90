"""A declared system end to end, on a tiny data set."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from sai_bench.predictions import read_annotations
from sai_bench.results.record import comparable, read_record

MEAN_FUSION = """
import sai_bench


class MeanConfig(sai_bench.ComponentConfig):
    weight: float = 0.5


class Mean(sai_bench.Fusion):
    def __init__(self, config):
        self.weight = config.weight

    def __call__(self, scores, classes, frames, p):
        return (1 - self.weight) * scores + self.weight * p[classes, frames]


@sai_bench.hookimpl
def sai_bench_register(register):
    register.component("fusion", "mean", Mean, config=MeanConfig, summary="weighted mean of s and p")
"""


def prediction_bytes(out):
    return {path.name: path.read_bytes() for path in sorted((out / "predictions").glob("*.json"))}


def with_data_folder(spec, folder):
    """A copy of a spec in `folder` that keeps its data below it."""
    copy = folder / spec.name
    copy.write_text(re.sub(r"folder: \S+", "folder: data", spec.read_text()))
    return copy


def start(arguments, stderr=subprocess.DEVNULL):
    """Start a command in a process group of its own, as from a terminal.

    A shell that runs the tests in the background has Ctrl-C ignored, and processes inherit that.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "sai_bench.cli", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_until(running, condition):
    """Wait for the condition, which must come while the command runs."""
    deadline = time.monotonic() + 60
    while running.poll() is None and time.monotonic() < deadline and not condition():
        time.sleep(0.002)
    assert running.poll() is None, "the command ended before it could be stopped"


def run_until(arguments, condition):
    """Start a command and kill it and its workers as soon as the condition holds."""
    running = start(arguments)
    wait_until(running, condition)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_spec_text, fresh):
    """The tiny spec after one run: (spec path, run folder, what the command said)."""
    folder = tmp_path_factory.mktemp("finished")
    spec = folder / "tiny.yaml"
    spec.write_text(tiny_spec_text)
    done = fresh("-m", "sai_bench.cli", "run", spec, "--out", folder / "run", "--cache", folder / "cache")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return spec, folder / "run", done


def test_a_run_leaves_record_summary_predictions_and_pictures(finished):
    _, out, done = finished
    record = read_record(out / "result.json")
    assert list(record.variants) == ["tiny", "uniform_prior"]
    own = record.variants["tiny"]
    assert set(own.metrics["dcase2026_april"]) >= {"map", "ap50", "pearson", "per_class_ap"}
    assert list(own.stages) == ["detect", "prior", "fuse", "compress", "score.dcase2026_april"]
    assert all(timing.seconds > 0 for timing in own.stages.values())
    assert record.data.recordings == 3
    assert record.data.audio_s == pytest.approx(9)
    assert record.components["fusion"].name == "power"
    assert record.environment["packages"]["torch"].startswith("2.")
    names = sorted(path.stem for path in (out / "predictions").glob("*.json"))
    assert len(names) == 3
    assert names == sorted(path.stem for path in (out / "variants/uniform_prior/predictions").glob("*.json"))
    assert own.files["prediction_bytes_total"] == sum(len(b) for b in prediction_bytes(out).values())
    assert own.files["dense_bytes_total"] > own.files["prediction_bytes_total"]
    (picture,) = (out / "pictures").glob("*.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "uniform_prior" in done.stdout
    assert "| tiny" in (out / "summary.md").read_text()


def test_predictions_are_valid_without_ties_and_within_the_export_settings(finished):
    _, out, _ = finished
    for path in (out / "predictions").glob("*.json"):
        annotations = read_annotations(path)
        assert annotations
        scores = [a.score for a in annotations]
        assert len(set(scores)) == len(scores)
        assert all(0.05 - 1e-6 <= score <= 1 for score in scores)
        frames = [a.metadata_frame_index for a in annotations]
        assert max(frames.count(frame) for frame in set(frames)) <= 6
        assert max(frames) < 30
        for annotation in annotations:
            for x, y, energy in annotation.segmentation[0]:
                assert 0 <= x < 360
                assert 0 <= y <= 179
                assert 0 < energy <= 1


def test_a_second_run_reuses_every_stage_and_ends_the_same(finished, sai_bench):
    spec, out, _ = finished
    before, first = prediction_bytes(out), read_record(out / "result.json")
    done = sai_bench("run", spec, "--out", out, "--cache", out.parent / "cache")
    assert done.code == 0
    for stage in ("detect", "prior", "fuse", "compress", "score.dcase2026_april"):
        assert f"{stage}: 3 recordings reused" in done.err
    assert "computed" not in done.err
    assert prediction_bytes(out) == before
    assert comparable(read_record(out / "result.json")) == comparable(first)


def test_a_run_elsewhere_from_scratch_gives_the_same_bytes(finished, sai_bench, tmp_path):
    spec, out, _ = finished
    done = sai_bench("run", spec, "--out", tmp_path / "again", "--workers", 1)
    assert done.code == 0
    assert "reused" not in done.err.split("variant uniform_prior")[0]
    assert prediction_bytes(tmp_path / "again") == prediction_bytes(out)
    first, second = (comparable(read_record(o / "result.json")) for o in (out, tmp_path / "again"))
    assert first == second


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_number_of_blas_threads_changes_nothing(finished, fresh, tmp_path, threads):
    spec, out, _ = finished
    folders = ("--out", tmp_path / "run", "--cache", tmp_path / "cache")
    variables = {"OPENBLAS_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
    done = fresh("-m", "sai_bench.cli", "evaluate", spec, *folders, env=variables)
    assert done.returncode == 0, done.stderr
    assert prediction_bytes(tmp_path / "run") == prediction_bytes(out)


def test_ctrl_c_says_how_to_go_on(finished, tmp_path):
    spec, _, _ = finished
    cache = tmp_path / "cache"
    command = ("run", spec, "--out", tmp_path / "run", "--cache", cache)
    running = start(command, stderr=subprocess.PIPE)
    wait_until(running, lambda: any(cache.rglob("*.npz")))
    running.send_signal(signal.SIGINT)
    told = running.communicate(timeout=60)[1].decode()
    assert running.returncode == 130
    assert told.strip().endswith("Run the same command again to go on where it stopped.")
    assert "Traceback" not in told


def test_another_alpha_redoes_only_fusion_and_what_follows(finished, sai_bench):
    spec, out, _ = finished
    done = sai_bench(
        "run",
        spec,
        *("--out", out.parent / "alpha"),
        *("--cache", out.parent / "cache"),
        *("--set", "system.fusion.alpha=0.3"),
    )
    assert done.code == 0
    own = done.err.split("variant uniform_prior")[0]
    assert "fit: prior log_mel_linear reused" in own
    for stage in ("detect", "prior"):
        assert f"{stage}: 3 recordings reused" in own
    for stage in ("fuse", "compress", "score.dcase2026_april"):
        assert f"{stage}: 3 recordings computed" in own
    assert read_record(out.parent / "alpha" / "result.json").spec["system"]["fusion"]["alpha"] == 0.3
    assert prediction_bytes(out.parent / "alpha") != prediction_bytes(out)


def test_a_drop_in_fusion_rule_runs_without_the_detector(finished, sai_bench, tmp_path):
    spec, out, _ = finished
    plugin = tmp_path / "mean_fusion.py"
    plugin.write_text(MEAN_FUSION)
    folders = ("--out", out.parent / "mean", "--cache", out.parent / "cache")
    arguments = ("run", spec, *folders, "--plugin", plugin)
    done = sai_bench(*arguments, "--set", "system.fusion.use=mean")
    assert done.code == 0, done.err
    assert "detect: 3 recordings reused" in done.err
    assert "fuse: 3 recordings computed" in done.err
    record = read_record(out.parent / "mean" / "result.json")
    assert record.components["fusion"].origin == "mean_fusion.py"
    (plugin_path,) = record.plugin_files
    assert plugin_path.endswith("/mean_fusion.py")
    # An edit of the plugin is noticed.
    plugin.write_text(MEAN_FUSION.replace("p[classes", "0.5 * p[classes"))
    done = sai_bench(*arguments, "--set", "system.fusion.use=mean")
    assert "detect: 3 recordings reused" in done.err
    assert "fuse: 3 recordings computed" in done.err


def test_a_fusion_rule_that_breaks_its_contract_fails_the_work_and_leaves_the_old_run(
    finished, sai_bench, tmp_path
):
    spec, out, _ = finished
    plugin = tmp_path / "bad_fusion.py"
    plugin.write_text(MEAN_FUSION.replace("return (1 - self.weight) * scores", "return 3 + scores"))
    before = prediction_bytes(out)
    folders = ("--out", out, "--cache", out.parent / "cache")
    done = sai_bench("run", spec, *folders, "--plugin", plugin, "--set", "system.fusion.use=mean")
    assert done.code == 1
    assert "Fusion rule Mean returned" in done.err
    assert prediction_bytes(out) == before


def test_evaluate_scores_without_pictures_and_predict_without_scores(finished, sai_bench):
    spec, out, _ = finished
    base = out.parent
    cache = ("--cache", base / "cache")
    assert sai_bench("evaluate", spec, "--out", base / "evaluated", *cache).code == 0
    assert (base / "evaluated" / "result.json").exists()
    assert not (base / "evaluated" / "pictures").exists()
    assert sai_bench("predict", spec, "--out", base / "predicted", *cache).code == 0
    assert prediction_bytes(base / "predicted") == prediction_bytes(out)
    assert not (base / "predicted" / "result.json").exists()


def test_train_and_render_say_what_is_there(finished, sai_bench):
    spec, out, _ = finished
    done = sai_bench("train", spec, "--cache", out.parent / "cache")
    assert "prior log_mel_linear: 4 recordings" in done.out
    done = sai_bench("render", spec)
    assert "train: 4 recordings" in done.out
    assert "test: 3 recordings" in done.out


@pytest.mark.parametrize("files_before_kill", [0, 1, 4, 7, 10])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(finished, sai_bench, tmp_path, files_before_kill):
    spec, out, _ = finished
    target = tmp_path / "run"
    cache = tmp_path / "cache"
    command = ("run", spec, "--out", target, "--cache", cache)
    run_until(
        command,
        lambda: len([*cache.rglob("*.npz"), *cache.rglob("*-*.json")]) >= files_before_kill,
    )
    assert not (target / "result.json").exists()
    done = sai_bench(*command)
    assert done.code == 0
    assert prediction_bytes(target) == prediction_bytes(out)
    assert json.loads((target / "result.json").read_text())["name"] == "tiny"


def test_an_output_folder_that_cannot_be_written_is_named_before_any_work(finished, sai_bench, tmp_path):
    spec, _, _ = finished
    (tmp_path / "file").write_text("in the way")
    done = sai_bench("run", spec, "--out", tmp_path / "file" / "run")
    assert done.code == 2
    assert "cannot be made or written" in done.err
    assert "--out" in done.err


def test_a_killed_rendering_goes_on_and_ends_with_the_same_bytes(finished, sai_bench, tmp_path, tiny_data):
    spec = with_data_folder(finished[0], tmp_path)
    data = tmp_path / "data"
    run_until(("render", spec), lambda: len([*data.rglob("*.wav")]) >= 3)
    assert len([*data.rglob("*.wav")]) < 7
    assert not [*data.rglob("manifest.json")]
    assert sai_bench("render", spec).code == 0
    # The file that was being written when the kill came may leave its temporary copy behind.
    ours, theirs = (
        {
            path.relative_to(root): path.read_bytes()
            for path in root.rglob("*.*")
            if path.is_file() and path.suffix != ".tmp"
        }
        for root in (data, tiny_data)
    )
    assert ours == theirs


def test_a_truncated_label_file_is_rendered_again_or_named(finished, sai_bench, tmp_path):
    _, out, _ = finished
    spec_here = with_data_folder(finished[0], tmp_path)
    assert sai_bench("render", spec_here).code == 0
    label = sorted((tmp_path / "data").rglob("test/*_std.json"))[0]
    content = label.read_bytes()
    label.write_bytes(content[: len(content) // 2])
    done = sai_bench("run", spec_here, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    assert label.read_bytes() == content
    assert prediction_bytes(tmp_path / "run") == prediction_bytes(out)


def test_a_spec_without_data_or_system_says_what_is_missing(sai_bench, tmp_path):
    fragment = tmp_path / "fragment.yaml"
    fragment.write_text(f"data: {{use: simulated_rooms, folder: {tmp_path}}}\n")
    done = sai_bench("run", fragment)
    assert done.code == 2
    assert "system: missing" in done.err


def test_a_broken_installed_plugin_leaves_every_command_working(fresh, tmp_path, finished):
    spec, out, _ = finished
    (tmp_path / "site" / "broken_plugin-0.1.dist-info").mkdir(parents=True)
    info = tmp_path / "site" / "broken_plugin-0.1.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-plugin\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[sai_bench]\nbroken = broken_plugin\n")
    (tmp_path / "site" / "broken_plugin.py").write_text("raise RuntimeError('no luck')\n")
    environment = {"PYTHONPATH": str(tmp_path / "site")}
    for arguments in (
        ("list",),
        ("show", "fusion/power"),
        ("check", spec, spec),
        ("schema",),
        ("run", spec, "--out", out, "--cache", out.parent / "cache"),
    ):
        done = fresh("-m", "sai_bench.cli", *arguments, env=environment)
        assert done.returncode == 0, done.stderr
        warnings = [line for line in done.stderr.splitlines() if line.startswith("warning:")]
        assert len(warnings) == 1
        assert "'broken' of broken-plugin 0.1" in warnings[0]
        assert "no luck" in warnings[0]
