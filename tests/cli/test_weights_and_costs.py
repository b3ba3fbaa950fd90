"""`describe`, `bench`, `export-weights` and `load` as a user types them."""

import json

import pytest


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
    assert "sphere features            [B N D h w] = 1 x 210 x 1 x 18 x 36" in done.out
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
