"""Commands that begin long work look first whether what the spec names is there and fits."""

import pytest
import torch

UNIFORM = ("--set", "system.prior={use: uniform}")
ABSENT = ("--set", "system.weights=absent.safetensors")


@pytest.fixture
def spec(tmp_path, tiny_spec_text):
    """Write the tiny spec with a data folder that nobody has rendered into."""
    lines = [
        "  folder: own_data" if line.startswith("  folder:") else line for line in tiny_spec_text.splitlines()
    ]
    path = tmp_path / "tiny.yaml"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def refused(spec, sai_bench):
    """Run a command that must end with exit code 2, before anything is rendered; return what it said."""

    def call(command, *arguments):
        done = sai_bench(command, spec, *arguments)
        assert done.code == 2
        assert "data:" not in done.err
        assert not (spec.parent / "own_data").exists()
        return done.err

    return call


@pytest.mark.parametrize(
    "command",
    [
        ("check",),
        ("run", "--out", "out"),
        ("predict", "--out", "out"),
        ("train",),
        ("export-weights", "w.safetensors"),
    ],
)
def test_weights_that_are_not_there_are_named(refused, command):
    for prior in ((), UNIFORM):
        told = refused(*command, *ABSENT, *prior)
        assert "tiny.yaml: system.weights: absent.safetensors: no such file." in told


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device")
@pytest.mark.parametrize("command", [("run", "--out", "out"), ("train",)])
def test_a_device_that_is_not_there_is_named(refused, command):
    assert "inference.device is cuda" in refused(*command, "--set", "inference.device=cuda")


def test_weights_of_another_config_are_named(refused, spec, sai_bench, tiny_spec_text):
    rendered = spec.with_name("rendered.yaml")
    rendered.write_text(tiny_spec_text)
    assert sai_bench("export-weights", rendered, "w.safetensors", "--cache", "cache").code == 0
    other = ("--set", "system.weights=w.safetensors", "--set", "system.prior.mel_bands=20")
    told = refused("run", "--out", "out", *other)
    assert "system.prior.mel_bands: the file has 40, the spec 20" in told
