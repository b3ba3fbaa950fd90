import time

import pytest


@pytest.fixture
def best_seconds():
    """Time a reference: the least of three calls, because a single one may be disturbed."""

    def measure(call) -> float:
        def once():
            started = time.perf_counter()
            call()
            return time.perf_counter() - started

        return min(once() for _ in range(3))

    return measure
