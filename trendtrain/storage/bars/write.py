"""Write bars of a series inside a transaction, over those that are stored around them."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from sqlalchemy import Connection

from trendtrain.errors import InputError
from trendtrain.market.bars import BoolArray, IntArray, Series, TimeArray
from trendtrain.market.timeframe import is_off_grid, parse_timeframe, shortest_step
from trendtrain.storage.bars.blocks import read_blocks, replace_blocks
from trendtrain.storage.bars.columns import BarColumns, is_changed, merge

_REACH: Final = 8  # timeframes


@dataclass(frozen=True, eq=False)
class Written:
    """What a write changed.

    Attributes:
        n_changed: How many bars were new, or differed from the stored bar of their time.
        replaced: Open times of those that differed, or took the place of a bar off the grid, `datetime64[ms]`, shape
            (n_replaced,).
    """

    n_changed: int
    replaced: TimeArray


def write_bars(connection: Connection, series: Series, series_id: int, new: BarColumns) -> Written:
    """Add bars to a series; a given bar replaces the stored bar of the same time, and strays too close to it.

    Raises:
        InputError: If a bar lies less than a timeframe from a stored one that is on the grid.
        DamagedDataError: If a stored block is damaged.
    """
    step, least = int(parse_timeframe(series.timeframe).astype(np.int64)), least_apart(series)
    # Further on both sides: a stored bar there may lie too close, and its neighbours tell the grid.
    first, end = int(new.time[0]) - _REACH * step, int(new.time[-1]) + _REACH * step
    blocks = read_blocks(connection, series, series_id, first, end)
    is_fresh = is_changed(blocks.bars, new)
    fresh = new if is_fresh.all() else new.take(is_fresh)
    strays = fresh.time[:0]
    if len(fresh.time) > 0:
        merged, changed = merge(blocks.bars, fresh), fresh.time
        if (np.diff(merged.time) < least).any():
            merged, changed = _merge_over_strays(series, blocks.bars, fresh)
            strays = np.setdiff1d(changed, fresh.time)
        replace_blocks(connection, series_id, blocks, merged, changed)
    is_replaced = np.isin(fresh.time, blocks.bars.time, assume_unique=True)
    if len(strays):
        is_replaced |= _is_near(fresh.time, strays, least)
    return Written(len(fresh.time), fresh.time[is_replaced].astype("datetime64[ms]"))


def _merge_over_strays(series: Series, old: BarColumns, fresh: BarColumns) -> tuple[BarColumns, IntArray]:
    """Return old and fresh bars without those old ones that are off the grid and too close; and all times changed."""
    timeframe = parse_timeframe(series.timeframe)
    step, merged = least_apart(series), merge(old, fresh)
    is_off = is_off_grid(merged.time, timeframe)
    is_stray = is_off & ~np.isin(merged.time, fresh.time, assume_unique=True) & _is_near(merged.time, fresh.time, step)
    is_stray &= np.sum(~is_off) > 1  # one bar alone is no grid
    kept = merged.take(~is_stray)
    _check_apart(series, kept, step)
    return kept, np.union1d(fresh.time, merged.time[is_stray])


def least_apart(series: Series) -> int:
    """Return how far apart the bars of a series lie at least, ms."""
    return int(shortest_step(parse_timeframe(series.timeframe)).astype(np.int64))


def _is_near(times: IntArray, others: IntArray, step: int) -> BoolArray:
    """Return which times lie less than `step` from one of `others`, ascending."""
    first, last = np.searchsorted(others, [times - step + 1, times + step])
    is_near: BoolArray = last > first
    return is_near


def _check_apart(series: Series, merged: BarColumns, step: int) -> None:
    is_close = np.diff(merged.time) < step
    if is_close.any():
        at = int(np.argmax(is_close))
        pair = " and ".join(str(time) for time in merged.time[at : at + 2].astype("datetime64[ms]"))
        raise InputError(
            f"`bars` must lie at least {series.timeframe} from the other bars of {series.symbol}, got {pair}."
        )
