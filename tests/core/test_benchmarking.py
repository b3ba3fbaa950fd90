"""What `bench` measures, on a system whose networks are as small as can be."""

import time

import numpy as np
import pytest

from sai_bench.benchmarking import Meter, bench
from sai_bench.description import describe
from sai_bench.errors import SpecError
from sai_bench.memory_peak import memory_peak_bytes


def test_every_part_is_measured_and_they_add_up(tiny_spec):
    passes = []
    result = bench(
        tiny_spec(), audio_s=3.0, repeats=2, progress=lambda done, total: passes.append((done, total))
    )
    assert [part.part for part in result.parts] == [
        "resample", "front_end", "backbone", "decoder", "masks", "prior", "fusion", "compressor", "json",
    ]  # fmt: skip
    assert [part.component for part in result.parts if part.part == "backbone"] == ["tiny"]
    assert passes[-1] == (4, 4)  # one to warm up, two that count, one that looks at memory
    total = result.real_time_factor * 3.0
    assert 0.5 * total < sum(part.wall_s for part in result.parts) < 1.5 * total
    backbone = next(part for part in result.parts if part.part == "backbone")
    segments = 2
    expected = 2 * segments * 20 * 4 * 3 * 18 * 36 / (result.matmul_gflops["fp32"] * 1e9)
    assert backbone.limit_s == pytest.approx(expected)
    assert backbone.matmul_gflops == result.matmul_gflops["fp32"]
    assert [part.part for part in result.parts if part.limit_s is not None] == ["backbone", "decoder"]


def test_masks_have_a_limit_where_a_network_refines_them(tiny_spec):
    spec = tiny_spec(
        "system.decoder={use: mask_queries, queries: 3, layers: 1, query_channels: 16, mask_channels: 4, "
        "feed_forward_channels: 16}",
        "inference.precision=bf16",
        "export.score_threshold=1",  # nothing to write
    )
    result = bench(spec, audio_s=3.0, repeats=1, progress=lambda done, total: None)
    masks = next(part for part in result.parts if part.part == "masks")
    decoder = next(part for part in describe(spec).parts if part.kind == "decoder")
    assert masks.matmul_gflops == result.matmul_gflops["bf16"]
    assert masks.limit_s == pytest.approx(2 * decoder.gmacs_per_mask * 30 * 3 / masks.matmul_gflops)


def test_time_and_memory_of_a_step_are_seen():
    meter = Meter()
    meter.begin_pass(memory=True)
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


@pytest.mark.skipif(memory_peak_bytes() is None, reason="only Linux tells")
def test_what_a_part_freed_does_not_count_for_the_next_one():
    meter = Meter()
    meter.begin_pass(memory=True)
    with meter("many small ones"):
        pieces = [np.ones(10_000) for _ in range(2000)]  # 160 MB, all from the heap
    del pieces[:-1]  # what lies below the last one stays with the C library
    with meter("nothing"):
        pass
    assert meter.costs["many small ones"].peak_bytes - meter.costs["nothing"].peak_bytes > 100e6


def test_memory_is_not_looked_at_where_time_counts():
    meter = Meter()
    with meter("nothing"):
        pass
    assert meter.costs["nothing"].peak_bytes is None
    meter.begin_pass()
    assert meter.costs == {}


def test_a_prior_that_is_not_fitted_cannot_be_timed(tiny_spec):
    with pytest.raises(SpecError, match="must be fitted before it can be timed"):
        bench(tiny_spec("system.prior={use: log_mel_linear}"), 1.0, 1, lambda done, total: None)
