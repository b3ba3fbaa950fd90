"""Weights that do not belong to a spec: everything that differs is named at once, a line each."""

import numpy as np
import pytest

from sai_bench.errors import WeightsError
from sai_bench.network_state import arrays_of
from sai_bench.networks import build_parts
from sai_bench.progress import Reporter
from sai_bench.running import open_context
from sai_bench.stages.pipeline import notes_on_networks
from sai_bench.weights import Heard, read_header, read_weights, write_weights
from sai_bench.weights_of_systems import check_weights, export_weights

HEARD = Heard("mic", 2.0)
FREQUENCY = "system.prior={use: label_frequency}"


def written(path, spec, *, change=None, **components):
    """Write a file for a spec's detector and prior `label_frequency`, with something changed."""
    tensors = {
        kind: named for kind, part in build_parts(spec.system, 1).items() if (named := arrays_of(part))
    }
    tensors["prior"] = {"active_frames": np.ones(13), "frames": np.array([20.0])}
    resolved = spec.resolved()["system"]
    made_with = {kind: resolved[kind] for kind in ("front_end", "backbone", "decoder", "prior")}
    for kind, keys in components.items():
        made_with[kind] = made_with[kind] | keys
    if change is not None:
        change(tensors)
    return write_weights(path, tensors, made_with, HEARD).path


def refusal(spec, path):
    with pytest.raises(WeightsError) as error:
        check_weights(spec, path)
    return str(error.value).splitlines()


def test_configs_of_detector_and_prior_are_compared_together(tiny_spec, tmp_path):
    spec = tiny_spec("system.prior={use: log_mel_linear}")
    path = written(
        tmp_path / "w.safetensors", spec, backbone={"channels": 5}, prior={"mel_bands": 7, "gone": 1}
    )
    assert refusal(spec, path) == [
        f"{path}: made for another config:",
        "  system.backbone.channels: the file has 5, the spec 3",
        "  system.prior.gone: the file has 1, in the spec it is not set",
        "  system.prior.mel_bands: the file has 7, the spec 40",
        "Change the spec to what the file says, or take other weights.",
    ]


def test_tensors_of_all_kinds_are_compared_together(tiny_spec, tmp_path):
    def change(tensors):
        tensors["backbone"]["maps"] = np.zeros((4, 3, 9, 36), np.float32)
        del tensors["decoder"]["mixing"]
        del tensors["prior"]["frames"]

    spec = tiny_spec(FREQUENCY)
    told = "\n".join(refusal(spec, written(tmp_path / "w.safetensors", spec, change=change)))
    assert "  backbone 'tiny': maps has shape [4, 3, 9, 36], expected [4, 3, 18, 36]\n" in told
    assert "  decoder 'tiny': mixing is missing\n" in told
    assert "label_frequency" in told.splitlines()[-1]


def test_a_kind_that_has_no_weights_is_refused(tiny_spec, tmp_path):
    spec = tiny_spec(FREQUENCY)
    path = written(
        tmp_path / "w.safetensors", spec, change=lambda tensors: tensors.update(backbon={"x": np.zeros(3)})
    )
    for read in (read_header, read_weights):
        with pytest.raises(WeightsError, match=r"w\.safetensors: has weights of unknown kinds: 'backbon'"):
            read(path)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: None, "no such file"),
        (lambda p: p.mkdir(), "it is a folder"),
        (lambda p: p.touch(), "it is empty"),
    ],
)
def test_what_is_no_file_is_called_what_it_is(tmp_path, make, says):
    make(tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=rf"w\.safetensors: cannot be read as weights \({says}\)"):
        read_header(tmp_path / "w.safetensors")


def test_random_networks_stay_random_when_they_are_exported(tiny_spec, tmp_path):
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    context = open_context(tmp_path / "cache", Reporter())
    exported = export_weights(tiny_spec(), first, context)
    given = tiny_spec(f"system.weights={first}")
    export_weights(given, second, context)
    assert read_header(second).untrained == ("backbone", "decoder")
    note = "detector: THE NETWORKS ARE RANDOM (tiny, tiny), those in first.safetensors were never trained."
    for notes in (exported.notes, notes_on_networks(given), check_weights(given, first).notes):
        assert len(notes) == 1
        assert notes[0].startswith(note)


def test_trained_networks_are_not_called_random(tiny_spec, tmp_path):
    spec = tiny_spec(FREQUENCY)
    path = written(tmp_path / "w.safetensors", spec)
    assert check_weights(spec, path).notes == ()
    assert notes_on_networks(tiny_spec(f"system.weights={path}")) == ()
