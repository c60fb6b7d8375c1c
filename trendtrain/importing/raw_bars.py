"""What a layout reads from a file: bars not yet put in order or checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from trendtrain.importing.table import read_numbers
from trendtrain.importing.times import Times, check_timezone
from trendtrain.market.bars import PRICES, Bars, FloatArray, TimeArray
from trendtrain.market.timeframe import parse_timeframe

VALUES = (*PRICES, "volume")


@dataclass(frozen=True)
class ReadOptions:
    """What a user says about files; None where each file tells.

    Attributes:
        symbol: Symbol of their bars.
        timeframe: Timeframe of their bars, such as 5m.
        layout: Name of their layout, as `layouts.NAMES` lists them.
        timezone: Time zone of times written without one, such as EET or America/New_York.

    Raises:
        InputError: If the timeframe or the time zone is none.
    """

    symbol: str | None = None
    timeframe: str | None = None
    layout: str | None = None
    timezone: str | None = None

    def __post_init__(self) -> None:
        _ = self.bar_length
        check_timezone(self.timezone)

    @property
    def bar_length(self) -> np.timedelta64 | None:
        """The timeframe, `timedelta64[ms]`."""
        return None if self.timeframe is None else parse_timeframe(self.timeframe)


@dataclass(frozen=True, eq=False)
class RawBars:
    """The rows of a file, in its order.

    Attributes:
        open_time: `datetime64[ms]` UTC, shape (n_rows,).
        open, high, low, close: float64 prices.
        volume: float64; NaN where none is supplied.
        symbol: What the layout knows it to be; None to go by the name of the file.
        symbol_column: What a column says, for a file whose name says nothing.
        timeframe: What the layout says; None to tell it from the times.
        time_rule: How the times became UTC, for the report.
        volume_rule: What the volume counts, for the report; empty where it is the volume column.
    """

    open_time: TimeArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    time_rule: str
    symbol: str | None = None
    symbol_column: str | None = None
    timeframe: np.timedelta64 | None = None
    volume_rule: str = ""

    @property
    def values(self) -> tuple[FloatArray, ...]:
        """Open, high, low, close and volume."""
        return (self.open, self.high, self.low, self.close, self.volume)

    def as_bars(self, timeframe: np.timedelta64) -> Bars:
        """Return the rows as checked bars.

        Raises:
            BarsError: If they break a rule of `Bars`.
        """
        return Bars(self.open_time, self.open, self.high, self.low, self.close, self.volume, timeframe)


def read_raw_bars(times: Times, columns: Mapping[str, pd.Series], **more: Any) -> RawBars:
    """Return raw bars of the columns `open`, `high`, `low`, `close` and where present `volume`.

    A row without any of the four prices has NaN for them.

    Args:
        times: When each row opens.
        columns: Prices and volumes as the file writes them; others are left alone.
        more: Further fields of `RawBars`.

    Raises:
        BarsError: If a value is no number.
    """
    is_empty = np.logical_and.reduce([columns[name].isna().to_numpy() for name in PRICES])
    first, high, low, last = (read_numbers(columns[name], is_empty) for name in PRICES)
    has_volume = "volume" in columns
    volume = read_numbers(columns["volume"], may_be_missing=True) if has_volume else np.full(len(first), np.nan)
    return RawBars(times.utc, first, high, low, last, volume, times.rule, **more)
