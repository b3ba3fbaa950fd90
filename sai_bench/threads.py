"""Arithmetic that does not depend on how many cores there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep the linear algebra of NumPy and SciPy to one thread.

    With several, matrix products are cut into as many parts as there are threads, and the last bits of the
    result depend on that; an optimiser makes visible differences of them. Torch has its own threads.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield
