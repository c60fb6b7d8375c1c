"""Merge the bars that many annotations embed of one series."""

from typing import Final, NamedTuple

import numpy as np

from trendtrain.errors import InputError
from trendtrain.market.bars import Bars, BoolArray, FloatArray, IntArray

_MERGE_AT: Final = 1_000_000  # bars that wait: merging each snapshot at once would cost its square


class PooledBars(NamedTuple):
    """Bars of one series in time order, each time once.

    Attributes:
        time: Open times, ms, shape (n_bars,).
        values: Open, high, low, close, volume, shape (5, n_bars).
        seen_at: When each bar was seen like this, ms, shape (n_bars,).
        is_new: Whether it comes from an annotation that is not migrated yet, shape (n_bars,).
    """

    time: IntArray
    values: FloatArray
    seen_at: IntArray
    is_new: BoolArray

    def take(self, part: IntArray | BoolArray) -> "PooledBars":
        """Return some of the bars."""
        return PooledBars(self.time[part], self.values[:, part], self.seen_at[part], self.is_new[part])

    def bars(self, timeframe: np.timedelta64) -> Bars:
        """Return them as bars.

        Raises:
            BarsError: If two lie less than a timeframe apart.
        """
        first, high, low, last, volume = self.values
        return Bars(self.time.astype("datetime64[ms]"), first, high, low, last, volume, timeframe)


class BarPool:
    """Bars of one series from many snapshots; of two bars of one time the one seen later stays.

    A snapshot's last bar may still have been under way: a later snapshot has it whole.

    Attributes:
        conflicts: Open times at which two snapshots disagree, ms, ascending.
        n_embedded: Bars added, each time it came.
    """

    def __init__(self) -> None:
        self.conflicts: IntArray = np.empty(0, np.int64)
        self.n_embedded = 0
        self._parts: list[PooledBars] = []
        self._n_waiting = 0

    def add(self, bars: Bars, seen_at: np.datetime64, is_new: bool) -> None:
        """Add the bars of one snapshot."""
        n = len(bars)
        values = np.stack([bars.open, bars.high, bars.low, bars.close, bars.volume])
        seen = np.full(n, seen_at.astype("datetime64[ms]").astype(np.int64))
        self._parts.append(PooledBars(bars.open_time.astype(np.int64), values, seen, np.full(n, is_new)))
        self.n_embedded += n
        self._n_waiting += n
        if self._n_waiting >= _MERGE_AT:
            self.merged()

    def merged(self) -> PooledBars:
        """Return all bars added so far, each time once."""
        names = PooledBars._fields
        joined = PooledBars(*(np.concatenate([getattr(part, name) for part in self._parts], axis=-1) for name in names))
        ordered = joined.take(np.lexsort((joined.seen_at, joined.time)))
        is_repeated = ordered.time[1:] == ordered.time[:-1]
        before, here = ordered.values[:, :-1], ordered.values[:, 1:]
        is_other = ~((before == here) | (np.isnan(before) & np.isnan(here))).all(axis=0)
        self.conflicts = np.union1d(self.conflicts, ordered.time[1:][is_repeated & is_other])
        last = ordered.take(np.append(~is_repeated, True))
        self._parts, self._n_waiting = [last], 0
        return last


def usual_times(pooled: PooledBars, timeframe: np.timedelta64) -> IntArray | None:
    """Return the times on the grid that most bars lie on, where bars lie too close to each other; else None.

    Args:
        pooled: Bars of one series.
        timeframe: Their timeframe.

    Returns:
        Open times, ms, ascending.

    Example:
        >>> nothing = np.empty(0)
        >>> pooled = PooledBars(np.array([0, 1000, 1500, 2000]), nothing, nothing, nothing)
        >>> usual_times(pooled, np.timedelta64(1, "s"))
        array([   0, 1000, 2000])
    """
    step = int(timeframe.astype("timedelta64[ms]").astype(np.int64))
    if (np.diff(pooled.time) >= step).all():
        return None
    phase = pooled.time % step
    phases, counts = np.unique(phase, return_counts=True)
    usual: IntArray = pooled.time[phase == phases[np.argmax(counts)]]
    return usual


def check_fit(bars: Bars, usual: IntArray) -> None:
    """Raise where a bar lies too close to one of the usual times, and not at it.

    Raises:
        InputError: Naming the first such pair.
    """
    step = int(bars.timeframe.astype(np.int64))
    time = bars.open_time.astype(np.int64)
    near = slice(*np.searchsorted(usual, [time[0] - step, time[-1] + step]))
    both = np.union1d(time, usual[near])
    is_close = np.diff(both) < step
    if is_close.any():
        pair = " and ".join(map(str, both[np.argmax(is_close) :][:2].astype("datetime64[ms]")))
        raise InputError(f"bars must lie a timeframe from those of the other annotations, got {pair}.")
