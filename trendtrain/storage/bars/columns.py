"""Bars as columns without checks: convert, join, compare and merge them."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from trendtrain.market.bars import Bars, BoolArray, FloatArray, IntArray

VALUES: Final = ("open", "high", "low", "close", "volume")


class BarColumns(NamedTuple):
    """Bars without checks: `time` in ms, shape (n_bars,); `values` open to volume, shape (5, n_bars)."""

    time: IntArray
    values: FloatArray

    def take(self, part: slice | BoolArray | IntArray) -> "BarColumns":
        """Return some of the bars."""
        return BarColumns(self.time[part], self.values[:, part])


def columns_of(bars: Bars) -> BarColumns:
    """Return the columns of `bars`."""
    return BarColumns(bars.open_time.astype(np.int64), np.stack([getattr(bars, name) for name in VALUES]))


def bars_of(columns: BarColumns, timeframe: np.timedelta64) -> Bars:
    """Return the checked bars of `columns`.

    Raises:
        BarsError: If they break a rule of `Bars`.
    """
    first, high, low, last, volume = columns.values
    return Bars(columns.time.astype("datetime64[ms]"), first, high, low, last, volume, timeframe)


def room_for(n_bars: int) -> BarColumns:
    """Return uninitialized columns."""
    return BarColumns(np.empty(n_bars, np.int64), np.empty((len(VALUES), n_bars)))


def join(parts: Sequence[BarColumns]) -> BarColumns:
    """Return the bars of all parts in their order, without a copy if only one part has bars."""
    filled = [part for part in parts if len(part.time)]
    if len(filled) == 1:
        return filled[0]
    times, values = zip(room_for(0), *filled, strict=True)
    return BarColumns(np.concatenate(times), np.concatenate(values, axis=1))


def is_changed(old: BarColumns, new: BarColumns) -> BoolArray:
    """Return which new bars are not in `old` with the same values; NaN equals NaN.

    Args:
        old: Stored bars, in time order.
        new: Given bars, in time order.

    Returns:
        True where a bar is new or changed, shape (n_new,).

    Example:
        >>> old = BarColumns(np.array([0, 1]), np.ones((5, 2)))
        >>> is_changed(old, BarColumns(np.array([1, 2]), np.ones((5, 2))))
        array([False,  True])
    """
    if len(old.time) == 0:
        return np.ones(len(new.time), dtype=np.bool_)
    start = int(np.searchsorted(old.time, new.time[0])) if len(new.time) else 0
    here: IntArray | slice = slice(start, start + len(new.time))  # as in a repeated import: a view costs nothing
    if not np.array_equal(old.time[here], new.time):
        here = np.minimum(np.searchsorted(old.time, new.time), len(old.time) - 1)
    before = old.values[:, here]
    is_equal = before == new.values
    if not is_equal.all():
        is_equal |= np.isnan(before) & np.isnan(new.values)
    is_stored: BoolArray = (old.time[here] == new.time) & is_equal.all(axis=0)
    return ~is_stored


def merge(old: BarColumns, new: BarColumns) -> BarColumns:
    """Return the bars of both in time order; a new bar replaces the old one of its time.

    Example:
        >>> old = BarColumns(np.array([0, 1]), np.zeros((5, 2)))
        >>> merge(old, BarColumns(np.array([1, 2]), np.ones((5, 2)))).values[0]
        array([0., 1., 1.])
    """
    if len(old.time) == 0:
        return new
    both = join([old.take(~np.isin(old.time, new.time, assume_unique=True)), new])
    return both.take(np.argsort(both.time, kind="stable"))
