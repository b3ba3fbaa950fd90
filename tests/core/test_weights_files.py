"""Weights files: what is written comes back, and every misfit is named."""

import json
import re

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sai_bench.detector import Detector
from sai_bench.errors import OutputError, WeightsError
from sai_bench.interfaces import Example
from sai_bench.network_state import arrays_of
from sai_bench.networks import build_parts
from sai_bench.progress import Reporter
from sai_bench.running import open_context
from sai_bench.sphere import mic_array
from sai_bench.stages.fitting import prior_of_file
from sai_bench.stages.pipeline import notes_on_networks
from sai_bench.weights import Heard, read_header, read_weights, write_weights
from sai_bench.weights_of_systems import check_weights, export_weights

HEARD = Heard("mic", 2.0)


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
    write_weights(path, tensors | {"prior": {"w": np.zeros(2)}}, components | {"prior": other}, HEARD)
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
    write_weights(path, tensors, components, HEARD)
    with pytest.raises(WeightsError, match=r"maps has shape \[4, 3, 9, 36\], expected \[4, 3, 18, 36\]"):
        check_weights(tiny_spec(), path)
    tensors["backbone"]["maps"] = np.zeros((4, 3, 18, 36), np.float32)
    write_weights(path, tensors, components, HEARD)
    with pytest.raises(WeightsError) as error:
        check_weights(tiny_spec(), path)
    assert str(error.value).splitlines()[1:4] == [
        "  decoder 'tiny': heads.bias is missing",
        "  decoder 'tiny': mixing is missing",
        "  decoder 'tiny': extra is not part of it",
    ]


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
    with pytest.raises(WeightsError, match="no weights file of sai_bench, or one of another version"):
        check_weights(tiny_spec(), path)
    save_file(
        {"a": np.zeros(3, np.float32)}, path, metadata={"sai_bench": '{"format": "sai_bench weights 1"}'}
    )
    with pytest.raises(WeightsError, match="its header lacks format = 'sai_bench weights 2'"):
        check_weights(tiny_spec(), path)
    header = '{"format": "sai_bench weights 2", "components": {}, "sha256": {}}'
    save_file({"a": np.zeros(3, np.float32)}, path, metadata={"sai_bench": header})
    with pytest.raises(WeightsError, match="cannot be read as weights"):
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


def test_tensors_in_bfloat16_are_named(tiny_spec, exported):
    content = exported.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    tensors, place = b"", 0
    for name in sorted(header.keys() - {"__metadata__"}):
        begin, end = header[name]["data_offsets"]
        values = np.frombuffer(content[start + begin : start + end], np.uint16)[1::2]  # the upper halves
        header[name] |= {"dtype": "BF16", "data_offsets": [place, place + values.nbytes]}
        tensors, place = tensors + values.tobytes(), place + values.nbytes
    text = json.dumps(header).encode()
    exported.write_bytes(len(text).to_bytes(8, "little") + text + tensors)
    with pytest.raises(
        WeightsError, match=r"backbone\.maps is BF16, .*decoder\.mixing is BF16, expected F32"
    ):
        check_weights(tiny_spec(), exported)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda array: np.where(np.arange(len(array)) == 3, np.nan, array), "heads.bias has NaN or infinite"),
        (lambda array: array.astype(np.int32), "heads.bias is int32, expected float32"),
        (lambda array: np.full(len(array), 1e300), "heads.bias is float64, expected float32"),
    ],
)
def test_tensors_that_no_network_can_have_are_named(tiny_spec, tmp_path, change, complaint):
    spec, path = tiny_spec(), tmp_path / "w.safetensors"
    parts = build_parts(spec.system, 5)
    tensors = {kind: arrays_of(parts[kind]) for kind in ("backbone", "decoder")}
    tensors["decoder"]["heads.bias"] = change(tensors["decoder"]["heads.bias"])
    write_weights(path, tensors, {}, HEARD)
    with pytest.raises(WeightsError, match=re.escape(complaint)):
        Detector(tiny_spec(f"system.weights={path}").system, spec.inference)


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
    assert json.loads(header["__metadata__"]["sai_bench"])["format"] == "sai_bench weights 2"


def exported_prior(tiny_spec, tmp_path, name, arrays, **keys):
    """Write a file with a prior's weights, made with other keys than the spec's."""
    made_with = tiny_spec(f"system.prior={{use: {name}}}").system.prior.resolved() | keys
    path = tmp_path / "prior.safetensors"
    write_weights(
        path, {"prior": arrays}, {"prior": {k: v for k, v in made_with.items() if v != "gone"}}, HEARD
    )
    return path


def prior_of(tiny_spec, path, component):
    return prior_of_file(tiny_spec(f"system.prior={component}", f"system.weights={path}"))


def test_keys_that_decide_about_no_weight_may_differ(tiny_spec, tmp_path):
    path = exported_prior(tiny_spec, tmp_path, "log_mel_linear", {"w": np.ones(2)}, l2=0.5, iterations=3)
    given = prior_of(tiny_spec, path, "{use: log_mel_linear, class_balance: 0.1}")
    np.testing.assert_array_equal(given.weights["w"], np.ones(2))
    with pytest.raises(WeightsError) as error:
        prior_of(tiny_spec, path, "{use: log_mel_linear, class_balance: 0.1, window_s: 2}")
    assert str(error.value).splitlines()[1:-1] == ["  system.prior.window_s: the file has 1.0, the spec 2.0"]


