from pathlib import Path

import pytest
import torch

from sai_bench.spec import load_spec

TINY = """\
name: tiny
seed: 5
plugins: [{plugin}]
system:
  front_end: {{use: stft}}
  backbone: {{use: tiny}}
  decoder: {{use: tiny}}
  prior: {{use: uniform}}
  fusion: {{use: none}}
  compressor: {{use: dense}}
inference: {{segment_s: 2.0, context_s: 0.0, pad_segments: true, score_floor: 0.0}}
"""


@pytest.fixture
def tiny_spec(tmp_path):
    """Load a spec of a system whose networks are as small as can be."""
    torch.set_num_threads(1)
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY.format(plugin=Path(__file__).with_name("tiny_networks.py")))

    def load(*overrides):
        return load_spec(path, overrides=overrides)

    load.path = path
    return load
