"""Follow a local exchange through its faults, and compare what came with its truth."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from local_exchange import SECOND, LocalExchange

from trendtrain.live.ccxt_source import CcxtSource
from trendtrain.market.bars import Bars, Series

Kline = list[Any]


def rows_of(bars: Bars) -> list[Kline]:
    columns = (bars.open_time.astype(np.int64), bars.open, bars.high, bars.low, bars.close, bars.volume)
    return [list(row) for row in zip(*(column.tolist() for column in columns), strict=True)]


class Followed:
    """A source that runs, and what it brought."""

    def __init__(self, exchange: LocalExchange, source: CcxtSource) -> None:
        self.exchange, self.source = exchange, source
        self.rows: dict[Series, list[Kline]] = {series: [] for series in source.series}
        self.revised: dict[Series, dict[int, Kline]] = {series: {} for series in source.series}

    def take(self) -> None:
        for series, bars in self.source.take(0.05).items():
            assert bars.close_time[-1].astype(np.int64) <= self.exchange.now()  # none before it closed
            self.rows[series] += rows_of(bars)
        for revision in self.source.revisions():
            (row,) = rows_of(revision.bar)
            if row != self.kept(revision.series).get(row[0]):
                self.revised[revision.series][row[0]] = row

    def kept(self, series: Series) -> dict[int, Kline]:
        """Return what a store would hold now."""
        return {row[0]: row for row in self.rows[series]} | self.revised[series]

    def until(self, is_reached: Callable[[], bool], seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not is_reached():
            assert time.monotonic() < end, "it did not come"
            self.take()

    def more(self, n_bars: int = 4, *without: str) -> None:
        """Wait until every series has brought bars that closed from now on."""
        newest = self.exchange.now() // SECOND * SECOND + (n_bars - 1) * SECOND
        some = [series for series in self.rows if series.symbol not in without]
        self.until(lambda: all(self.rows[one] and self.rows[one][-1][0] >= newest for one in some))

    def check(self, first: int | None = None) -> None:
        """Compare everything with the truth: each bar once, in order, with its last values."""
        for series, rows in self.rows.items():
            times = [row[0] for row in rows]
            assert times == sorted(set(times))
            if first is not None:
                assert times[0] == first
            kept = self.kept(series)
            truth = self.exchange.truth(series.symbol, times[0], times[-1])
            assert [kept[time] for time in sorted(kept) if time >= times[0]] == truth


@contextmanager
def followed(exchange: LocalExchange, after: dict[Series, Any] | None = None, **options: Any) -> Iterator[Followed]:
    """Start a source with short times, and end it."""
    fast = {"grace": 0.2, "reconcile": 100.0, "recycle": 100.0, "max_skew": 1e9, "keep_alive": 60.0, "history": 20}
    settings = {**exchange.settings(), **options.pop("settings", {})}
    symbols = options.pop("symbols", exchange.symbols)
    source = CcxtSource("binance", symbols, ["1s"], **{**fast, **options}, settings=settings)
    source.start(after or {})
    try:
        yield Followed(exchange, source)
    finally:
        source.close()
