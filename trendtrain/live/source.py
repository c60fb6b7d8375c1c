"""What brings the closed bars of some series: an exchange, growing files, a database, or stored bars again."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from trendtrain.errors import InputError
from trendtrain.market.bars import Bars, Series, name_series


class Revision(NamedTuple):
    """A bar that was corrected after it had been taken in.

    Attributes:
        series: Whose bar.
        bar: As it is now, one bar.
        arrived: When the correction came, `datetime64[ms]`.
    """

    series: Series
    bar: Bars
    arrived: np.datetime64


def name_all(symbols: str | Sequence[str], timeframes: str | Sequence[str]) -> tuple[Series, ...]:
    """Return the series of each symbol at each timeframe.

    Raises:
        InputError: If there are none, one comes twice, or a name is invalid.

    Example:
        >>> name_all("BTCUSDT", ["1m", "60m"])
        (Series(symbol='BTCUSDT', timeframe='1m'), Series(symbol='BTCUSDT', timeframe='1h'))
    """
    symbols, timeframes = ([one] if isinstance(one, str) else list(one) for one in (symbols, timeframes))
    series = tuple(name_series(symbol, timeframe) for symbol in symbols for timeframe in timeframes)
    if not series or len(set(series)) < len(series):
        raise InputError(f"`symbols` and `timeframes` must name each series once, got {symbols} and {timeframes}.")
    return series


class BarSource(Protocol):
    """Brings the closed bars of some series: each once, and in order within its series.

    Attributes:
        series: The series there are.
    """

    series: tuple[Series, ...]

    def start(self, after: Mapping[Series, np.datetime64 | None]) -> None:
        """Begin to bring bars: first what is missing, then what closes. A second call begins anew.

        Args:
            after: By series, the open time of the newest bar that is there already; None: from where the source begins.
        """

    def take(self, timeout: float) -> dict[Series, Bars]:
        """Return what has closed since the last call; {} where nothing comes within `timeout` seconds."""

    def revisions(self) -> list[Revision]:
        """Return the corrections that came since the last call."""

    def clock(self) -> np.datetime64:
        """Return what time it is in the market, `datetime64[ms]`: the exchange's where the source knows it."""

    @property
    def has_bars(self) -> bool:
        """Whether `take` would return at once. Any thread may ask, often: training asks between two batches."""

    @property
    def is_done(self) -> bool:
        """Whether no bar will ever come (stored bars that ended); a source that is live never says so."""

    def close(self) -> None:
        """End threads, sockets and timers; a second call does nothing."""
