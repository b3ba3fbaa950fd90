"""Work in several processes, and what Ctrl-C does to it.

Functions for workers are defined inside the tests: these travel as code, while a worker could not import the
module of a test.
"""

import os
import signal

import pytest
from joblib.externals.loky import get_reusable_executor

from sai_bench.parallel import in_processes


class HandlerOnArrival:
    """Becomes, where a worker unpacks it, what Ctrl-C does there: that is before the work begins."""

    def __reduce__(self):
        return signal.getsignal, (signal.SIGINT,)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_is_done_once(workers):
    def square(number):
        return number * number

    assert sorted(in_processes(square, [(n,) for n in range(5)], workers)) == [0, 1, 4, 9, 16]


def test_workers_ignore_ctrl_c_from_the_start_and_this_process_does_not():
    def tell(handler):
        return os.getpid(), str(handler)

    get_reusable_executor().shutdown(wait=True)  # workers of earlier tests know already
    before = signal.getsignal(signal.SIGINT)
    told = set(in_processes(tell, [(HandlerOnArrival(),) for _ in range(4)], 2))
    assert signal.getsignal(signal.SIGINT) is before
    assert os.getpid() not in {process for process, _ in told}
    assert {handler for _, handler in told} == {str(signal.SIG_IGN)}
