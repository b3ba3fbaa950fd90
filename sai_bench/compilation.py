"""Compiling hot loops with numba, once per machine instead of once per process."""

from __future__ import annotations

import functools
import hashlib
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import numba
import numpy as np
from numba.core import event
from numba.core.dispatcher import Dispatcher

_CONSTANTS = (int, float, complex, str, bytes, tuple, list, np.generic, np.ndarray)


def compiled(signature: object, **options: object) -> Callable[[Callable], Callable]:
    """Compile a function for one signature when its module is imported, and keep the machine code on disk.

    It is kept beside the source, or for a read-only installation in the user's own cache folder. Where
    neither can be written, every process compiles anew: slower to start, with the same results. Standard
    error gets a line when compiling begins, which takes up to half a minute, and one if nothing can be kept.

    Args:
        signature: numba's argument and result types, maybe as text.
        **options: further options of `numba.njit`.
    """

    def decorate(function: Callable) -> Callable:
        dispatcher = numba.njit(**options)(function)
        if not isinstance(dispatcher, Dispatcher):  # numba is switched off
            return dispatcher
        try:
            _keep_code(dispatcher)
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
            _warn_of_loss()
        with event.install_listener("numba:compile", _Announcement()):
            dispatcher.compile(signature)
        dispatcher.disable_compile()
        return dispatcher

    return decorate


class _Announcement(event.Listener):
    """Is told when something is compiled, not when it is loaded."""

    def on_start(self, event: event.Event) -> None:
        _announce()

    def on_end(self, event: event.Event) -> None:
        """Say nothing: what comes next speaks for itself."""


@functools.cache  # once per process
def _announce() -> None:
    print("compiling, once per machine ...", file=sys.stderr, flush=True)


@functools.cache
def _warn_of_loss() -> None:
    print(
        "warning: compiled code cannot be kept, because neither the installation nor your cache folder can "
        "be written: every start takes up to half a minute. Set NUMBA_CACHE_DIR to a folder that can be.",
        file=sys.stderr,
        flush=True,
    )


def _keep_code(dispatcher: Dispatcher) -> None:
    """Keep machine code on disk until something changes that went into it.

    Numba itself looks at the function's own file only. Its index holds the state of that file, and what was
    compiled from another state is overwritten; so the state of everything else belongs in the same place.
    """
    dispatcher.enable_caching()
    index = dispatcher._cache._cache_file
    index._source_stamp = (index._source_stamp, _state_of_imports(dispatcher.py_func))


def _state_of_imports(function: FunctionType) -> str:
    """Return a hash of what numba builds into a function from outside: other functions' code, and constants.

    Constants count with their values, wherever they come from; so does what a library computed for them.
    """
    state = hashlib.sha256()
    waiting, seen = [function], set()
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        state.update(_content(current.__code__.co_filename))
        for name, value in _outside_values(current):
            if isinstance(value, Dispatcher):
                waiting.append(value.py_func)
            elif isinstance(value, _CONSTANTS):
                state.update(pickle.dumps((name, value)))
    return state.hexdigest()


def _outside_values(function: FunctionType) -> Iterator[tuple[str, object]]:
    """Yield the names that a function uses and their values, also those in modules that it names."""
    names, codes = set(), [function.__code__]
    while codes:
        code = codes.pop()
        names.update(code.co_names)
        codes.extend(constant for constant in code.co_consts if isinstance(constant, CodeType))
    known = {name: function.__globals__[name] for name in sorted(names) if name in function.__globals__}
    for name, value in known.items():
        if isinstance(value, ModuleType):
            inner = {other: vars(value)[other] for other in sorted(names) if other in vars(value)}
            yield from ((n, v) for n, v in inner.items() if not isinstance(v, ModuleType))
        else:
            yield name, value
    yield from zip(function.__code__.co_freevars, _closure(function), strict=True)


def _closure(function: FunctionType) -> list[object]:
    return [cell.cell_contents for cell in function.__closure__ or ()]


@functools.cache  # many functions share a file
def _content(path: str) -> bytes:
    return hashlib.sha256(Path(path).read_bytes()).digest()
