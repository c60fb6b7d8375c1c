"""Exponential moving averages that start anew in each segment."""

from typing import Any

import numpy as np

from trendtrain.errors import InputError
from trendtrain.market.bars import FloatArray, IntArray
from trendtrain.market.compiled import compiled

_NO_STARTS = np.zeros(0, dtype=np.int64)


def ema(values: FloatArray, span: int, segment: IntArray | None = None) -> FloatArray:
    """Return the exponential moving average with alpha = 2 / (span + 1), started at the first value of a segment.

    A plain recursion, 300 M values/s: bit-identical under any cut of the future, which blocked closed forms are not.

    Args:
        values: Shape (n_bars,), finite.
        span: The n of EMA_n, in bars, at least 1.
        segment: Number of each bar's segment, shape (n_bars,), ascending; None for one segment.

    Raises:
        InputError: If `segment` has another length.

    Example:
        >>> ema(np.array([1.0, 2.0, 3.0]), span=3)
        array([1.  , 1.5 , 2.25])
    """
    if segment is not None and len(segment) != len(values):
        raise InputError(f"`segment` must number each of {len(values)} values, got {len(segment)} numbers.")
    starts = None if segment is None else np.flatnonzero(np.diff(segment)) + 1
    return Average(span).update(values, starts)


class Average:
    """The exponential moving average of values that come in chunks; `ema` is one update of it.

    Args:
        span: The n of EMA_n, in bars, at least 1.
    """

    def __init__(self, span: int) -> None:
        self.span = span
        self._last: float | None = None

    def update(self, values: FloatArray, starts: IntArray | None = None) -> FloatArray:
        """Return the average at each of the next values, shape (n_values,).

        Args:
            values: Shape (n_values,), finite.
            starts: Positions of the values that start a new segment, ascending; None for none. The first value of all
                starts one in any case.
        """
        values = np.ascontiguousarray(values, dtype=np.float64)
        averages = np.empty(len(values))
        if len(values):
            starts = _NO_STARTS if starts is None else _checked_starts(starts, len(values))
            if self._last is None:
                starts = np.append(0, starts[starts > 0])
            self._last = _average(self._last or 0.0, values, starts, 2.0 / (self.span + 1), averages)
        return averages

    def state_dict(self) -> dict[str, Any]:
        """Return what later updates depend on, in plain types."""
        return {"last": self._last}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`."""
        self._last = state_dict["last"]


def _checked_starts(starts: IntArray, n: int) -> IntArray:
    starts = np.asarray(starts, np.int64)
    if len(starts) and (starts[0] < 0 or starts[-1] >= n or (np.diff(starts) <= 0).any()):
        raise InputError(f"`starts` must be ascending positions of {n} values, got {starts}.")
    return starts


@compiled
def _average(average: float, values: FloatArray, starts: IntArray, alpha: float, averages: FloatArray) -> float:
    """Write the average at each value and return the last one; `average` is that of the values before."""
    first = 0
    for k in range(len(starts) + 1):
        end = starts[k] if k < len(starts) else len(values)
        for i in range(first, end):
            average += alpha * (values[i] - average)
            averages[i] = average
        if end < len(values):
            average = values[end]
            averages[end] = average
        first = end + 1
    return average
