"""Weights files: what is written comes back, and every misfit is named."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sai_bench.detector import Detector
from sai_bench.errors import OutputError, WeightsError
from sai_bench.networks import arrays_of, build_parts
from sai_bench.progress import Reporter
from sai_bench.running import open_context
from sai_bench.sphere import mic_array
from sai_bench.stages.fitting import prior_of_file
from sai_bench.weights import read_weights, write_weights
from sai_bench.weights_of_systems import check_weights, export_weights


@pytest.fixture
def exported(tiny_spec, tmp_path):
    path = tmp_path / "tiny.safetensors"
    export_weights(tiny_spec(), path, open_context(tmp_path / "cache", Reporter()))
    return path


def detector_output(spec):
    waveform = np.random.default_rng(0).normal(0, 0.1, (4, 48_000)).astype(np.float32)
    return Detector(spec.system, spec.inference, spec.seed)(waveform, 24_000, mic_array()).arrays()


def test_exported_weights_replace_the_random_ones_of_another_seed(tiny_spec, exported):
    here, elsewhere = tiny_spec(), tiny_spec("seed=99", f"system.weights={exported}")
    expected, found = detector_output(here), detector_output(elsewhere)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def test_the_file_holds_every_tensor_and_the_configs_they_belong_to(tiny_spec, exported):
    assert set(load_file(exported)) == {
        "backbone.maps", "decoder.heads.weight", "decoder.heads.bias", "decoder.mixing",
    }  # fmt: skip
    weights = read_weights(exported)
    resolved = tiny_spec().resolved()["system"]
    assert weights.components == {kind: resolved[kind] for kind in ("front_end", "backbone", "decoder")}
    summary = check_weights(tiny_spec(), exported)
    assert summary.values == {"backbone": 4 * 3 * 18 * 36, "decoder": 3 * 30 + 30 + 6}


def test_the_same_weights_give_the_same_bytes(tiny_spec, exported, tmp_path):
    again = tmp_path / "again.safetensors"
    export_weights(tiny_spec(), again, open_context(tmp_path / "cache", Reporter()))
    assert again.read_bytes() == exported.read_bytes()


def test_a_changed_config_is_reported_key_by_key(tiny_spec, exported):
    spec = tiny_spec(
        "system.backbone={use: tiny, channels: 5}", "system.front_end={use: stft, hop_samples: 240}"
    )
    with pytest.raises(WeightsError) as error:
        check_weights(spec, exported)
    message = str(error.value)
    assert "system.backbone.channels: the file has 3, the spec 5" in message
    assert "system.front_end.hop_samples: the file has" in message
    assert "system.decoder" not in message


def test_weights_of_a_prior_that_was_swapped_do_not_stand_in_the_way(tiny_spec, tmp_path):
    path = tmp_path / "both.safetensors"
    resolved = tiny_spec().resolved()["system"]
    tensors = {kind: arrays_of(part) for kind, part in build_parts(tiny_spec().system, 5).items()}
    tensors = {kind: named for kind, named in tensors.items() if named}
    components = {kind: resolved[kind] for kind in ("front_end", "backbone", "decoder")}
    other = {"use": "log_mel_linear", "mel_bands": 7}
    write_weights(path, tensors | {"prior": {"w": np.zeros(2)}}, components | {"prior": other})
    spec = tiny_spec(f"system.weights={path}", "seed=99")
    np.testing.assert_array_equal(detector_output(spec)["scores"], detector_output(tiny_spec())["scores"])
    assert prior_of_file(spec) is None
    with pytest.raises(WeightsError, match=r"system\.prior\.mel_bands: the file has 7, the spec 40"):
        prior_of_file(tiny_spec(f"system.weights={path}", "system.prior={use: log_mel_linear}"))


def test_other_tensors_are_reported_name_by_name(tiny_spec, tmp_path):
    components = {k: v for k, v in tiny_spec().resolved()["system"].items() if k in ("backbone", "decoder")}
    path = tmp_path / "odd.safetensors"
    tensors = {
        "backbone": {"maps": np.zeros((4, 3, 9, 36), np.float32)},
        "decoder": {"heads.weight": np.zeros((30, 3), np.float32), "extra": np.zeros(2, np.float32)},
    }
    write_weights(path, tensors, components)
    with pytest.raises(WeightsError, match=r"maps has shape \[4, 3, 9, 36\], expected \[4, 3, 18, 36\]"):
        check_weights(tiny_spec(), path)
    tensors["backbone"]["maps"] = np.zeros((4, 3, 18, 36), np.float32)
    write_weights(path, tensors, components)
    with pytest.raises(
        WeightsError, match=r"heads\.bias is missing; mixing is missing; extra is not part of it"
    ):
        check_weights(tiny_spec(), path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "cannot be read as weights"),
        (b"\x80\x05cpickle", "cannot be read as weights"),
        (b'{"a": 1}', "cannot be read as weights"),
    ],
)
def test_a_file_that_holds_no_tensors_is_refused(tiny_spec, tmp_path, content, complaint):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=complaint):
        check_weights(tiny_spec(), path)


def test_tensors_of_somebody_else_are_refused(tiny_spec, tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"a": np.zeros(3, np.float32)}, path)
    with pytest.raises(WeightsError, match="no weights file of sai_bench"):
        check_weights(tiny_spec(), path)
    save_file({"a": np.zeros(3, np.float32)}, path, metadata={"sai_bench": "[1]"})
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        check_weights(tiny_spec(), path)


def test_a_changed_number_is_noticed(tiny_spec, exported):
    content = bytearray(exported.read_bytes())
    content[-1] ^= 1
    exported.write_bytes(content)
    with pytest.raises(WeightsError, match="do not match its header"):
        check_weights(tiny_spec(), exported)


def test_a_missing_file_is_named(tiny_spec, tmp_path):
    spec = tiny_spec(f"system.weights={tmp_path / 'nowhere.safetensors'}")
    with pytest.raises(WeightsError, match=r"nowhere\.safetensors: cannot be read as weights"):
        Detector(spec.system, spec.inference)


def test_the_name_must_say_what_the_file_is(tiny_spec, tmp_path):
    with pytest.raises(OutputError, match=r"ends in \.safetensors"):
        export_weights(tiny_spec(), tmp_path / "w.pt", open_context(tmp_path / "cache", Reporter()))


def test_the_header_is_plain_json(exported):
    length = int.from_bytes(exported.read_bytes()[:8], "little")
    header = json.loads(exported.read_bytes()[8 : 8 + length])
    assert json.loads(header["__metadata__"]["sai_bench"])["format"] == "sai_bench weights 1"