def test_a_key_that_the_file_does_not_know_yet_had_its_default(tiny_spec, tmp_path):
    path = exported_prior(tiny_spec, tmp_path, "log_mel_cnn", {"w": np.ones(2)}, dilations="gone")
    assert prior_of(tiny_spec, path, "{use: log_mel_cnn}") is not None
    with pytest.raises(WeightsError, match=r"dilations: the file has \[1, 2, 4\], the spec \[1, 2\]"):
        prior_of(tiny_spec, path, "{use: log_mel_cnn, dilations: [1, 2]}")


def test_a_key_that_only_the_file_knows_is_named(tiny_spec, tmp_path):
    path = exported_prior(tiny_spec, tmp_path, "log_mel_cnn", {"w": np.ones(2)}, groups=2)
    with pytest.raises(WeightsError, match=r"system\.prior\.groups: the file has 2"):
        prior_of(tiny_spec, path, "{use: log_mel_cnn}")


def test_another_component_is_one_difference(tiny_spec, exported):
    with pytest.raises(WeightsError) as error:
        check_weights(
            tiny_spec("system.backbone={use: steered_power}", "system.decoder={use: peak_regions}"), exported
        )
    assert "system.backbone: the file has 'tiny', the spec 'steered_power'" in str(error.value)
    assert str(error.value).count("the file has") == 2


def test_the_prior_of_a_file_is_used_by_load_as_by_run(tiny_spec, tmp_path):
    path = exported_prior(tiny_spec, tmp_path, "log_mel_linear", {"w": np.ones(2)})
    no_networks = ["system.backbone={use: steered_power}", "system.decoder={use: peak_regions}"]
    uniform = check_weights(tiny_spec(*no_networks), path)
    assert uniform.notes == ("its prior 'log_mel_linear' is not used: the spec has 'uniform'",)
    path = exported_prior(tiny_spec, tmp_path, "audiomae", {"w": np.ones(2)})
    timed = tiny_spec(
        *no_networks, "system.prior={use: audiomae, head: random, encoder_width: 16, encoder_heads: 2}"
    )
    assert check_weights(timed, path).notes == (
        "its prior 'audiomae' is not used: the spec's needs no weights",
    )


def test_a_head_that_was_fitted_in_float32_serves_in_bfloat16(tiny_spec, tmp_path):
    small = "use: audiomae, encoder_width: 16, encoder_depth: 1, encoder_heads: 2, hidden: 8"
    fit, use = (
        tiny_spec(f"system.prior={{{small}, {keys}}}") for keys in ("fit_steps: 2", "precision: bf16")
    )
    rng = np.random.default_rng(0)
    waveform = rng.normal(0, 0.1, (4, 32_000)).astype(np.float32)
    fitted = fit.system.prior.build()
    weights = fitted.fit([Example(waveform, 16_000, rng.random((13, 20)) < 0.5)], seed=1)
    path = tmp_path / "head.safetensors"
    write_weights(path, {"prior": weights}, {"prior": fit.system.prior.resolved()}, HEARD)
    rounded = use.system.prior.build()
    rounded.load_weights(prior_of(tiny_spec, path, f"{{{small}, precision: bf16}}").weights)
    difference = np.abs(rounded(waveform, 16_000) - fitted(waveform, 16_000)).max()
    assert 0 < difference < 0.02


def test_numbers_without_an_axis_come_back_as_they_are(tmp_path):
    path, counter = tmp_path / "w.safetensors", np.int64(7)
    write_weights(path, {"prior": {"norm.num_batches_tracked": counter}}, {}, HEARD)
    found = read_weights(path).tensors["prior"]["norm.num_batches_tracked"]
    assert (found.shape, found.dtype, int(found)) == ((), np.int64, 7)


def test_each_kind_has_a_hash_of_its_own(tmp_path):
    kinds = {"backbone": {"w": np.zeros(3)}, "prior": {"w": np.zeros(3)}}
    changed = kinds | {"prior": {"w": np.ones(3)}}
    before, after = (
        write_weights(tmp_path / f"{name}.safetensors", tensors, {}, HEARD)
        for name, tensors in (("a", kinds), ("b", changed))
    )
    assert before.sha256["backbone"] == after.sha256["backbone"] == before.sha256["prior"]
    assert before.sha256["prior"] != after.sha256["prior"]
    assert read_header(tmp_path / "b.safetensors").sha256 == after.sha256


def test_what_the_weights_are_made_to_hear_is_told_and_not_refused(tiny_spec, exported):
    (never_trained,) = notes_on_networks(tiny_spec(f"system.weights={exported}"))
    other = tiny_spec(f"system.weights={exported}", "inference.segment_s=5", "system.microphones=all")
    notes = (
        never_trained,
        f"weights: {exported.name} is made for system.microphones = mic, the spec has all.",
        f"weights: {exported.name} is made for inference.segment_s = 2.0, the spec has 5.0.",
    )
    assert notes_on_networks(other) == notes
    assert check_weights(other, exported).notes == notes


def test_a_file_that_cannot_be_written_is_refused_before_the_prior_is_fitted(tiny_spec, tmp_path):
    (tmp_path / "file").write_text("")
    spec = tiny_spec("system.prior={use: log_mel_linear}")  # and no data to fit it to
    with pytest.raises(OutputError, match="cannot be written"):
        export_weights(
            spec, tmp_path / "file" / "w.safetensors", open_context(tmp_path / "cache", Reporter())
        )
