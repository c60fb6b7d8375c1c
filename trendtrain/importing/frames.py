"""Bars of a pandas DataFrame, and back."""

from pathlib import Path

import pandas as pd

from trendtrain.errors import InputError
from trendtrain.importing.files import read_rows
from trendtrain.importing.layouts import choose_layout
from trendtrain.importing.raw_bars import ReadOptions
from trendtrain.importing.readers import with_index
from trendtrain.importing.table import Table
from trendtrain.market.bars import PRICES, Bars, BarsError


def bars_of(frame: pd.DataFrame, timeframe: str | None = None, timezone: str | None = None) -> Bars:
    """Return the bars of a DataFrame: see `Bars.from_dataframe`.

    Example:
        >>> time = pd.date_range("2024-01-01", periods=3, freq="h", tz="UTC")
        >>> frame = pd.DataFrame({"Open": 1.0, "High": 2.0, "Low": 1.0, "Close": 2.0}, index=time)
        >>> Bars.from_dataframe(frame).close_time[-1]
        np.datetime64('2024-01-01T03:00:00.000')
    """
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"`frame` must be a pandas DataFrame, got {type(frame).__name__}.")
    options = ReadOptions(timeframe=timeframe, layout="generic", timezone=timezone)
    table = Table(Path("frame"), "frame", with_index(frame))
    try:
        _, bars, findings = read_rows(table, choose_layout(table, "generic"), options, None)
        if findings.first_fault is not None:
            raise findings.first_fault
    except BarsError as error:
        message = error.located("`frame`", "data row").replace("`--timeframe", "`timeframe")
        raise InputError(message.replace("a file must", "it must")) from error
    return bars


def frame_of(bars: Bars) -> pd.DataFrame:
    """Return bars as a DataFrame: see `Bars.to_dataframe`.

    Example:
        >>> from trendtrain.market import random_walk
        >>> frame_of(random_walk(2, seed=0)).columns.tolist()
        ['open', 'high', 'low', 'close', 'volume']
    """
    index = pd.DatetimeIndex(bars.open_time, tz="UTC", name="open_time")
    return pd.DataFrame({name: getattr(bars, name) for name in (*PRICES, "volume")}, index=index)
