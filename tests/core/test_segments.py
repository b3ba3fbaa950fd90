"""Whole recordings through the detector: segments, padding, batches, precision."""

import numpy as np
import pytest
import torch

from sai_bench.detector import Detector
from sai_bench.errors import DeviceError, SpecError
from sai_bench.segments import Segment, segments, whole_segment
from sai_bench.spec.models import InferenceSettings
from sai_bench.sphere import mic_array

_QUERIES = "queries: 3, layers: 1, query_channels: 16, feed_forward_channels: 16, mask_channels: 4"
DECODERS = {
    "tiny": "{use: tiny}",
    "queries of a frame": f"{{use: mask_queries, {_QUERIES}, query_scope: frame}}",
    "queries of a segment": f"{{use: mask_queries, {_QUERIES}, query_scope: segment}}",
}


@pytest.fixture
def recording():
    """5.25 s: two whole segments of 2 s and a part of a third."""
    rng = np.random.default_rng(0)
    return rng.normal(0, 0.1, (4, round(5.25 * 24_000))).astype(np.float32)


def regions(spec, recording):
    return Detector(spec.system, spec.inference, spec.seed)(recording, 24_000, mic_array())


def assert_same(a, b, tolerance=0.0):
    """Stored energies are integers: what differs by rounding may differ by a step."""
    for name, array in a.arrays().items():
        allowed = float(name == "energies" and tolerance > 0) or tolerance
        np.testing.assert_allclose(array.astype(float), b.arrays()[name].astype(float), atol=allowed)


def test_segments_abut_and_hear_their_context():
    inference = InferenceSettings(segment_s=2.0, context_s=0.5, pad_segments=True)
    assert segments(27, inference) == [Segment(0, 20, -5, 25), Segment(20, 27, 15, 45)]
    assert [one.own for one in segments(27, inference)] == [slice(5, 25), slice(5, 12)]
    assert whole_segment(inference) == Segment(0, 20, -5, 25)
    assert segments(0, inference) == []


def test_without_padding_nothing_is_heard_that_the_recording_has_not():
    inference = InferenceSettings(segment_s=2.0, context_s=0.5, pad_segments=False)
    assert segments(27, inference) == [Segment(0, 20, 0, 25), Segment(20, 27, 15, 27)]


def test_every_label_frame_of_a_recording_is_decoded_once(tiny_spec, recording):
    found = regions(tiny_spec(), recording)
    assert found.frame_count == 53
    np.testing.assert_array_equal(np.unique(found.frames), np.arange(53))
    assert (np.bincount(found.frames) == 2).all()


@pytest.mark.parametrize("size", [2, 7])
@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS)
def test_batches_of_segments_give_what_single_segments_give(tiny_spec, recording, decoder, size):
    keys = (
        f"system.decoder={decoder}",
        "inference.context_s=0.3",
        "inference.masks_per_frame=1",
        "export.detections_per_frame=1",
    )
    alone = regions(tiny_spec(*keys), recording)
    together = regions(tiny_spec(*keys, f"inference.batch_segments={size}"), recording)
    assert_same(together, alone, 1e-5)


@pytest.mark.parametrize(("scope", "given"), [("frame", (20, 20, 13)), ("segment", (26, 26, 26))])
def test_queries_of_a_segment_are_given_all_frames_that_are_heard(tiny_spec, recording, scope, given):
    spec = tiny_spec(f"system.decoder={DECODERS[f'queries of a {scope}']}", "inference.context_s=0.3")
    detector = Detector(spec.system, spec.inference, spec.seed)
    seen = []
    detector.parts["decoder"].register_forward_pre_hook(lambda module, given: seen.append(given[0].shape[1]))
    detector(recording, 24_000, mic_array())
    assert tuple(seen) == given


def test_overlapping_segments_give_what_one_long_segment_gives(tiny_spec, recording):
    whole = regions(tiny_spec("inference.segment_s=6.0"), recording)
    overlapping = regions(tiny_spec("inference.context_s=0.3"), recording)
    assert len(whole.scores) == len(overlapping.scores)
    # An STFT frame at the end of a segment hears silence behind it; the context keeps that away.
    np.testing.assert_allclose(overlapping.scores[:100], whole.scores[:100], atol=1e-6)


def test_a_decoder_that_looks_at_several_frames_is_given_the_context_too(tiny_spec, recording):
    dependent = "system.decoder={use: tiny, independent: false}"
    assert_same(
        regions(tiny_spec("inference.context_s=0.3", dependent), recording),
        regions(tiny_spec("inference.context_s=0.3"), recording),
        1e-6,
    )


@pytest.fixture
def graphs(monkeypatch):
    """Compile with a backend that takes no time, and list what it is given."""
    given, compile_module = [], torch.nn.Module.compile

    def backend(graph, inputs):
        given.append(graph)
        return graph.forward

    def compile_quickly(module, **options):
        compile_module(module, **{**options, "backend": backend})

    torch._dynamo.reset()
    monkeypatch.setattr(torch.nn.Module, "compile", compile_quickly)
    return given


@pytest.mark.parametrize("size", [1, 2])
def test_each_compiled_network_is_compiled_once_whatever_the_length_of_recordings(
    tiny_spec, recording, graphs, size
):
    keys = (f"inference.batch_segments={size}", "inference.context_s=0.3")
    compiled, eager = (tiny_spec(*keys, f"inference.compile={value}") for value in ("true", "false"))
    detector = Detector(compiled.system, compiled.inference, compiled.seed)
    for seconds in (4, 5.25, 1.1):
        piece = recording[:, : round(seconds * 24_000)]
        assert_same(detector(piece, 24_000, mic_array()), regions(eager, piece), 1e-5)
    assert len(graphs) == 2  # backbone and decoder


@pytest.mark.slow
def test_compiled_networks_give_what_they_give_without(tiny_spec, recording):
    compiled, eager = (tiny_spec(f"inference.compile={value}") for value in ("true", "false"))
    assert_same(regions(compiled, recording), regions(eager, recording), 1e-5)


def test_bfloat16_comes_close_to_float32(tiny_spec, recording):
    exact, rounded = (
        regions(tiny_spec(f"inference.precision={precision}"), recording) for precision in ("fp32", "bf16")
    )
    assert len(exact.scores) == len(rounded.scores)
    difference = np.abs(exact.scores - rounded.scores).max()
    assert 0 < difference < 0.02


def test_the_seed_decides_about_initial_weights_and_leaves_the_global_generator_alone(tiny_spec, recording):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first, again = regions(tiny_spec(), recording), regions(tiny_spec(), recording)
    assert torch.equal(before, torch.random.get_rng_state())
    assert_same(first, again)
    assert not np.allclose(first.scores, regions(tiny_spec("seed=6"), recording).scores, atol=1e-3)


def test_batches_of_unequal_segments_are_refused(tiny_spec):
    with pytest.raises(SpecError, match="batch_segments = 2 needs segments of equal length"):
        tiny_spec("inference.batch_segments=2", "inference.pad_segments=false")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device")
def test_a_device_that_is_not_there_is_named(tiny_spec):
    spec = tiny_spec("inference.device=cuda")
    with pytest.raises(
        DeviceError, match=r"inference\.device is cuda, but there is no such device\. Set it to cpu"
    ):
        Detector(spec.system, spec.inference)
