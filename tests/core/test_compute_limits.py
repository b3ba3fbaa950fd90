"""Limits of the parts of a system, against multiplying out by hand."""

from types import SimpleNamespace

import pytest
import torch

from sai_bench.compute_limits import limits, matmul_gflops
from sai_bench.description import Description, Part
from sai_bench.interfaces import Prior
from sai_bench.spec.models import InferenceSettings

RATES = {"cpu": {"fp32": 10.0, "bf16": 40.0}, "cuda": {"fp32": 100.0, "bf16": 400.0}}


class RoundedPrior(Prior):
    """Computes in bfloat16, but for a small head."""

    def __call__(self, waveform, sample_rate_hz):
        raise NotImplementedError

    def networks(self):
        return {"encoder": torch.nn.Linear(8, 8).bfloat16(), "head": torch.nn.Linear(8, 1)}


def limits_of(inference, independent=True, audio_s=5.0):
    parts = (
        Part("backbone", "steered", gmacs=4.0),
        Part("decoder", "queries", gmacs=2.0, gmacs_per_mask=0.5),
        Part("prior", "heard", gmacs=1.0),
        Part("fusion", "none"),
    )
    decoder = torch.nn.Linear(2, 2).bfloat16()
    decoder.frames_are_independent = independent
    detector = SimpleNamespace(parts={"backbone": object(), "decoder": decoder})
    system = SimpleNamespace(prior=RoundedPrior(), detector=detector)
    found = limits(Description("x", 2.0, parts), system, inference, audio_s, 10, RATES.__getitem__)
    return {part: limit.wall_s for part, limit in found.items()}


def test_each_part_has_the_rate_of_its_own_device_and_precision():
    found = limits_of(InferenceSettings(segment_s=2.0, context_s=0.0, pad_segments=True, device="cuda"))
    segments = 3  # padded: 6 s for 5
    assert found == {
        "backbone": pytest.approx(2 * 4.0 * segments / 100),  # no network: float32 on the detector's device
        "decoder": pytest.approx(2 * 2.0 * 2.5 / 40),  # weights on the CPU, in bfloat16
        "masks": pytest.approx(2 * 0.5 * 10 / 40),
        "prior": pytest.approx(2 * 1.0 * 2.5 / 40),
    }


def test_a_decoder_that_looks_at_several_frames_is_given_more_of_them():
    inference = InferenceSettings(segment_s=2.0, context_s=0.5, pad_segments=True)
    assert limits_of(inference, independent=True)["decoder"] == pytest.approx(2 * 2.0 * 2.5 / 40)
    assert limits_of(inference, independent=False)["decoder"] == pytest.approx(2 * 2.0 * 3 / 40)


def test_without_padding_only_what_is_there_counts():
    inference = InferenceSettings(segment_s=2.0, context_s=0.0, pad_segments=False)
    assert limits_of(inference)["backbone"] == pytest.approx(2 * 4.0 * 2.5 / 10)


def test_the_rate_of_matrix_products_is_plausible():
    rates = matmul_gflops()
    assert set(rates) == {"fp32", "bf16"}
    assert all(0.1 < rate < 1e6 for rate in rates.values())
