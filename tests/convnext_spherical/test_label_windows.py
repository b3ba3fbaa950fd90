from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from sai_bench_builtin.backbones.convnext_spherical.label_windows import (
    average,
    frames_in_window,
    label_windows,
)


@pytest.mark.parametrize("total", [1, 2, 5, 6, 51, 100, 101, 103, 105, 106])
@pytest.mark.parametrize("frames", [1, 3, 5, 9])
def test_average_equals_pooling_that_counts_only_existing_frames(total, frames):
    x = torch.randn(2, total, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(total))

    pooled = F.avg_pool1d(x.mT, frames, frames, frames // 2, count_include_pad=False).mT

    torch.testing.assert_close(average(x, frames), pooled)


def test_101_frames_of_20_ms_become_21_means_centred_on_label_frames():
    times_s = 0.02 * torch.arange(101, dtype=torch.float64)[None, :, None]

    centres_s = average(times_s, 5).flatten()

    # Window 0 covers 0 ... 40 ms and window 20 covers 1.96 ... 2.0 s, because there is nothing outside.
    assert centres_s[1:-1].tolist() == pytest.approx([n / 10 for n in range(1, 20)])
    assert centres_s[[0, -1]].tolist() == pytest.approx([0.02, 1.98])
    assert label_windows(times_s, 5)[0, [0, 20], 2].flatten().tolist() == pytest.approx([0.0, 2.0])


@pytest.mark.parametrize("frames", [1, 2, 4, 5, 10])
def test_a_constant_stays_constant_up_to_both_ends(frames):
    mean = average(torch.full((1, 41, 2), 3.0), frames)

    assert mean.shape == (1, -(-41 // frames), 2)
    torch.testing.assert_close(mean, torch.full_like(mean, 3.0))


@pytest.mark.parametrize("frames", [2, 4, 10])
def test_windows_of_an_even_number_lie_half_a_frame_before_the_label_frame(frames):
    x = torch.arange(41.0)[None, :, None]

    assert average(x, frames)[0, 1, 0] == pytest.approx(frames - 0.5)


def test_windows_count_the_frames_that_exist():
    assert frames_in_window(101, 5, torch.device("cpu")).tolist() == [3, *[5] * 19, 3]
    assert frames_in_window(2, 5, torch.device("cpu")).tolist() == [2]
