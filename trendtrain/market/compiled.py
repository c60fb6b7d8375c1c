"""Compile a plain loop with numba: the one place that knows how."""

import os
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from trendtrain.errors import InputError

try:
    import numba
except ImportError as error:  # numba refuses a numpy that it does not know
    raise InputError(f"`numba` must be importable, got: {error}.") from error

_P = ParamSpec("_P")
_R = TypeVar("_R")


def compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return `function` compiled at its first call, without the GIL and without fastmath.

    The machine code is cached on disk, beside the module or in the user's cache folder; where neither can be written,
    each process compiles anew. `NUMBA_DISABLE_JIT=1` leaves `function` as it is.
    """
    jit: Any = numba.njit
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        return function
    try:
        return cast(Callable[_P, _R], jit(cache=True, nogil=True)(function))
    except RuntimeError:  # no folder for the cache can be written
        return cast(Callable[_P, _R], jit(nogil=True)(function))
