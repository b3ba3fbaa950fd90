"""What compiling a detector's networks changes in torch, and for how long."""

import numpy as np
import pytest
import torch
import torch._inductor.config as inductor

from sai_bench.detector import Detector
from sai_bench.networks import constant_weights
from sai_bench.sphere import mic_array


@pytest.mark.parametrize("compiled", [True, False])
def test_weights_are_constants_while_compiled_networks_work_and_no_longer(tiny_spec, monkeypatch, compiled):
    asked = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda part, **options: asked.append(type(part).__name__))
    spec = tiny_spec(f"inference.compile={compiled}".lower())
    detector = Detector(spec.system, spec.inference, spec.seed)
    assert asked == ["TinyBackbone", "TinyDecoder"] * compiled
    seen = []
    for kind in ("backbone", "decoder"):
        detector.parts[kind].register_forward_hook(lambda *_: seen.append(inductor.freezing))
    detector(np.zeros((4, 24_000), np.float32), 24_000, mic_array())
    assert seen == [compiled, compiled]
    assert inductor.freezing is False


def test_a_failure_leaves_torch_as_it_was(tiny_spec):
    inference = tiny_spec("inference.compile=true").inference
    with pytest.raises(RuntimeError, match="broken"), constant_weights(inference):
        raise RuntimeError("broken")
    assert inductor.freezing is False
