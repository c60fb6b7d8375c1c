"""Compile a plain loop with numba: the only module that knows how."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Any, ParamSpec, TypeVar, cast

from trendtrain.errors import InputError

try:
    import numba
    from numba.core import event
except ImportError as error:  # numba refuses a numpy that it does not know
    raise InputError(f"`numba` must be importable, got: {error}") from error

_P = ParamSpec("_P")
_R = TypeVar("_R")


def compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return `function`, compiled at its first call: without the GIL, and without fastmath.

    The machine code is kept beside the module or in the user's cache folder (`NUMBA_CACHE_DIR` names another). Where
    it cannot be kept, each process compiles anew. `NUMBA_DISABLE_JIT=1` leaves the function as it is.
    """
    jit: Any = numba.njit
    config: Any = numba.config
    if config.DISABLE_JIT:
        return function
    try:
        dispatcher = jit(cache=True, nogil=True, no_cfunc_wrapper=True)(function)
    except RuntimeError:  # numba found no folder that it can write to
        return cast(Callable[_P, _R], jit(nogil=True, no_cfunc_wrapper=True)(function))
    _keep_if_possible(dispatcher._cache)
    return cast(Callable[_P, _R], dispatcher)


def inlined(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return `function` for the one place in a compiled function that calls it, where it becomes a part of the caller.

    That halves the time it takes to compile: `compiled`, it would be optimised alone and again inside each caller.
    """
    jit: Any = numba.njit
    config: Any = numba.config
    return function if config.DISABLE_JIT else cast(Callable[_P, _R], jit(inline="always")(function))


def _keep_if_possible(cache: Any) -> None:
    """Let a full disk, or a folder that became read-only, cost the cached code alone, and not the call."""
    save = cache.save_overload

    def save_or_not(signature: Any, code: Any) -> None:
        try:
            save(signature, code)
        except OSError:
            cache.disable()

    cache.save_overload = save_or_not


@contextmanager
def compilation_notice(write: Callable[[str], object], seconds: float = 1.0) -> Iterator[None]:
    """Inside it, call `write` once with what is being compiled, when that has taken `seconds` in all."""
    listener = _Notice(write, seconds)
    with event.install_listener("numba:compile", listener):
        yield


class _Notice(event.Listener):
    def __init__(self, write: Callable[[str], object], seconds: float) -> None:
        self._write = write
        self._left = seconds
        self._depth = 0  # a function is compiled inside the function that calls it
        self._start = 0.0
        self._timer = Timer(0.0, write)

    def on_start(self, compiling: Any) -> None:
        self._depth += 1
        if self._depth == 1 and self._left > 0:
            name = compiling.data["dispatcher"].py_func.__module__
            self._start = time.monotonic()
            self._timer = Timer(self._left, self._write, [f"compiling {name} for this machine; later runs reuse it"])
            self._timer.daemon = True
            self._timer.start()

    def on_end(self, compiling: Any) -> None:
        self._depth -= 1
        if self._depth == 0 and self._left > 0:
            self._timer.cancel()
            self._left -= time.monotonic() - self._start
