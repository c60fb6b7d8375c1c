"""Find the columns of bars in a table, whatever their order and case."""

import re
from collections import defaultdict
from typing import Final

import numpy as np
import pandas as pd

from trendtrain.importing.source import Source, plain_name
from trendtrain.market.bars import PRICES, BarsError, FloatArray

# In order of preference: an explicit open time first; `date` late, which may be half of a `date` and `time` pair.
TIMES: Final = ("open_time", "opentime", "timestamp", "datetime", "ts", "time", "date", "unix", "unnamed_index")
_NAMES: Final = {
    "time": TIMES,
    **{name: (name, name[0]) for name in PRICES},
    "volume": ("volume", "vol", "v", "volumefrom", "volume_from", "real_volume"),
    "symbol": ("symbol", "ticker", "pair"),
}
_CLOCK: Final = re.compile(r"\d{1,2}:\d\d")
REQUIRED: Final = ("time", *PRICES)


def find_columns(source: Source) -> dict[str, pd.Series]:
    """Return the columns `time`, `open`, `high`, `low`, `close`, and where present `volume` and `symbol`.

    A `date` column beside a `time` column of clock times is joined with it.

    Raises:
        BarsError: If a needed column is missing, two columns have the same name, or there are no rows.

    Example:
        >>> from pathlib import Path
        >>> table = pd.DataFrame({" Close ": [1.0], "O": 1.0, "High": 1.0, "LOW": 1.0, "Date": "2024-01-01"})
        >>> sorted(find_columns(Source(Path("A.csv"), "A.csv", table)))
        ['close', 'high', 'low', 'open', 'time']
    """
    found = {job: column for job, names in _NAMES.items() if (column := find_column(source, *names)) is not None}
    _check_complete(source)
    found["time"] = _join_clock(source, found["time"])
    return {job: column for job, column in found.items() if job != "symbol" or column.notna().any()}


def find_column(source: Source, *names: str) -> pd.Series | None:
    """Return the column with the first of `names` that is there, None where none is.

    Raises:
        BarsError: If two columns have that name.
    """
    spelled = defaultdict(list)
    for name in source.table.columns if source.has_names else ():
        spelled[plain_name(name)].append(name)
    present = [name for name in names if name in spelled]
    return source.table[_only(spelled[present[0]])] if present else None


def missing_columns(source: Source) -> list[str]:
    """Return which of the columns that bars must have a file lacks.

    Raises:
        BarsError: If two columns have one of their names.
    """
    return [job for job in REQUIRED if find_column(source, *_NAMES[job]) is None]


def _join_clock(source: Source, times: pd.Series) -> pd.Series:
    date = find_column(source, "date")
    is_clock = date is not None and plain_name(times.name) == "time" and _CLOCK.match(str(times.iloc[0]).strip())
    if date is None or not is_clock:
        return times
    both: pd.Series = date.map(str).str.strip() + " " + times.map(str).str.strip()
    return both.rename(f"{date.name} {times.name}".strip())


def read_numbers(column: pd.Series, may_be_missing: bool = False) -> FloatArray:
    """Return a column as float64, shape (n_rows,); NaN where there is no value.

    Args:
        column: Numbers, or strings that spell numbers.
        may_be_missing: Whether a row may be without a value.

    Raises:
        BarsError: If a value is no number.
    """
    is_bool = pd.api.types.is_bool_dtype(column.dtype)
    text = column.astype(str) if is_bool or column.dtype == object else column
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    is_bad = np.isnan(numbers) & ~(column.isna().to_numpy() & may_be_missing)
    if is_bad.any():
        row = int(np.argmax(is_bad))
        raise BarsError(f"`{column.name}` must be a number, got {column.iloc[row]}.", row)
    return numbers


def only_symbol(column: pd.Series) -> str:
    """Return the one symbol of a column.

    Raises:
        BarsError: If it holds more than one.
    """
    names = column.map(str).str.strip()
    is_other = (names != names.iloc[0]).to_numpy()
    if is_other.any():
        row = int(np.argmax(is_other))
        raise BarsError(f"`{column.name}` must hold one symbol, got {names.iloc[0]} and {names.iloc[row]}.", row)
    return str(names.iloc[0])


def _only(names: list[str]) -> str:
    if len(names) > 1:
        raise BarsError(f"a column must come once, got {', '.join(map(repr, names))}.")
    return names[0]


def _check_complete(source: Source) -> None:
    if missing := missing_columns(source):
        rule = f"columns must include {', '.join(REQUIRED)} (a time is one of {', '.join(TIMES[:-1])})"
        raise BarsError(f"{rule}; missing {', '.join(missing)}, found {source.shown_names()}.")
    if len(source.table) == 0:
        raise BarsError("a file must hold bars, got a header without rows.")
