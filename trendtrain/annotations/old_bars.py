"""Read the bars that an annotation in the old form embeds."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from trendtrain.errors import InputError
from trendtrain.importing.table import read_numbers
from trendtrain.market.bars import PRICES, Bars, BarsError, FloatArray, TimeArray
from trendtrain.market.timeframe import format_timeframe, normalize_timeframe, parse_timeframe

BARS_KEY: Final = "ohlcv_"
COLUMNS: Final = ("timestamps", *PRICES, "volume")
_DATE: Final = r"\d{4}-\d\d-\d\d"
_FEWEST_TO_TELL: Final = 3  # two bars may well lie on both sides of a weekend


def read_state(name: str, state: Mapping[str, Any]) -> Iterator[tuple[str, Bars]]:
    """Yield timeframe and bars of each `ohlcv_<timeframe>` of a state that holds any.

    Args:
        name: What the state is called, for error messages.
        state: Its fields; each `ohlcv_<timeframe>` holds `timestamps, open, high, low, close, volume`, arrays of one
            length.

    Raises:
        InputError: If a timeframe is none, or its bars break a rule; it names the array's item, from 1.
    """
    for key, block in state.items():
        if key.startswith(BARS_KEY) and block:
            try:
                timeframe = normalize_timeframe(key.removeprefix(BARS_KEY))
                bars = _read_bars(block, parse_timeframe(timeframe))
            except BarsError as error:
                raise InputError(error.located(f"`{name}.{key}`", "item")) from error
            except InputError as error:
                raise InputError(f"`{name}.{key}`: {error}") from error
            if len(bars):
                yield timeframe, bars


def _read_bars(block: object, timeframe: np.timedelta64) -> Bars:
    columns = _read_columns(block)
    times = _read_times(columns["timestamps"])
    first, high, low, last = (read_numbers(_column(name, columns[name])) for name in PRICES)
    bars = Bars(times, first, high, low, last, _read_volume(columns), timeframe)
    if len(bars) >= _FEWEST_TO_TELL and (np.diff(times) > timeframe).all():
        step = np.diff(times).min()
        raise InputError(f"bars must lie {format_timeframe(timeframe)} apart, got {step.astype('timedelta64[s]')}.")
    return bars


def _read_times(texts: list[Any]) -> TimeArray:
    """Return times, `datetime64[ms]`; without an offset they are UTC."""
    column = _column("timestamps", texts)
    times = pd.to_datetime(column.where(column.str.match(_DATE, na=False)), format="ISO8601", utc=True, errors="coerce")
    is_bad = times.isna().to_numpy()
    if is_bad.any():
        row = int(np.argmax(is_bad))
        raise BarsError(f"`timestamps` must be ISO times such as 2024-01-31 12:00:00, got {texts[row]!r}.", row)
    return times.dt.tz_localize(None).to_numpy(dtype="datetime64[ms]")


def _column(name: str, values: list[Any]) -> pd.Series:
    return pd.Series(values, name=name)


def _read_columns(block: object) -> dict[str, list[Any]]:
    """Return the arrays of embedded bars, all of one length; the volume may be missing."""
    if not isinstance(block, dict):
        raise InputError(f"embedded bars must be an object with arrays, got {block!r:.60}.")
    columns = {name: block.get(name) for name in COLUMNS if name != "volume" or block.get(name) is not None}
    arrays = {name: column for name, column in columns.items() if isinstance(column, list)}
    for name in columns:
        if name not in arrays:
            raise InputError(f"`{name}` must be an array, got {columns[name]!r:.60}.")
    if len({len(column) for column in arrays.values()}) > 1:
        lengths = ", ".join(f"{name} {len(column)}" for name, column in arrays.items())
        raise InputError(f"arrays of bars must have one length, got {lengths}.")
    return arrays


def _read_volume(columns: Mapping[str, list[Any]]) -> FloatArray:
    if "volume" not in columns:
        return np.full(len(columns["open"]), np.nan)
    return read_numbers(_column("volume", columns["volume"]), may_be_missing=True)
