"""Bring pooled bars of a series into the database, and prove that they are there."""

from dataclasses import dataclass

import numpy as np

from trendtrain.annotations.pool import BarPool, PooledBars
from trendtrain.errors import NotStoredError
from trendtrain.market.bars import Bars, BoolArray, Series
from trendtrain.market.timeframe import parse_timeframe
from trendtrain.storage.bars.store import BarStore

_MS = np.timedelta64(1, "ms")


@dataclass(frozen=True)
class SeriesReport:
    """What happened to the bars of a series.

    Attributes:
        series: The series.
        n_embedded: Bars in all annotations, each time one came.
        n_bars: How many different times they have.
        n_changed: How many were new or changed in the database.
        n_overwritten: How many of those the database had with other values.
        conflicts: Open times at which annotations disagree, `datetime64[ms]`; the one seen later was taken.
    """

    series: Series
    n_embedded: int
    n_bars: int
    n_changed: int
    n_overwritten: int
    conflicts: tuple[np.datetime64, ...]


def move_bars(store: BarStore, series: Series, pool: BarPool) -> SeriesReport:
    """Write the pooled bars in one transaction, and read them back.

    Bars of annotations that are migrated already are written where the database has none: it may have better ones now.

    Raises:
        InputError: If the bars do not fit each other, or those stored.
        RuntimeError: If what is read back is not what was written.
    """
    pooled, timeframe = pool.merged(), parse_timeframe(series.timeframe)
    pooled.bars(timeframe)
    is_stored, is_same = _compare(store, series, pooled)
    written = pooled.take(pooled.is_new | ~is_stored)
    n_changed = store.write(*series, written.bars(timeframe))
    _prove(store, series, pooled, written)
    n_overwritten = int(np.sum(pooled.is_new & is_stored & ~is_same))
    conflicts = tuple(pool.conflicts.astype("datetime64[ms]"))
    return SeriesReport(series, pool.n_embedded, len(pooled.time), n_changed, n_overwritten, conflicts)


def _prove(store: BarStore, series: Series, pooled: PooledBars, written: PooledBars) -> None:
    is_stored, _ = _compare(store, series, pooled)
    _, is_same = _compare(store, series, written)
    n_lost = int(np.sum(~is_stored)) + int(np.sum(~is_same))
    if n_lost:
        raise RuntimeError(f"{n_lost} bars of {' '.join(series)} were written, but are not in the database.")


def _compare(store: BarStore, series: Series, pooled: PooledBars) -> tuple[BoolArray, BoolArray]:
    """Say which bars the database has, and which with the same values; NaN equals NaN."""
    stored = _load(store, series, pooled)
    if stored is None:
        return np.zeros(len(pooled.time), np.bool_), np.zeros(len(pooled.time), np.bool_)
    time = stored.open_time.astype(np.int64)
    at = np.minimum(np.searchsorted(time, pooled.time), len(time) - 1)
    is_stored = time[at] == pooled.time
    values = np.stack([stored.open, stored.high, stored.low, stored.close, stored.volume])[:, at]
    is_equal = (values == pooled.values) | (np.isnan(values) & np.isnan(pooled.values))
    return is_stored, is_stored & is_equal.all(axis=0)


def _load(store: BarStore, series: Series, pooled: PooledBars) -> Bars | None:
    if not len(pooled.time):
        return None
    first, last = pooled.time[[0, -1]].astype("datetime64[ms]")
    try:
        return store.load(*series, first, last + _MS)
    except NotStoredError:
        return None
