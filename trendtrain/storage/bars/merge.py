"""Merge newer bars over older ones of the same series."""

import numpy as np

from trendtrain.market.bars import BoolArray, IntArray
from trendtrain.storage.bars.payload import BarColumns, join


def is_changed(old: BarColumns, new: BarColumns) -> BoolArray:
    """Say which new bars are not in `old` with the same values; NaN equals NaN.

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
    """Return the bars of both in time order; where both have one, the new.

    Example:
        >>> old = BarColumns(np.array([0, 1]), np.zeros((5, 2)))
        >>> merge(old, BarColumns(np.array([1, 2]), np.ones((5, 2)))).values[0]
        array([0., 1., 1.])
    """
    start, stop = np.searchsorted(old.time, [new.time[0], new.time[-1] + 1]) if len(new.time) else (0, 0)
    between = old.take(slice(start, stop))
    if len(between.time) > 0:
        kept = between.take(~np.isin(between.time, new.time, assume_unique=True))
        both = join([kept, new])
        new = both.take(np.argsort(both.time, kind="stable"))
    return join([old.take(slice(None, start)), new, old.take(slice(stop, None))])
