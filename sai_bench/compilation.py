"""Compiling hot loops with numba, once per machine instead of once per process."""

from __future__ import annotations

from collections.abc import Callable

import numba


def compiled(signature: str, **options) -> Callable[[Callable], Callable]:
    """Compile a function for one signature when its module is imported, and keep the machine code on disk.

    It is kept beside the source, or for a read-only installation in the user's own cache folder. Where
    neither can be written, every process compiles anew: slower to start, with the same results.

    Args:
        signature: numba's spelling of the argument and result types.
        **options: further options of `numba.njit`.
    """

    def decorate(function: Callable) -> Callable:
        try:
            return numba.njit(signature, cache=True, **options)(function)
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
            return numba.njit(signature, **options)(function)

    return decorate
