"""Work in several processes: the one way that stages and data sets do it."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from sai_bench.errors import StageError

Result = TypeVar("Result")


def in_processes(function: Callable[..., Result], tasks: Sequence[tuple], workers: int) -> Iterator[Result]:
    """Yield `function(*task)` for each task, in the order in which they end.

    With one worker or one task everything happens in this process.

    Args:
        function: what to do; picklable, as the tasks are.
        tasks: the arguments of each call.
        workers: how many processes may work at once.

    Raises:
        StageError: a process was killed.
    """
    workers = min(workers, len(tasks))
    if workers <= 1:
        yield from (function(*task) for task in tasks)
        return
    import joblib
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    # A worker that has grown is replaced by a fresh one, which is nothing to worry about.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
    pool = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")
    try:
        with _children_ignore_interrupts():
            results = pool(joblib.delayed(_undisturbed)(function, task) for task in tasks)
        yield from results
    except TerminatedWorkerError:
        raise StageError(
            "A worker process was killed, probably because memory ran out. What was finished is kept: run "
            "the same command again with --workers 1."
        ) from None


@contextmanager
def _children_ignore_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C while processes start, which they inherit.

    They import for seconds before they can ask for that themselves, and would show a traceback each.
    """
    if threading.current_thread() is not threading.main_thread():  # only it may change what a signal does
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _undisturbed(function: Callable[..., Result], task: tuple) -> Result:
    # Ctrl-C reaches the whole process group; the main process decides what it means. A process that was
    # started later, to replace one, has inherited nothing.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return function(*task)
