"""Work in a process of its own, to be killed at a random moment."""

import multiprocessing
import random
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess

Work = Callable[[], object]

_FORK = multiprocessing.get_context("fork")  # anything can be the work, and nothing is imported again


def start(work: Work) -> BaseProcess:
    """Start the work in a process of its own; it must open its own databases."""
    process = _FORK.Process(target=work, daemon=True)
    process.start()
    return process


def finish(work: Work) -> float:
    """Do the work to its end in a process of its own, and return the seconds it took."""
    begin = time.perf_counter()
    process = start(work)
    process.join()
    assert process.exitcode == 0
    return time.perf_counter() - begin


def kill_again_and_again(
    work: Work, n_kills: int, seconds: float, before: Work = lambda: None, seed: int = 0
) -> Iterator[int]:
    """End the work with SIGKILL at random moments of the `seconds` it takes, each time from the start.

    Args:
        work: What to kill.
        n_kills: How often; work that was through before its moment does not count.
        seconds: How long it takes where it is left alone.
        before: Called before each start, such as to delete what was written.
        seed: Of the moments.

    Yields:
        How many kills there were, after each.
    """
    moments = random.Random(seed)
    n_killed = 0
    while n_killed < n_kills:
        before()
        process = start(work)
        process.join(moments.uniform(0, seconds))
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        if process.exitcode != 0:
            n_killed += 1
            yield n_killed
