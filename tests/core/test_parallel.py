"""Work in several processes, and what Ctrl-C does to it."""

import os
import signal

import pytest

from sai_bench.parallel import in_processes

WHEN_IMPORTED = signal.getsignal(signal.SIGINT)
"""In a worker: what Ctrl-C does while it is still starting, since it imports this module to find its work."""


def square(number):
    return number * number


def ctrl_c_when_imported(_):
    return os.getpid(), str(WHEN_IMPORTED)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_is_done_once(workers):
    assert sorted(in_processes(square, [(n,) for n in range(5)], workers)) == [0, 1, 4, 9, 16]


def test_workers_ignore_ctrl_c_from_the_start_and_this_process_does_not():
    before = signal.getsignal(signal.SIGINT)
    told = set(in_processes(ctrl_c_when_imported, [(n,) for n in range(4)], 2))
    assert signal.getsignal(signal.SIGINT) is before
    assert os.getpid() not in {process for process, _ in told}
    assert {handler for _, handler in told} == {str(signal.SIG_IGN)}
