"""What `describe` says about a system, against what can be counted by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sai_bench.description import counted_gmacs, describe, networks_of
from sai_bench.errors import SpecError, StageError
from sai_bench.interfaces import Backbone, Decoder, FrontEnd, Prior
from sai_bench.system import array_heard
from sai_bench.weights import Heard, write_weights


class TwoNetworks(Prior):
    """A prior that keeps its networks where nobody would look."""

    def __init__(self):
        self._held = ([torch.nn.Linear(2, 3)], {"head": torch.nn.Linear(3, 1)})

    def __call__(self, waveform, sample_rate_hz):
        raise NotImplementedError

    def networks(self):
        return {"encoder": self._held[0][0], "head": self._held[1]["head"]}


def part_of(spec, kind):
    return next(part for part in describe(spec).parts if part.kind == kind)


def test_shapes_parameters_and_products_of_a_tiny_system(tiny_spec):
    description = describe(tiny_spec())
    assert description.segment_s == 2.0
    front_end, backbone, decoder, prior, fusion, compressor = description.parts
    assert [s.lengths for s in front_end.shapes] == [(1, 4, 100, 513)]
    assert [s.lengths for s in backbone.shapes] == [(1, 20, 3, 18, 36)]
    assert backbone.parameters == 4 * 3 * 18 * 36
    assert round(backbone.gmacs * 1e9) == 20 * 4 * 3 * 18 * 36
    assert {s.what: s.lengths for s in decoder.shapes} == {
        "what the heads say": (1, 20, 30),
        "class logits": (1, 20, 2, 14),
        "scores": (1, 20, 2),
        "mask logits": (1, 20, 2, 18, 36),
        "one full-size mask": (1, 180, 360),
    }
    assert decoder.parameters == 3 * 30 + 30 + 6
    assert [s.lengths for s in prior.shapes] == [(13, 20)]
    assert (fusion.name, compressor.name) == ("none", "dense")


@pytest.mark.parametrize(("independent", "frames"), [("true", 20), ("false", 26)])
def test_a_decoder_is_given_the_frames_that_it_is_given_at_inference(tiny_spec, independent, frames):
    spec = tiny_spec("inference.context_s=0.3", f"system.decoder={{use: tiny, independent: {independent}}}")
    assert describe(spec).segment_s == 2.6
    assert part_of(spec, "backbone").shapes[-1].lengths[:2] == (1, 26)
    decoder = part_of(spec, "decoder")
    assert {shape.lengths[:2] for shape in decoder.shapes[:-1]} == {(1, frames)}
    assert round(decoder.gmacs * 1e9) == frames * (3 * 30 + 2 * 3 * 18 * 36)
    assert part_of(spec, "prior").shapes[0].lengths == (13, 20)


def test_what_has_nothing_to_count_has_no_number(tiny_spec):
    front_end, _, decoder, *_ = describe(tiny_spec()).parts
    assert front_end.gmacs is None
    assert decoder.gmacs_per_mask is None  # interpolation is no product
    assert counted_gmacs(lambda: torch.ones(3) + 1)[1:] == (None, {})


def test_the_products_of_a_refined_mask_are_counted_apart(tiny_spec):
    spec = tiny_spec(
        "system.decoder={use: mask_queries, queries: 2, layers: 1, query_channels: 16, heads: 2, "
        "feed_forward_channels: 16, mask_channels: 4, refinement_channels: 16}"
    )
    decoder = part_of(spec, "decoder")
    coarse, middle = 18 * 36, 36 * 72  # 18 x 36 -> 36 x 72 -> 180 x 360
    of_frame = 3 * 16 * 9 * coarse
    of_mask = coarse * (1 * 16 * 9 + 16 * 16 * 9 + 16 * (1 + 8) * 4) + middle * (8 * 8 * 9 + 8 * 1 * 25)
    assert round(decoder.gmacs_per_mask * 1e9) == of_mask + of_frame / 2
    assert decoder.details["refinement"]["gmacs"] is None
    assert decoder.details["norm"]["gmacs"] is None
    assert decoder.details["mask_features"]["gmacs"] * 1e9 == pytest.approx(20 * coarse * (3 * 4 * 9 + 4 * 4))


def test_networks_are_asked_for_and_not_searched():
    prior = TwoNetworks()
    assert networks_of(prior) == [*prior.networks().values()]
    linear = torch.nn.Linear(2, 2)
    assert networks_of(linear) == [linear]
    assert networks_of(object()) == []


def test_landmarks_are_none_unless_a_component_names_some():
    assert all(base.landmarks == {} for base in (FrontEnd, Backbone, Decoder))


def test_a_landmark_that_is_no_submodule_is_an_error_with_the_component_in_it(tiny_spec, monkeypatch):
    spec = tiny_spec()
    decoder = spec.system.decoder.registration.load_class()
    monkeypatch.setattr(decoder, "landmarks", {"head": ("absent", "B N")})
    with pytest.raises(StageError, match=r"decoder 'tiny' failed .*absent"):
        describe(spec)


@pytest.mark.parametrize(
    ("microphones", "front_end", "heard"),
    [
        ("mic", "{use: stft}", 4),
        ("all", "{use: stft}", 32),
        ("all", "{use: stft_log_magnitude_phase}", 4),
        ("all", "{use: stft_log_magnitude_phase, microphones: 32}", 32),
    ],
)
def test_the_array_follows_from_the_front_end_where_all_channels_are_heard(
    tiny_spec, microphones, front_end, heard
):
    spec = tiny_spec(f"system.microphones={microphones}", f"system.front_end={front_end}")
    assert array_heard(spec.system).microphones == heard


def test_an_array_of_another_size_is_not_known_without_recordings(tiny_spec):
    spec = tiny_spec(
        "system.microphones=all", "system.front_end={use: stft_log_magnitude_phase, microphones: 6}"
    )
    with pytest.raises(SpecError, match=r"hears 6 microphones, and only arrays of 4 \(MIC\) and 32 \(em32\)"):
        describe(spec)


def test_attention_is_counted():
    query, key = torch.randn(2, 4, 100, 32), torch.randn(2, 4, 60, 32)
    with torch.no_grad():
        _, gmacs, _ = counted_gmacs(lambda: F.scaled_dot_product_attention(query, key, key))
    assert round(gmacs * 1e9) == 2 * (2 * 4 * 100 * 60 * 32)


AUDIOMAE = "use: audiomae, encoder_width: 16, encoder_depth: 1, encoder_heads: 2, hidden: 8"


def test_a_prior_that_is_not_fitted_is_counted_with_random_networks(tiny_spec):
    fitted, random = (
        part_of(tiny_spec(f"system.prior={{{AUDIOMAE}, head: {head}}}"), "prior")
        for head in ("fitted", "random")
    )
    assert fitted.note == "not fitted yet: counted with random weights"
    assert random.note == ""
    assert (fitted.parameters, fitted.gmacs, fitted.details) == (
        random.parameters, random.gmacs, random.details,
    )  # fmt: skip
    head = 2 * 16 + (16 + 1) * 8 + (8 + 1) * 13
    assert fitted.details["head"] == {"parameters": head, "gmacs": (16 * 8 + 8 * 13) / 1e9}
    assert fitted.details["encoder"]["parameters"] == fitted.parameters - head
    assert 0 < fitted.details["encoder"]["gmacs"] < fitted.gmacs
    assert [shape.lengths for shape in fitted.shapes] == [(13, 20)]


def test_a_prior_without_networks_says_that_it_is_not_fitted(tiny_spec):
    prior = part_of(tiny_spec("system.prior={use: log_mel_linear}"), "prior")
    assert prior.note == "not fitted yet: what its weights add is not counted"
    assert prior.shapes == []


def test_weights_that_hold_the_prior_make_it_a_fitted_one(tiny_spec, tmp_path):
    component = tiny_spec("system.prior={use: label_frequency}").system.prior
    arrays = {"active_frames": np.ones(13), "frames": np.array([20.0])}
    path = tmp_path / "w.safetensors"
    write_weights(path, {"prior": arrays}, {"prior": component.resolved()}, Heard("mic", 2.0))
    no_networks = ["system.backbone={use: steered_power}", "system.decoder={use: peak_regions}"]
    prior = part_of(
        tiny_spec(*no_networks, "system.prior={use: label_frequency}", f"system.weights={path}"), "prior"
    )
    assert prior.note == ""
    assert [shape.lengths for shape in prior.shapes] == [(13, 20)]
