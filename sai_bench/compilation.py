"""Compiling hot loops with numba, once per machine instead of once per process."""

from __future__ import annotations

import os
from collections.abc import Callable

import numba
from numba.core.dispatcher import Dispatcher


def compiled(signature: str, **options) -> Callable[[Callable], Callable]:
    """Compile a function for one signature when its module is imported, and keep the machine code on disk.

    It is kept beside the source, or for a read-only installation in the user's own cache folder. Where
    neither can be written, every process compiles anew: slower to start, with the same results.

    Args:
        signature: numba's spelling of the argument and result types.
        **options: further options of `numba.njit`.
    """

    def decorate(function: Callable) -> Callable:
        function.__qualname__ += _version_of_imported_functions(function)
        try:
            return numba.njit(signature, cache=True, **options)(function)
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
            return numba.njit(signature, **options)(function)

    return decorate


def _version_of_imported_functions(function: Callable) -> str:
    """Return a name for the state of the functions that a function may call from other modules.

    Numba keeps machine code as long as the function's own file is unchanged, and their code is part of it.
    """
    known = (value for value in function.__globals__.values() if isinstance(value, Dispatcher))
    sources = {value.py_func.__code__.co_filename for value in known} - {function.__code__.co_filename}
    states = [os.stat(source) for source in sorted(sources)]
    return "".join(f"_{state.st_mtime_ns:x}_{state.st_size:x}" for state in states)
