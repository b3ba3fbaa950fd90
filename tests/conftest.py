"""Shared by all tests."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def _one_torch_thread():
    """Keep torch to one thread where it is in use; never import it for tests that do without."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
