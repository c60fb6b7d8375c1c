"""Keep bars in the database."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import numpy as np
from sqlalchemy import Connection, Engine, delete, select

from trendtrain.errors import DamagedDataError, InputError, NotStoredError
from trendtrain.market.bars import Bars, BarsError, Series, name_series
from trendtrain.market.timeframe import (
    Time,
    format_timeframe,
    parse_timeframe,
    to_milliseconds,
)
from trendtrain.storage import schema
from trendtrain.storage.bars.blocks import insert_blocks, newest_times, read_blocks, replace_blocks, stored_span
from trendtrain.storage.bars.columns import BarColumns, bars_of, columns_of, is_changed
from trendtrain.storage.bars.compaction import Compaction, compact_series
from trendtrain.storage.bars.revisions import BarVersion, add_version, read_versions
from trendtrain.storage.bars.write import Written, least_apart, write_bars
from trendtrain.storage.series import find_series, lock_series

_FIRST: Final = -(2**63)
_END: Final = 2**63 - 1


class BarTransaction:
    """Read and write bars of some series in one open transaction; `BarStore.transaction` makes it.

    Attributes:
        connection: For other statements of the same transaction.
        series_ids: The number of each series in the database.
    """

    def __init__(self, connection: Connection, series_ids: Mapping[Series, int]) -> None:
        self.connection = connection
        self.series_ids = series_ids

    def write(self, symbol: str, timeframe: str, bars: Bars) -> Written:
        """Add bars to a series, as `BarStore.write` does."""
        series = _series_of(symbol, timeframe, bars)
        if len(bars) == 0:
            return Written(0, np.zeros(0, "datetime64[ms]"))
        return write_bars(self.connection, series, self.series_ids[series], columns_of(bars))

    def write_all(self, bars: Mapping[Series, Bars]) -> None:
        """Add bars to several series, as `write` does; one statement adds all that lie behind those that are stored."""
        new = {_series_of(*series, part): columns_of(part) for series, part in bars.items() if len(part)}
        newest = newest_times(self.connection, [self.series_ids[series] for series in new])
        behind = {}
        for series, columns in new.items():
            last = newest.get(self.series_ids[series])
            if last is None or columns.time[0] - last >= least_apart(series):
                behind[self.series_ids[series]] = columns
            else:
                write_bars(self.connection, series, self.series_ids[series], columns)
        insert_blocks(self.connection, behind)

    def revise(self, symbol: str, timeframe: str, bar: Bars, arrived: np.datetime64) -> bool:
        """Correct a bar that was taken in before, as `BarStore.revise` does."""
        series, new = _series_of(symbol, timeframe, bar), columns_of(bar)
        series_id, time = self.series_ids[series], int(new.time[0])
        stored = read_blocks(self.connection, series, series_id, time, time + 1).bars
        before = stored.take(stored.time == time)
        if not is_changed(before, new)[0]:
            return False
        add_version(self.connection, series_id, before, new, arrived)
        write_bars(self.connection, series, series_id, new)
        return True

    def replace(self, symbol: str, timeframe: str, bars: Bars) -> None:
        """Replace all stored bars of a series, as `BarStore.replace` does."""
        series = _series_of(symbol, timeframe, bars)
        for table in (schema.bar_blocks, schema.bar_revisions):
            self.connection.execute(delete(table).where(table.c.series_id == self.series_ids[series]))
        self.write(symbol, timeframe, bars)

    def load(self, symbol: str, timeframe: str, start: Time | None = None, end: Time | None = None) -> Bars:
        """Return stored bars, as `BarStore.load` does."""
        return _load(self.connection, name_series(symbol, timeframe), start, end)


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

    @contextmanager
    def transaction(self, *series: Series) -> Iterator[BarTransaction]:
        """Begin one transaction that reads and writes bars of several series: all of it is stored, or nothing.

        Other writers of these series wait until it ends, and writers that name several never wait for each other.

        Args:
            *series: Every series to write. A series that the database does not have gets a number.

        Raises:
            InputError: If a symbol is blank or padded, or a timeframe is invalid.
        """
        names = [name_series(*one) for one in series]
        with self.engine.begin() as connection:
            yield BarTransaction(connection, lock_series(connection, *names))

    def write(self, symbol: str, timeframe: str, bars: Bars) -> int:
        """Add bars to a series in one transaction; a given bar replaces the stored bar of the same time.

        Bars that are stored already with the same values change nothing. A stored bar off the grid, such as one with
        the time of a quote, gives way to a bar less than a timeframe from it.

        Returns:
            How many bars were new or changed.

        Raises:
            InputError: If `timeframe` is not that of `bars`, or a bar lies less than a timeframe from a stored one.
            DamagedDataError: If a stored block is damaged.
        """
        series = _series_of(symbol, timeframe, bars)
        if len(bars) == 0:
            return 0
        with self.transaction(series) as transaction:
            return transaction.write(symbol, timeframe, bars).n_changed

    def revise(self, symbol: str, timeframe: str, bar: Bars, arrived: np.datetime64) -> bool:
        """Correct a bar that was taken in before, in one transaction; what it was is kept.

        Args:
            symbol: Symbol of the series.
            timeframe: Timeframe of the series.
            bar: The bar as it should have been; one bar. One of a time that has none is stored too.
            arrived: When the correction came.

        Returns:
            Whether it differs from the stored bar; if not, nothing changes.

        Raises:
            InputError: As `write` does.
            DamagedDataError: If the stored block is damaged.
        """
        with self.transaction(_series_of(symbol, timeframe, bar)) as transaction:
            return transaction.revise(symbol, timeframe, bar, arrived)

    def versions(self, symbol: str, timeframe: str) -> list[BarVersion]:
        """Return all versions of the bars that were corrected: first what each was, by time, then by arrival.

        To replay bars in order of arrival, take the stored ones with the first versions in their place (without those
        that have none), and the others when they arrived.
        """
        series = name_series(symbol, timeframe)
        with self.engine.connect() as connection:
            return read_versions(connection, series, find_series(connection, series))

    def replace(self, symbol: str, timeframe: str, bars: Bars) -> None:
        """Replace all stored bars of a series in one transaction.

        Raises:
            InputError: If `timeframe` is not that of `bars`.
        """
        with self.transaction(_series_of(symbol, timeframe, bars)) as transaction:
            transaction.replace(symbol, timeframe, bars)

    def load(self, symbol: str, timeframe: str, start: Time | None = None, end: Time | None = None) -> Bars:
        """Return the bars of a series that open in [`start`, `end`); only their blocks are read.

        Args:
            symbol: Symbol of the series.
            timeframe: Timeframe of the series.
            start: A time, or an ISO string; without an offset UTC; None for the first bar.
            end: Likewise; None for the last bar, that one included.

        Raises:
            InputError: If `symbol`, `timeframe`, `start` or `end` is invalid.
            NotStoredError: If the series is unknown, or no bar lies in the range.
            DamagedDataError: If a stored block is damaged.
        """
        with self.engine.connect() as connection:
            return _load(connection, name_series(symbol, timeframe), start, end)

    def delete(self, symbol: str, timeframe: str, start: Time | None = None, end: Time | None = None) -> int:
        """Delete the bars of a series that open in [`start`, `end`), in one transaction; return how many there were.

        Raises:
            InputError: As `load` does; nothing is deleted then.
            DamagedDataError: If a stored block is damaged.
        """
        series = name_series(symbol, timeframe)
        self.load(*series, start, end)  # refuses what is not stored; a lock would add the series
        with self.transaction(series) as transaction:
            gone = columns_of(transaction.load(*series, start, end)).time
            series_id = transaction.series_ids[series]
            blocks = read_blocks(transaction.connection, series, series_id, int(gone[0]), int(gone[-1]) + 1)
            kept = blocks.bars.take(~np.isin(blocks.bars.time, gone, assume_unique=True))
            replace_blocks(transaction.connection, series_id, blocks, kept, gone)
            table = schema.bar_revisions.c
            is_gone = (table.series_id == series_id) & table.open_time.between(int(gone[0]), int(gone[-1]))
            transaction.connection.execute(delete(schema.bar_revisions).where(is_gone))
        return len(gone)

    def compact(self) -> list[Compaction]:
        """Merge small blocks, such as those of single live bars, series by series; the bars stay the same.

        Raises:
            DamagedDataError: If a stored block is damaged.
        """
        return [compact_series(self.engine, series) for series in self.series()]

    def series(self) -> list[Series]:
        """Return the series that have bars, by symbol, then timeframe."""
        with self.engine.connect() as connection:
            return _series_with_bars(connection)


def _series_with_bars(connection: Connection) -> list[Series]:
    table, blocks = schema.series.c, schema.bar_blocks.c
    has_bars = select(blocks.series_id).where(blocks.series_id == table.id).exists()
    query = select(table.symbol, table.timeframe).where(has_bars).order_by(table.symbol, table.timeframe)
    return [Series(*row) for row in connection.execute(query)]


def _load(connection: Connection, series: Series, start: Time | None, end: Time | None) -> Bars:
    first = _FIRST if start is None else to_milliseconds("start", start)
    stop = _END if end is None else to_milliseconds("end", end)
    series_id = find_series(connection, series)
    if series_id is None:
        raise _unknown(connection, series)
    columns = read_blocks(connection, series, series_id, first, stop).bars
    columns = columns.take(slice(*np.searchsorted(columns.time, [first, stop])))
    if len(columns.time) > 0:
        return _bars_of(columns, series)
    span = stored_span(connection, series_id)
    if span is None:
        raise _unknown(connection, series)
    stored = f"{' '.join(series)}, stored from {span[0]} to {span[1]}"
    raise NotStoredError(f"`start` and `end` must hold bars of {stored}, got start {start} and end {end}.")


def _bars_of(columns: BarColumns, series: Series) -> Bars:
    try:
        return bars_of(columns, parse_timeframe(series.timeframe))
    except BarsError as error:
        raise DamagedDataError(f"The stored bars of {' '.join(series)} are damaged: {error}") from error


def _unknown(connection: Connection, series: Series) -> NotStoredError:
    names = ", ".join(" ".join(stored) for stored in _series_with_bars(connection)) or "none"
    return NotStoredError(f"`symbol` and `timeframe` must name stored bars ({names}), got {' '.join(series)}.")


def _series_of(symbol: str, timeframe: str, bars: Bars) -> Series:
    series = name_series(symbol, timeframe)
    if parse_timeframe(series.timeframe) != bars.timeframe:
        length = format_timeframe(bars.timeframe)
        raise InputError(f"`timeframe` must be that of the bars, {length}, got {timeframe!r}.")
    return series
