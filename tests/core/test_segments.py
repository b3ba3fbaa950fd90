"""Whole recordings through the detector: segments, padding, batches, precision."""

import numpy as np
import pytest
import torch

from sai_bench.detector import Detector
from sai_bench.errors import SpecError, WeightsError
from sai_bench.sphere import mic_array


@pytest.fixture
def recording():
    """5.25 s: two whole segments of 2 s and a part of a third."""
    rng = np.random.default_rng(0)
    return rng.normal(0, 0.1, (4, round(5.25 * 24_000))).astype(np.float32)


def regions(spec, recording):
    return Detector(spec.system, spec.inference, spec.seed)(recording, 24_000, mic_array())


def assert_same(a, b, tolerance=0.0):
    for name, array in a.arrays().items():
        np.testing.assert_allclose(array.astype(float), b.arrays()[name].astype(float), atol=tolerance)


def test_every_label_frame_of_a_recording_is_decoded_once(tiny_spec, recording):
    found = regions(tiny_spec(), recording)
    assert found.frame_count == 53
    np.testing.assert_array_equal(np.unique(found.frames), np.arange(53))
    assert (np.bincount(found.frames) == 2).all()


@pytest.mark.parametrize("size", [2, 3, 7])
def test_batches_of_segments_give_what_single_segments_give(tiny_spec, recording, size):
    alone = regions(tiny_spec(), recording)
    together = regions(tiny_spec(f"inference.batch_segments={size}"), recording)
    assert_same(together, alone, 1e-6)


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
    with pytest.raises(WeightsError, match=r"no such device\. Set it to cpu"):
        Detector(spec.system, spec.inference)
