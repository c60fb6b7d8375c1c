"""Keep bars in the database."""

from typing import Final

import numpy as np
from sqlalchemy import Connection, Engine, delete, select

from trendtrain.errors import InputError
from trendtrain.market.bars import Bars, Series
from trendtrain.market.moments import Moment, to_milliseconds
from trendtrain.market.timeframe import format_timeframe, parse_timeframe
from trendtrain.storage import schema
from trendtrain.storage.bars.blocks import read_blocks, replace_blocks, stored_span
from trendtrain.storage.bars.compaction import Compaction, compact_series
from trendtrain.storage.bars.merge import is_changed, merge
from trendtrain.storage.bars.payload import BarColumns, bars_of, columns_of
from trendtrain.storage.series import find_series, lock_series, name_series

_FIRST: Final = -(2**63)
_END: Final = 2**63 - 1


class BarStore:
    """Bars of many series in one database.

    Example:
        >>> from trendtrain.storage import open_database
        >>> engine = open_database("sqlite://")
        >>> store = BarStore(engine)
        >>> price = np.array([1.0, 2.0])
        >>> time = np.array(["2024-01-01T00:00", "2024-01-01T00:01"], "datetime64[ms]")
        >>> store.write("BTCUSDT", "1m", Bars(time, price, price, price, price, price, np.timedelta64(1, "m")))
        2
        >>> store.load("BTCUSDT", "1m", start="2024-01-01T00:01").close
        array([2.])
        >>> engine.dispose()
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def write(self, symbol: str, timeframe: str, bars: Bars) -> int:
        """Add bars to a series; where the series has a bar of that time already, the one given wins.

        All in one transaction; bars that are stored already with the same values change nothing.

        Returns:
            How many bars were new or changed.

        Raises:
            InputError: If `timeframe` is not that of `bars`, a bar lies less than a timeframe from a stored one, or a
                stored block is damaged.
        """
        series = _series_of(symbol, timeframe, bars)
        if len(bars) == 0:
            return 0
        with self.engine.begin() as connection:
            series_id = lock_series(connection, series)
            return _write(connection, series, series_id, columns_of(bars))

    def replace(self, symbol: str, timeframe: str, bars: Bars) -> None:
        """Put bars in place of all that is stored of a series, in one transaction.

        Raises:
            InputError: If `timeframe` is not that of `bars`.
        """
        series = _series_of(symbol, timeframe, bars)
        with self.engine.begin() as connection:
            series_id = lock_series(connection, series)
            connection.execute(delete(schema.bar_blocks).where(schema.bar_blocks.c.series_id == series_id))
            if len(bars):
                _write(connection, series, series_id, columns_of(bars))

    def load(self, symbol: str, timeframe: str, start: Moment | None = None, end: Moment | None = None) -> Bars:
        """Return the bars of a series that open in [`start`, `end`); only their blocks are read.

        Args:
            symbol: Symbol of the series.
            timeframe: Timeframe of the series.
            start: A time, or an ISO string; without an offset UTC; None for the first bar.
            end: Likewise; None for the last bar, that one included.

        Raises:
            InputError: If the series is unknown, no bar lies in the range, or a stored block is damaged.
        """
        series = name_series(symbol, timeframe)
        first = _FIRST if start is None else to_milliseconds("start", start)
        stop = _END if end is None else to_milliseconds("end", end)
        with self.engine.connect() as connection:
            series_id = find_series(connection, series)
            if series_id is None:
                raise InputError(self._why_unknown(series))
            columns = read_blocks(connection, series, series_id, first, stop).bars
            columns = columns.take(slice(*np.searchsorted(columns.time, [first, stop])))
            span = None if len(columns.time) else stored_span(connection, series_id)
        if len(columns.time) > 0:
            return bars_of(columns, parse_timeframe(series.timeframe))
        if span is None:
            raise InputError(self._why_unknown(series))
        stored = f"{' '.join(series)}, stored from {span[0]} to {span[1]}"
        raise InputError(f"`start` and `end` must hold bars of {stored}, got start {start} and end {end}.")

    def compact(self) -> list[Compaction]:
        """Merge small blocks, such as those of single live bars, series by series; the bars stay the same.

        Raises:
            InputError: If a stored block is damaged.
        """
        return [compact_series(self.engine, series) for series in self.series()]

    def series(self) -> list[Series]:
        """Return the series that have bars, by symbol, then timeframe."""
        table, blocks = schema.series.c, schema.bar_blocks.c
        has_bars = select(blocks.series_id).where(blocks.series_id == table.id).exists()
        query = select(table.symbol, table.timeframe).where(has_bars).order_by(table.symbol, table.timeframe)
        with self.engine.connect() as connection:
            return [Series(*row) for row in connection.execute(query)]

    def _why_unknown(self, series: Series) -> str:
        names = ", ".join(" ".join(stored) for stored in self.series()) or "none"
        return f"`symbol` and `timeframe` must name stored bars ({names}), got {' '.join(series)}."


def _series_of(symbol: str, timeframe: str, bars: Bars) -> Series:
    series = name_series(symbol, timeframe)
    if parse_timeframe(series.timeframe) != bars.timeframe:
        length = format_timeframe(bars.timeframe)
        raise InputError(f"`timeframe` must be that of the bars, {length}, got {timeframe!r}.")
    return series


def _write(connection: Connection, series: Series, series_id: int, new: BarColumns) -> int:
    step = int(parse_timeframe(series.timeframe).astype(np.int64))
    # One timeframe further on both sides: a stored bar there may lie too close.
    blocks = read_blocks(connection, series, series_id, int(new.time[0]) - step, int(new.time[-1]) + step)
    is_fresh = is_changed(blocks.bars, new)
    fresh = new if is_fresh.all() else new.take(is_fresh)
    if len(fresh.time) > 0:
        merged = merge(blocks.bars, fresh)
        _check_apart(series, merged, step)
        replace_blocks(connection, series_id, blocks, merged, fresh)
    return len(fresh.time)


def _check_apart(series: Series, merged: BarColumns, step: int) -> None:
    is_close = np.diff(merged.time) < step
    if is_close.any():
        at = int(np.argmax(is_close))
        pair = " and ".join(str(time) for time in merged.time[at : at + 2].astype("datetime64[ms]"))
        raise InputError(
            f"`bars` must lie at least {series.timeframe} from stored bars of {series.symbol}, got {pair}."
        )
