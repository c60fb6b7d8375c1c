"""What a layout reads from a file: bars not yet put in order or checked."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from trendtrain.errors import InputError
from trendtrain.market.bars import FloatArray, TimeArray


@dataclass(frozen=True)
class ReadOptions:
    """What a user says about files; None where each file tells.

    Attributes:
        symbol: Symbol of their bars.
        timeframe: Timeframe of their bars, such as 5m.
        layout: Name of their layout, as `layouts.NAMES` lists them.
        timezone: Time zone of times written without one, such as EET or America/New_York.
    """

    symbol: str | None = None
    timeframe: str | None = None
    layout: str | None = None
    timezone: str | None = None


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


def check_timezone(timezone: str | None) -> None:
    """Refuse a time zone that does not exist.

    Raises:
        InputError: If `timezone` names none.
    """
    try:
        if timezone is not None:
            ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        rule = "name a time zone, such as UTC, EET or America/New_York"
        raise InputError(f"`timezone` must {rule}, got {timezone!r}.") from error
