"""Merge the bars of one series that many annotations embed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trendtrain.errors import InputError
from trendtrain.market.bars import Bars, IntArray, Series, TimeArray
from trendtrain.storage.bars.columns import BarColumns, columns_of, join


class Snapshot(NamedTuple):
    """Bars of a series as an annotation saw them at a time: the last of them may still have been under way."""

    series: Series
    seen_at: np.datetime64
    bars: Bars


class MergedBars(NamedTuple):
    """The bars of several snapshots of one series, each time once.

    Attributes:
        columns: The bars; of two with one time, the one seen later.
        part: The position of the snapshot that each comes from, shape (n_bars,).
        conflicts: Open times at which snapshots disagree, `datetime64[ms]`, ascending.
    """

    columns: BarColumns
    part: IntArray
    conflicts: TimeArray


def merge_snapshots(snapshots: Sequence[Snapshot]) -> MergedBars:
    """Return the bars of snapshots of one series, the one seen later wherever two have a bar of one time."""
    lengths = [len(snapshot.bars) for snapshot in snapshots]
    seen_at = np.array([snapshot.seen_at for snapshot in snapshots], "datetime64[ms]")
    columns = join([columns_of(snapshot.bars) for snapshot in snapshots])
    order = np.lexsort((np.repeat(seen_at, lengths), columns.time))
    columns, part = columns.take(order), np.repeat(np.arange(len(snapshots)), lengths)[order]
    is_repeated = columns.time[1:] == columns.time[:-1]
    before, here = columns.values[:, :-1], columns.values[:, 1:]
    is_other = ~((before == here) | (np.isnan(before) & np.isnan(here))).all(axis=0)
    conflicts = np.unique(columns.time[1:][is_repeated & is_other]).astype("datetime64[ms]")
    is_last = np.append(~is_repeated, True)
    return MergedBars(columns.take(is_last), part[is_last], conflicts)


def usual_grid(snapshots: Sequence[Snapshot]) -> IntArray | None:
    """Return the times on the grid that most bars lie on, ms, ascending; None if no bars lie too close to each other.

    Args:
        snapshots: Bars of one series.

    Example:
        >>> from trendtrain.market import random_walk
        >>> bars = random_walk(3, seed=0)
        >>> shifted = Bars(bars.open_time + np.timedelta64(1, "s"), *[bars.close] * 4, bars.volume, bars.timeframe)
        >>> parts = [Snapshot(Series("A", "5m"), bars.open_time[0], part) for part in (bars, shifted[:2])]
        >>> (usual_grid(parts) == bars.open_time.astype(np.int64)).tolist(), usual_grid(parts[:1])
        ([True, True, True], None)
    """
    step = snapshots[0].bars.timeframe.astype(np.int64)
    times = np.unique(np.concatenate([snapshot.bars.open_time for snapshot in snapshots])).astype(np.int64)
    if (np.diff(times) >= step).all():
        return None
    phases, counts = np.unique(times % step, return_counts=True)
    usual: IntArray = times[times % step == phases[np.argmax(counts)]]
    return usual


def check_grid(bars: Bars, usual: IntArray) -> None:
    """Refuse bars that lie too close to the usual times of their series, and not at them.

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
