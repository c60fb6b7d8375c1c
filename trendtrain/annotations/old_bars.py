"""Read the bars that an annotation in the old form embeds."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from trendtrain.errors import InputError
from trendtrain.importing.table import read_numbers
from trendtrain.importing.times import read_iso
from trendtrain.market.bars import PRICES, Bars, BarsError
from trendtrain.market.timeframe import format_timeframe, normalize_timeframe, parse_timeframe

BARS_KEY: Final = "ohlcv_"
COLUMNS: Final = ("timestamps", *PRICES, "volume")
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
            except UnicodeEncodeError as error:  # half of a surrogate pair, which JSON can spell
                raise InputError(f"`{name}.{key}` must hold text, got {error.object!r:.60}.") from error
            except InputError as error:
                raise InputError(f"`{name}.{key}`: {error}") from error
            if len(bars):
                yield timeframe, bars


def _read_bars(block: object, timeframe: np.timedelta64) -> Bars:
    columns = _read_columns(block)
    times, _ = read_iso(columns["timestamps"], columns["timestamps"])
    first, high, low, last = (read_numbers(columns[name]) for name in PRICES)
    has_volume = "volume" in columns
    volume = read_numbers(columns["volume"], may_be_missing=True) if has_volume else np.full(len(times), np.nan)
    bars = Bars(times, first, high, low, last, volume, timeframe)
    if len(bars) >= _FEWEST_TO_TELL and (np.diff(times) > timeframe).all():
        step = np.diff(times).min()
        raise InputError(f"bars must lie {format_timeframe(timeframe)} apart, got {step.astype('timedelta64[s]')}.")
    return bars


def _read_columns(block: object) -> dict[str, pd.Series]:
    """Return the arrays of embedded bars, all of one length; the volume may be missing."""
    if not isinstance(block, dict):
        raise InputError(f"embedded bars must be an object with arrays, got {block!r:.60}.")
    columns = {}
    for name in COLUMNS:
        array = block.get(name)
        if name == "volume" and array is None:
            continue
        if not isinstance(array, list):
            raise InputError(f"`{name}` must be an array, got {array!r:.60}.")
        columns[name] = pd.Series(list(map(str, array)) if name == "timestamps" else array, name=name)
    if len(set(map(len, columns.values()))) > 1:
        lengths = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise InputError(f"arrays of bars must have one length, got {lengths}.")
    return columns
