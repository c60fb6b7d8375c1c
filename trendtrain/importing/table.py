"""What a file holds: a table as it stands, its columns by name, and their values."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from trendtrain.market.bars import PRICES, BarsError, BoolArray, FloatArray

_DATES: Final = ("date", "trade_date", "day")
# In order of preference: an explicit open time first; dates late, which may be half of a `date` and `time` pair.
TIMES: Final = (
    *("open_time", "opentime", "timestamp", "timestamp_utc", "datetime", "datetime_utc", "gmt_time", "utc_time"),
    *("ts", "t", "time", "time_utc", "date_utc", *_DATES, "unix", "unnamed_index"),
)
REQUIRED: Final = ("time", *PRICES)
SYMBOLS: Final = ("symbol", "ticker", "pair")
_NAMES: Final = {
    "time": TIMES,
    **{name: (name, name[0]) for name in PRICES},
    "volume": ("volume", "vol", "v", "volumefrom", "volume_from", "real_volume"),
    "symbol": SYMBOLS,
}
_SHOWN: Final = 12
_MOST_CLOCK: Final = 235_959  # as HHMMSS


@dataclass(frozen=True, eq=False)
class Table:
    """The rows and columns of a file, nothing renamed or converted.

    Attributes:
        path: The file.
        name: The name that tells about the bars: that of the file, or of the one file in a zip.
        rows: Its rows; columns are numbered from 0 where the file names none.
        banner: The line above the header, empty where there is none.
    """

    path: Path
    name: str
    rows: pd.DataFrame
    banner: str = ""

    @property
    def has_names(self) -> bool:
        """Whether the columns have names."""
        return not isinstance(self.rows.columns, pd.RangeIndex)

    @property
    def names(self) -> frozenset[str]:
        """The names of the columns, as `plain_name` writes them; none where the file has none."""
        return frozenset(map(plain_name, self.rows.columns)) if self.has_names else frozenset()

    @property
    def n_columns(self) -> int:
        """How many columns there are."""
        return len(self.rows.columns)

    def is_nameless(self, n_columns: int) -> bool:
        """Return whether the table has rows of that many columns without names."""
        return not self.has_names and self.n_columns == n_columns and len(self.rows) > 0

    def take(self, *numbers: int) -> list[pd.Series]:
        """Return columns by number, from 0.

        Raises:
            BarsError: If there are fewer, or no rows.
        """
        if self.n_columns <= max(numbers):
            raise BarsError(f"this layout must have at least {max(numbers) + 1} columns, got {self.n_columns}.")
        self.check_rows("bars")
        return [self.rows.iloc[:, number] for number in numbers]

    def column(self, *names: str) -> pd.Series | None:
        """Return the column with the first of `names` that is there, None where none is.

        Raises:
            BarsError: If two columns have that name.
        """
        spelled = defaultdict(list)
        for name in self.rows.columns if self.has_names else ():
            spelled[plain_name(name)].append(name)
        found = next((spelled[name] for name in names if name in spelled), None)
        if found and len(found) > 1:
            raise BarsError(f"a column must come once, got {', '.join(map(repr, found))}.")
        return self.rows[found[0]] if found else None

    def missing_columns(self) -> list[str]:
        """Return which of the columns that bars must have are missing.

        Raises:
            BarsError: If two columns have one of their names.
        """
        return [role for role in REQUIRED if self.column(*_NAMES[role]) is None]

    def bar_columns(self) -> dict[str, pd.Series]:
        """Return the columns `time`, `open`, `high`, `low`, `close`, and where present `volume` and `symbol`.

        A `date` column is joined with clock times beside it, in a `time` or an `hour` column.

        Raises:
            BarsError: If a needed column is missing, two columns have the same name, or there are no rows.

        Example:
            >>> rows = pd.DataFrame({" Close ": [1.0], "O": 1.0, "High": 1.0, "LOW": 1.0, "Date": "2024-01-01"})
            >>> sorted(Table(Path("A.csv"), "A.csv", rows).bar_columns())
            ['close', 'high', 'low', 'open', 'time']
        """
        found = {role: column for role, names in _NAMES.items() if (column := self.column(*names)) is not None}
        if missing := self.missing_columns():
            rule = f"columns must include {', '.join(REQUIRED)} (a time is called timestamp, open_time, date or alike)"
            raise BarsError(f"{rule}; missing {', '.join(missing)}, found {self.describe_columns()}.")
        self.check_rows("bars")
        return {**found, "time": _join_clock(found["time"], self.column(*_DATES), self.column("hour"))}

    def check_rows(self, what: str) -> None:
        """Refuse a table without rows of `what`.

        Raises:
            BarsError: If there is none.
        """
        if len(self.rows) == 0:
            raise BarsError(f"a file must hold {what}, got a header without rows.")

    def describe_columns(self) -> str:
        """Return which columns there are, for an error message."""
        if not self.has_names:
            return f"{self.n_columns} columns without names" if self.n_columns else "none"
        return ", ".join(str(name).strip() for name in self.rows.columns[:_SHOWN])


def plain_name(name: object) -> str:
    """Return a column's name in lower case, without brackets, its words joined by `_`.

    Example:
        >>> plain_name(" <Open Time>")
        'open_time'
    """
    return str(name).strip().strip("<>").lower().replace(" ", "_")


def read_numbers(column: pd.Series, may_be_missing: bool | BoolArray = False) -> FloatArray:
    """Return a column as float64, shape (n_rows,); NaN where there is no value.

    Args:
        column: Numbers, or strings that spell numbers.
        may_be_missing: Whether a row may be without a value; for all rows, or for each, shape (n_rows,).

    Raises:
        BarsError: If a value is no number.
    """
    is_bool = pd.api.types.is_bool_dtype(column.dtype)
    text = column.astype(str) if is_bool or column.dtype == object else column
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    check_values(column, np.isnan(numbers) & ~(column.isna().to_numpy() & may_be_missing), "be a number")
    return numbers


def read_symbol(column: pd.Series | None) -> str | None:
    """Return the one symbol of a column; None where there is no column, or no value in it.

    Raises:
        BarsError: If it holds more than one.
    """
    if column is None or column.isna().all():
        return None
    names = column.map(str).str.strip()
    is_other = (names != names.iloc[0]).to_numpy()
    if is_other.any():
        row = int(np.argmax(is_other))
        raise BarsError(f"`{column.name}` must hold one symbol, got {names.iloc[0]} and {names.iloc[row]}.", row)
    return str(names.iloc[0])


def check_values(column: pd.Series, is_bad: BoolArray, rule: str) -> None:
    """Refuse a column with bad values.

    Raises:
        BarsError: If there is one; it states the rule, and the first bad value and its row.
    """
    if is_bad.any():
        row = int(np.argmax(is_bad))
        raise BarsError(f"`{column.name}` must {rule}, got {column.iloc[row]}.", row)


def _join_clock(time: pd.Series, date: pd.Series | None, hour: pd.Series | None) -> pd.Series:
    """Return dates joined with the clock times beside them; the time as it is where there are none."""
    if date is None or plain_name(time.name) not in ("time", *_DATES):
        return time
    beside = time if plain_name(time.name) == "time" else hour
    clock = None if beside is None else _clock(beside, is_one_day=bool((date == date.iloc[0]).all()))
    days = date.map(str).str.strip().str.removesuffix(" 00:00:00")
    if beside is None or clock is None or (beside is hour and ":" in days.iloc[0]):
        return time
    both: pd.Series = days + " " + clock
    return both.rename(f"{date.name} {beside.name}".strip())


def _clock(column: pd.Series, is_one_day: bool) -> pd.Series | None:
    """Return clock times as `09:30` or `09:30:00`: written so, as hours, HHMM or HHMMSS; None if they are none."""
    text = column.map(str).str.strip()
    if ":" in text.iloc[0]:
        is_clock = text.str.match(r"\d{1,2}:\d\d").iloc[0]
        return text.str.replace(r"^(?=\d:)", "0", regex=True) if is_clock else None
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
    if plain_name(column.name) == "hour":
        check_values(column, ~np.isin(numbers, np.arange(24)), "be an hour from 0 to 23")
        return pd.Series(numbers, column.index).map("{:02.0f}:00".format)
    largest = numbers.max()
    if not (largest <= _MOST_CLOCK and (numbers % 1 == 0).all()):
        return None
    is_either = 0 < largest < 6_000 and is_one_day and not (numbers % 100).any()
    check_values(column, np.full(len(numbers), is_either), "show whether it is HHMM or HHMMSS, as 09:30 does")
    n_digits = 6 if largest >= 10_000 else 4
    digits = pd.Series(numbers, column.index).map(f"{{:0{n_digits}.0f}}".format)
    return digits.str.replace(r"(\d\d)(?=\d)", r"\1:", regex=True)
