import pytest

from sai_bench.interfaces import FeatureSpec


@pytest.fixture
def report_features():
    """What the report's front end promises at 48 kHz."""
    return FeatureSpec("log_magnitude_phase", 48000, n_fft=2048, hop_samples=480, bins=1024, channels=12)


@pytest.fixture
def tiny_features():
    """Features of 64 bins, 5 ms apart."""
    return FeatureSpec("log_magnitude_phase", 8000, n_fft=128, hop_samples=40, bins=64, channels=12)


@pytest.fixture
def tiny_keys():
    """Keys of a network small enough for any test, with 5 encoder frames per label frame."""
    return {
        "grid_height": 4,
        "grid_width": 8,
        "embedding_channels": 6,
        "stage_depths": (1, 1, 2, 1),
        "stage_channels": (8, 12, 16, 20),
        "stem_kernel": (4, 4),
        "stem_stride": (4, 4),
        "layer_scale": 0.5,
        "attention_heads": 2,
        "head_width": 4,
        "feed_forward_width": 10,
    }
