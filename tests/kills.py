"""Work in a process of its own, to be killed at a random moment."""

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from typing import Any

import pytest

Work = Callable[[], object]

_FORK = multiprocessing.get_context("fork")  # anything can be the work, and nothing is imported again
_STORING = {"open", "write", "__exit__", "fsync", "rename", "replace", "execute", "executemany", "commit"}


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
    work: Work,
    n_kills: int,
    seconds: float,
    before: Work = lambda: None,
    seed: int = 0,
    by: signal.Signals = signal.SIGKILL,
    exit_codes: tuple[int, ...] = (-signal.SIGKILL,),
) -> Iterator[int]:
    """End the work with a signal at random moments of the `seconds` it takes, each time from the start.

    Args:
        work: What to kill.
        n_kills: How often; work that was through before its moment does not count.
        seconds: How long it takes where it is left alone.
        before: Called before each start, such as to delete what was written.
        seed: Of the moments.
        by: The signal.
        exit_codes: How the work may end by it.

    Yields:
        How many kills there were, after each.
    """
    moments = random.Random(seed)
    n_killed = 0
    while n_killed < n_kills:
        before()
        process = start(work)
        process.join(moments.uniform(0, seconds))
        if process.exitcode is None:
            os.kill(process.pid, by)  # type: ignore[arg-type]
        process.join()
        assert process.exitcode in (0, *exit_codes)
        if process.exitcode != 0:
            n_killed += 1
            yield n_killed


class Storing:
    """Work that can be ended with a signal right before or after the n-th file or database operation in a function.

    Args:
        work: What to kill.
        owner: The class or module of the function.
        name: The function.
        by: The signal.
        exit_code: How the work ends by it.
    """

    def __init__(
        self,
        work: Work,
        owner: Any,
        name: str,
        by: signal.Signals = signal.SIGKILL,
        exit_code: int = -signal.SIGKILL,
    ) -> None:
        self.work = work
        self.owner = owner
        self.name = name
        self.by = by
        self.exit_code = exit_code
        self.function = getattr(owner, name)
        self._seen = _FORK.Value("q", 0)
        self._last = -1

    def kill_again_and_again(self, n_kills: int, before: Work, seed: int = 0) -> Iterator[int]:
        """End the work at random ones of those moments, each time from the start, and yield how many kills there were.

        Args:
            n_kills: How often; where there are fewer moments, once at each.
            before: Called before each start.
            seed: Of the moments.
        """
        before()
        self._last = -1
        finish(self)
        n_moments = self._seen.value
        assert n_moments > 0
        moments = random.Random(seed).sample(range(n_moments), min(n_kills, n_moments))
        for n_killed, self._last in enumerate(moments, start=1):
            before()
            process = start(self)
            process.join()
            assert process.exitcode == self.exit_code
            yield n_killed

    def __call__(self) -> None:
        """Do the work, and watch."""

        def watched(*arguments: Any, **named: Any) -> Any:
            sys.setprofile(self._on_event)
            try:
                return self.function(*arguments, **named)
            finally:
                sys.setprofile(None)

        self._seen.value = 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.owner, self.name, watched)
            self.work()

    def _on_event(self, _frame: object, event: str, function: Any) -> None:
        if event not in ("c_call", "c_return") or not _stores(function):
            return
        if self._seen.value == self._last:
            os.kill(os.getpid(), self.by)
        self._seen.value += 1


def _stores(function: Any) -> bool:
    owner = function.__module__ or type(function.__self__).__module__
    return owner in ("posix", "io", "_io", "sqlite3") and function.__name__ in _STORING
