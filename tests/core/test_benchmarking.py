"""What `bench` measures, on a system whose networks are as small as can be."""

import time

import pytest

from sai_bench.benchmarking import Meter, bench, matmul_gflops
from sai_bench.errors import SpecError


def test_every_part_is_measured_and_they_add_up(tiny_spec):
    passes = []
    result = bench(
        tiny_spec(), audio_s=3.0, repeats=2, progress=lambda done, total: passes.append((done, total))
    )
    assert [part.part for part in result.parts] == [
        "resample", "front_end", "backbone", "decoder", "masks", "prior", "fusion", "compressor", "json",
    ]  # fmt: skip
    assert [part.component for part in result.parts if part.part == "backbone"] == ["tiny"]
    assert passes[-1] == (3, 3)
    total = result.real_time_factor * 3.0
    assert 0.5 * total < sum(part.wall_s for part in result.parts) < 1.5 * total
    backbone = next(part for part in result.parts if part.part == "backbone")
    segments = 2
    expected = 2 * segments * 20 * 4 * 3 * 18 * 36 / (result.matmul_gflops["fp32"] * 1e9)
    assert backbone.limit_s == pytest.approx(expected)


def test_time_and_memory_of_a_step_are_seen():
    meter = Meter()
    with meter("sleep"):
        time.sleep(0.05)
    with meter("hold"):
        held = bytearray(50_000_000)  # touched, so that they are really there
        held[::4096] = b"x" * len(held[::4096])
    assert 0.05 <= meter.costs["sleep"].wall_s < 0.2
    assert meter.costs["sleep"].cpu_s < 0.05
    if meter.costs["hold"].peak_bytes is not None:  # only Linux tells
        assert meter.costs["hold"].peak_bytes > 50e6
    with meter("sleep"):
        time.sleep(0.02)
    assert meter.costs["sleep"].wall_s >= 0.07


def test_the_rate_of_matrix_products_is_plausible():
    rates = matmul_gflops()
    assert set(rates) == {"fp32", "bf16"}
    assert all(0.1 < rate < 1e6 for rate in rates.values())


def test_a_prior_that_is_not_fitted_cannot_be_timed(tiny_spec):
    with pytest.raises(SpecError, match="must be fitted before it can be timed"):
        bench(tiny_spec("system.prior={use: log_mel_linear}"), 1.0, 1, lambda done, total: None)
