"""Missing files, weights that do not fit and absent devices are found before any long work."""

import pytest
import torch

from sai_bench.before_work import check_files, check_system
from sai_bench.errors import DeviceError, SpecError, WeightsError
from sai_bench.progress import Reporter
from sai_bench.running import open_context
from sai_bench.spec import load_spec
from sai_bench.weights_of_systems import export_weights

AUDIOMAE = "encoder_width: 16, encoder_depth: 1, encoder_heads: 2"


@pytest.fixture
def exported(tiny_spec, tmp_path):
    path = tmp_path / "tiny.safetensors"
    export_weights(tiny_spec(), path, open_context(tmp_path / "cache", Reporter()))
    return path


def test_files_that_are_not_there_are_named_with_their_keys(tiny_spec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec = tiny_spec(
        "system.weights=absent.safetensors", f"system.prior={{use: audiomae, {AUDIOMAE}, encoder_weights: .}}"
    )
    for check in (check_files, check_system):
        with pytest.raises(SpecError) as error:
            check(spec)
        assert error.value.problems == [
            "tiny.yaml: system.weights: absent.safetensors: no such file.",
            "tiny.yaml: system.prior.encoder_weights: .: it is a folder.",
        ]


def test_files_of_variants_are_looked_for_and_named_once(tiny_spec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = tiny_spec.path.read_text().replace("system:\n", "system:\n  weights: gone.safetensors\n")
    text += "variants:\n  a: {system.fusion: {use: none}}\n  b: {system.weights: other.safetensors}\n"
    tiny_spec.path.write_text(text)
    with pytest.raises(SpecError) as error:
        check_files(load_spec(tiny_spec.path))
    assert error.value.problems == [
        "tiny.yaml: system.weights: gone.safetensors: no such file.",
        "tiny.yaml: variants.b.system.weights: other.safetensors: no such file.",
    ]


def test_an_empty_name_is_no_file(tiny_spec):
    with pytest.raises(SpecError, match=r"system\.weights: expected the name of a file, got an empty text"):
        tiny_spec("system.weights=''")


def test_weights_that_do_not_fit_are_found(tiny_spec, exported):
    check_system(tiny_spec(f"system.weights={exported}"))
    with pytest.raises(WeightsError, match=r"system\.backbone\.channels: the file has 3, the spec 5"):
        check_system(tiny_spec(f"system.weights={exported}", "system.backbone={use: tiny, channels: 5}"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device")
@pytest.mark.parametrize("key", ["inference.device", "system.prior.device"])
def test_a_device_that_is_not_there_is_found(tiny_spec, key):
    spec = tiny_spec(f"system.prior={{use: audiomae, {AUDIOMAE}}}", f"{key}=cuda")
    with pytest.raises(DeviceError, match=key.replace(".", r"\.")):
        check_system(spec)


def test_what_can_only_be_right_is_not_built(tiny_spec, monkeypatch):
    monkeypatch.setattr("sai_bench.system.System.__init__", None)
    check_system(tiny_spec())
