"""`describe`, `bench`, `export-weights` and `load` as a user types them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sai_bench.weights import read_weights, write_weights

NETWORKS = (
    "--plugin", Path(__file__).parents[1] / "core" / "tiny_networks.py",
    "--set", "system.backbone={use: tiny}", "--set", "system.decoder={use: tiny}",
)  # fmt: skip
TIMED = "system.prior={use: audiomae, head: random, encoder_width: 16, encoder_depth: 1, encoder_heads: 2}"


@pytest.fixture
def spec(tmp_path, tiny_spec_text):
    path = tmp_path / "tiny.yaml"
    path.write_text(tiny_spec_text)
    return path


def test_weights_that_were_exported_replace_the_fit(spec, sai_bench):
    exported = sai_bench("export-weights", spec, "w.safetensors", "--cache", "cache")
    assert exported.code == 0, exported.err
    assert "w.safetensors" in exported.out
    assert "prior: " in exported.out
    loaded = sai_bench("load", spec, "w.safetensors")
    assert loaded.code == 0
    assert "fits. To use it: --set system.weights=w.safetensors" in loaded.out
    own = sai_bench("predict", spec, "--out", "own", "--cache", "cache")
    given = sai_bench(
        "predict", spec, "--out", "given", "--cache", "other", "--set", "system.weights=w.safetensors"
    )
    assert (own.code, given.code) == (0, 0)
    assert "fit: prior log_mel_linear from w.safetensors" in given.err
    folder = spec.parent
    for path in sorted((folder / "own" / "predictions").glob("*.json")):
        assert (folder / "given" / "predictions" / path.name).read_bytes() == path.read_bytes()


def test_weights_of_another_config_end_with_exit_code_2_and_the_keys(spec, sai_bench):
    assert sai_bench("export-weights", spec, "w.safetensors", "--cache", "cache").code == 0
    other = "system.prior.mel_bands=20"
    for command in (
        ("load", spec, "w.safetensors", "--set", other),
        ("predict", spec, "--set", "system.weights=w.safetensors", "--set", other, "--cache", "cache"),
    ):
        done = sai_bench(*command)
        assert done.code == 2
        assert "system.prior.mel_bands: the file has 40, the spec 20" in done.err


@pytest.mark.parametrize("content", [None, b"", b"not tensors"])
def test_a_file_without_weights_ends_with_exit_code_2(spec, sai_bench, content):
    if content is not None:
        (spec.parent / "w.safetensors").write_bytes(content)
    done = sai_bench("load", spec, "w.safetensors")
    assert done.code == 2
    assert "w.safetensors: cannot be read as weights" in done.err


def test_describe_shows_shapes_and_writes_them_as_json(spec, sai_bench):
    done = sai_bench("describe", spec, "--json", "d.json")
    assert done.code == 0, done.err
    assert "sphere features [B N D h w] = 1 x 210 x 1 x 18 x 36" in " ".join(done.out.split())
    described = json.loads((spec.parent / "d.json").read_text())
    assert [part["kind"] for part in described["parts"]] == [
        "front_end", "backbone", "decoder", "prior", "fusion", "compressor",
    ]  # fmt: skip


def test_bench_times_each_part_and_writes_them_as_json(spec, sai_bench):
    done = sai_bench(
        "bench", spec, "--set", "system.prior={use: uniform}", "--seconds", 2, "--repeats", 1,
        "--json", "b.json",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "real-time factor" in done.out
    written = json.loads((spec.parent / "b.json").read_text())
    assert {"front_end", "backbone", "decoder", "masks"} <= {part["part"] for part in written["parts"]}
    assert all(part["wall_s"] >= 0 for part in written["parts"])


def test_bench_of_a_prior_that_is_not_fitted_says_what_to_do(spec, sai_bench):
    done = sai_bench("bench", spec)
    assert done.code == 2
    assert "Run sai-bench export-weights first and set system.weights" in done.err


@pytest.mark.parametrize("command", [("describe",), ("bench", "--seconds", 1, "--repeats", 1)])
def test_a_dash_sends_the_json_to_standard_output_alone(spec, sai_bench, command):
    done = sai_bench(command[0], spec, *command[1:], "--set", "system.prior={use: uniform}", "--json", "-")
    assert done.code == 0, done.err
    assert json.loads(done.out)["name"] == "tiny"
    assert not (spec.parent / "-").exists()


@pytest.mark.parametrize("command", ["describe", "bench"])
def test_a_json_target_that_cannot_be_written_is_refused_before_any_work(spec, sai_bench, command):
    done = sai_bench(command, spec, "--json", spec.parent)
    assert done.code == 2
    assert "it is a folder" in done.err
    assert done.out == ""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device")
def test_a_device_that_is_not_there_ends_with_exit_code_2_and_the_key(spec, sai_bench):
    done = sai_bench("describe", spec, "--set", TIMED, "--set", "system.prior.device=cuda")
    assert done.code == 2
    assert "system.prior.device" in done.err
    assert "no such device. Set it to cpu" in done.err


def test_a_swapped_prior_is_told_by_load_and_accepted_by_predict(spec, sai_bench):
    uniform = ("--set", "system.prior={use: uniform}")
    assert sai_bench("export-weights", spec, "w.safetensors", "--cache", "cache").code == 0
    loaded = sai_bench("load", spec, "w.safetensors", *uniform)
    assert loaded.code == 0, loaded.err
    assert "its prior 'log_mel_linear' is not used: the spec has 'uniform'" in loaded.out
    given = ("--set", "system.weights=w.safetensors")
    assert sai_bench("predict", spec, *uniform, *given, "--out", "run", "--cache", "cache").code == 0


def test_other_weights_of_the_prior_leave_the_detections_alone(spec, sai_bench):
    assert sai_bench("export-weights", spec, "a.safetensors", *NETWORKS, "--cache", "cache").code == 0
    weights = read_weights(spec.parent / "a.safetensors")
    prior = dict(weights.tensors["prior"]) | {"intercept": np.zeros(13)}
    tensors = {**weights.tensors, "prior": prior}
    write_weights(spec.parent / "b.safetensors", tensors, weights.components, weights.heard)
    said = {}
    for name in ("a", "b"):
        given = ("--set", f"system.weights={name}.safetensors", "--out", name, "--cache", "cache")
        done = sai_bench("predict", spec, *NETWORKS, *given)
        assert done.code == 0, done.err
        said[name] = done.err
    assert "detect: 3 recordings computed" in said["a"]
    assert "detect: 3 recordings reused" in said["b"]
    assert "prior: 3 recordings computed" in said["b"]


def test_other_weights_of_a_network_are_noticed(spec, sai_bench):
    assert sai_bench("export-weights", spec, "a.safetensors", *NETWORKS, "--cache", "cache").code == 0
    weights = read_weights(spec.parent / "a.safetensors")
    decoder = {name: 2 * array for name, array in weights.tensors["decoder"].items()}
    tensors = {**weights.tensors, "decoder": decoder}
    write_weights(spec.parent / "b.safetensors", tensors, weights.components, weights.heard)
    for name in ("a", "b"):
        given = ("--set", f"system.weights={name}.safetensors", "--out", name, "--cache", "cache")
        done = sai_bench("predict", spec, *NETWORKS, *given)
        assert "detect: 3 recordings computed" in done.err


def test_segments_of_another_length_than_the_weights_are_made_for_are_noted(spec, sai_bench):
    assert sai_bench("export-weights", spec, "w.safetensors", *NETWORKS, "--cache", "cache").code == 0
    other = ("--set", "inference.segment_s=1", "--set", "system.weights=w.safetensors")
    said = "w.safetensors is made for inference.segment_s = 20.0, the spec has 1.0"
    assert f"note: weights: {said}" in sai_bench("load", spec, "w.safetensors", *NETWORKS, *other).out
    done = sai_bench("predict", spec, *NETWORKS, *other, "--out", "run", "--cache", "cache")
    assert f"note: weights: {said}" in done.err


def test_a_description_reads_as_a_list_of_parts():
    from sai_bench.cli.describe import as_text
    from sai_bench.description import Description, Part, Shape

    part = Part("backbone", "x", [Shape("features", "B C", (1, 2))], 1234, 0.5, note="a note")
    lines = as_text(Description("name", 2.0, (part,))).splitlines()
    assert lines[0] == "name: one segment of 2 s"
    assert lines[2] == "backbone: x (1,234 parameters, 0.50 GMAC)"
    assert lines[3].endswith("[B C] = 1 x 2")
    assert lines[4] == "  a note"
