"""What is written to a weights file comes back the same: built-in priors that fit, and odd networks."""

import numpy as np
import pytest
import torch
from torch import nn

from sai_bench.interfaces import Example
from sai_bench.network_state import arrays_of, load_arrays
from sai_bench.plugin_loading import load_plugins
from sai_bench.stages.fitting import needs_fit, prior_of_file
from sai_bench.weights import Heard, read_weights, write_weights

HEARD = Heard("mic", 2.0)
SMALL = {
    "audiomae": "encoder_width: 16, encoder_depth: 1, encoder_heads: 2, hidden: 8, fit_steps: 2",
    "log_mel_cnn": "steps: 2, channels_first: 2, crop_s: 1",
    "log_mel_linear": "iterations: 2",
    "label_frequency": "",
}
PRIORS = [r.name for r in load_plugins().registry if r.kind == "prior" and r.load_class().needs_fit]


@pytest.mark.parametrize("name", PRIORS)
def test_a_fitted_prior_says_the_same_after_a_weights_file(tiny_spec, tmp_path, name):
    prior_key = f"system.prior={{use: {name}, {SMALL[name]}}}"
    component = tiny_spec(prior_key).system.prior
    rng = np.random.default_rng(0)
    examples = [
        Example(rng.normal(0, 0.1, (4, 48_000)).astype(np.float32), 24_000, rng.random((13, 20)) < 0.5)
        for _ in range(2)
    ]
    fitted = component.build()
    weights = fitted.fit(examples, seed=1)
    fitted.load_weights(weights)
    path = tmp_path / "prior.safetensors"
    write_weights(path, {"prior": weights}, {"prior": component.resolved()}, HEARD)

    spec = tiny_spec(prior_key, f"system.weights={path}")
    assert needs_fit(spec)
    again = spec.system.prior.build()
    again.load_weights(prior_of_file(spec).weights)

    expected, found = (prior(examples[0].waveform, 24_000) for prior in (fitted, again))
    np.testing.assert_array_equal(found, expected)


class Normalised(nn.Module):
    """Has a counter without an axis, and numbers of several types."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer("scale", torch.tensor(2.0))
        self.register_buffer("seen", torch.tensor([True, False]))
        self.register_buffer("strided", torch.arange(6.0).reshape(2, 3).T)


def test_every_tensor_of_a_network_comes_back_with_its_shape_and_type(tmp_path):
    network = Normalised()
    network.norm.train()(torch.randn(8, 3))
    path = tmp_path / "w.safetensors"
    write_weights(path, {"backbone": arrays_of(network)}, {}, HEARD)
    again = Normalised()
    load_arrays(again, read_weights(path).tensors["backbone"], "it")
    for name, tensor in network.state_dict().items():
        found = again.state_dict()[name]
        assert (found.shape, found.dtype) == (tensor.shape, tensor.dtype)
        assert torch.equal(found, tensor)
    assert again.norm.num_batches_tracked == 1
