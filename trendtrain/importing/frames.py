"""Bars of a table in memory."""

from pathlib import Path

import pandas as pd

from trendtrain.errors import InputError
from trendtrain.importing.files import bars_of_rows
from trendtrain.importing.layouts import choose_layout
from trendtrain.importing.raw_bars import ReadOptions
from trendtrain.importing.readers import with_index
from trendtrain.importing.table import Table
from trendtrain.importing.zones import check_timezone
from trendtrain.market.bars import Bars, BarsError
from trendtrain.market.timeframe import parse_timeframe


def bars_of(frame: pd.DataFrame, timeframe: str | None = None, timezone: str | None = None) -> Bars:
    """Return the bars of a DataFrame, of which nothing has to be left out.

    Rows the newest first are reversed, and rows that come twice with the same values count once.

    Args:
        frame: Columns `open`, `high`, `low`, `close` (or `o`, `h`, `l`, `c`), `volume` if there is any, and when each
            bar opens: the index, or a column such as `time`, `timestamp`, `open_time` or `date`. Case does not matter.
        timeframe: Such as 5m; None to take the smallest difference of the times.
        timezone: The zone of times without one; None for UTC.

    Raises:
        InputError: If a column is missing or the bars break a rule; in one line, with the data row (from 1).

    Example:
        >>> time = pd.date_range("2024-01-01", periods=3, freq="h", tz="UTC")
        >>> bars = bars_of(pd.DataFrame({"Open": 1.0, "High": 2.0, "Low": 1.0, "Close": 2.0}, index=time))
        >>> bars.close_time[-1]
        np.datetime64('2024-01-01T03:00:00.000')
    """
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"`frame` must be a pandas DataFrame, got {type(frame).__name__}.")
    given = None if timeframe is None else parse_timeframe(timeframe)
    check_timezone(timezone)
    table = Table(Path("frame"), "frame", with_index(frame))
    layout = choose_layout(table, "generic")
    try:
        _, bars, findings = bars_of_rows(layout.read(table, ReadOptions(timezone=timezone)), layout, None, given)
        if findings.first_fault is not None:
            raise findings.first_fault
    except BarsError as error:
        message = error.located("`frame`", "data row").replace("`--timeframe", "`timeframe")
        raise InputError(message.replace("a file must", "it must")) from error
    return bars
