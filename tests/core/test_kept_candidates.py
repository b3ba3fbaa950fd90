"""What the detector keeps of a decoder's candidates: their classes, and no broken masks."""

import dataclasses
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook

from sai_bench.detector import Detector
from sai_bench.errors import ContractError
from sai_bench.interfaces import Candidates
from sai_bench.sphere import mic_array


@contextmanager
def decoder_that_returns(**fields):
    """Let every decoder return these fields, each made of its own one."""

    def changed(module, given, returned):
        if isinstance(returned, Candidates):
            made = {name: make(getattr(returned, name)) for name, make in fields.items()}
            return dataclasses.replace(returned, **made)
        return returned

    handle = register_module_forward_hook(changed)
    try:
        yield
    finally:
        handle.remove()


def regions(spec):
    waveform = np.random.default_rng(0).normal(0, 0.1, (4, 48_000)).astype(np.float32)
    return Detector(spec.system, spec.inference, spec.seed)(waveform, 24_000, mic_array())


@pytest.mark.parametrize("no_object", [0.0, 18.0, 60.0])
def test_the_class_is_the_likeliest_however_likely_it_is_that_there_is_no_object(tiny_spec, no_object):
    logits = torch.randn(20, 2, 14, generator=torch.Generator().manual_seed(0))
    logits[..., 13] = no_object

    with decoder_that_returns(class_logits=lambda own: logits.expand_as(own)):
        found = regions(tiny_spec())

    assert len(found) == 40
    assert found.classes.dtype == np.uint8
    np.testing.assert_array_equal(found.classes, logits[..., :13].argmax(-1).flatten())
    np.testing.assert_allclose(
        found.class_probabilities, logits.softmax(-1)[..., :13].flatten(0, 1), rtol=1e-3, atol=1e-7
    )


def test_nearly_equal_classes_are_told_apart_as_in_float32(tiny_spec):
    logits = torch.full((1, 1, 14), -2.0)
    logits[..., 4] = -2.0 + 1e-5

    with decoder_that_returns(class_logits=lambda own: logits.expand_as(own)):
        assert (regions(tiny_spec()).classes == 4).all()


def test_masks_that_are_nan_are_an_error_and_no_empty_result(tiny_spec):
    with (
        decoder_that_returns(mask_logits=lambda own: own.index_fill(3, torch.tensor([5]), torch.nan)),
        pytest.raises(ContractError, match="Decoder TinyDecoder returned masks that are NaN"),
    ):
        regions(tiny_spec())
