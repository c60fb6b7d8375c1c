"""OHLCV bars of one series as equal-length arrays, checked once."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trendtrain.errors import InputError
from trendtrain.market.timeframe import format_timeframe, parse_timeframe, shortest_step

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.integer[Any]]
BoolArray = npt.NDArray[np.bool_]
TimeArray = npt.NDArray[np.datetime64]
AnyArray = npt.NDArray[Any]

PRICES = ("open", "high", "low", "close")

_AT_ONCE = 65_536  # bars checked while they are in the cache


class Series(NamedTuple):
    """The name of a series: a symbol and a timeframe written as `5m`."""

    symbol: str
    timeframe: str


def name_series(symbol: str, timeframe: str) -> Series:
    """Return the series of a symbol and a timeframe, the latter in its one usual form.

    Raises:
        InputError: If `symbol` is blank or padded, or `timeframe` is none.

    Example:
        >>> name_series("BTCUSDT", "60m")
        Series(symbol='BTCUSDT', timeframe='1h')
    """
    if not symbol.strip() or symbol != symbol.strip():
        raise InputError(f"`symbol` must be a name without spaces around it, got {symbol!r}.")
    return Series(symbol, format_timeframe(parse_timeframe(timeframe)))


class BarsError(InputError):
    """Bars that break a rule; `row` is the position of the first offender, None where the rule is about all."""

    def __init__(self, message: str, row: int | None = None) -> None:
        super().__init__(message)
        self.row = row

    def located(self, place: object, unit: str = "row") -> str:
        """Return the message after the place of the bars, and the row counted from 1.

        Example:
            >>> BarsError("`high` must be finite at row 4.", 4).located("A.csv", "data row")
            'A.csv, data row 5: `high` must be finite.'
        """
        if self.row is None:
            return f"{place}: {self}"
        message = str(self).removesuffix(f" at row {self.row}.").removesuffix(".")
        return f"{place}, {unit} {self.row + 1}: {message}."


@dataclass(frozen=True, eq=False)
class Bars:
    """OHLCV bars in time order. A bar is stored by its open time and known at its close, open + timeframe.

    The arrays are copies, and read-only: no function that gets bars can change those of its caller.

    Attributes:
        open_time: `datetime64[ms]`, UTC, strictly increasing, at least one timeframe apart, shape (n_bars,);
            a clock change or a calendar may cut one, see `shortest_step`.
        open, high, low, close: float64 prices, finite and positive, low <= open, close <= high.
        volume: float64, at least 0; NaN where the source supplies none.
        timeframe: `timedelta64[ms]`, the length of a bar; it may be given as text such as `1h`.

    Raises:
        BarsError: If a rule above is broken; it names the column, the row, the rule and the value.

    Example:
        >>> price = np.array([1.0, 2.0])
        >>> bars = Bars(np.array(["2024-01-01T00:00", "2024-01-01T00:01"]), price, price, price, price, price,
        ...     "1m")
        >>> bars.close_time[-1]
        np.datetime64('2024-01-01T00:02:00.000')
    """

    open_time: TimeArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    timeframe: np.timedelta64

    def __post_init__(self) -> None:
        object.__setattr__(self, "timeframe", _length_of(self.timeframe))
        object.__setattr__(self, "open_time", np.array(self.open_time, "datetime64[ms]", order="C"))
        for name in (*PRICES, "volume"):
            object.__setattr__(self, name, np.array(getattr(self, name), np.float64, order="C"))
        make_read_only(self)
        format_timeframe(self.timeframe)
        _check_shapes(self)
        _check_times(self.open_time, self.timeframe)
        _check_prices(self)

    def __len__(self) -> int:
        return len(self.open_time)

    def __getitem__(self, part: slice) -> "Bars":
        """Return the bars of a slice."""
        if part.step is not None and part.step < 0:
            raise BarsError(f"`bars` must keep their order: a slice's step must be positive, got {part.step}.")
        bars = object.__new__(Bars)  # what was checked once needs no second check: that would cost a live bar 26 us
        for name in ("open_time", *PRICES, "volume"):
            object.__setattr__(bars, name, getattr(self, name)[part])
        object.__setattr__(bars, "timeframe", self.timeframe)
        return bars

    @classmethod
    def from_dataframe(cls, frame: "pd.DataFrame", timeframe: str | None = None, timezone: str | None = None) -> "Bars":
        """Return the bars of a pandas DataFrame, of which nothing has to be left out.

        Rows the newest first are reversed, and rows that come twice with the same values count once.

        Args:
            frame: Columns `open`, `high`, `low`, `close` (or `o`, `h`, `l`, `c`), `volume` if there is any, and when
                each bar opens: the index, or a column such as `time`, `timestamp`, `open_time` or `date`. Case does
                not matter.
            timeframe: Such as `1h`; None to take the smallest difference of the times.
            timezone: The zone of times without one; None for UTC.

        Raises:
            InputError: If a column is missing or the bars break a rule; in one line, with the data row (from 1).
        """
        from trendtrain.importing.frames import bars_of  # the one import upwards: who has no bars yet looks here

        return bars_of(frame, timeframe, timezone)

    def to_dataframe(self) -> "pd.DataFrame":
        """Return a pandas DataFrame: the index `open_time` (UTC), columns `open`, `high`, `low`, `close`, `volume`."""
        from trendtrain.importing.frames import frame_of

        return frame_of(self)

    @property
    def close_time(self) -> TimeArray:
        """The time at which each bar is known, `datetime64[ms]` UTC, shape (n_bars,)."""
        return self.open_time + self.timeframe


def check_bars(bars: object) -> None:
    """Raise an `InputError` that says how to make bars, unless `bars` are some."""
    if not isinstance(bars, Bars):
        raise InputError(f"`bars` must be Bars (Bars.from_dataframe makes them), got {type(bars).__name__}.")


def join_bars(bars: Bars, *later: Bars) -> Bars:
    """Return the bars of a series and those that follow them as one.

    Raises:
        BarsError: If `later` does not follow `bars`.
    """
    if not later:
        return bars
    names = ("open_time", *PRICES, "volume")
    columns = {name: np.concatenate([getattr(part, name) for part in (bars, *later)]) for name in names}
    return Bars(**columns, timeframe=bars.timeframe)


def make_read_only(value: object) -> None:
    """Make the arrays of a frozen dataclass read-only views, in its `__post_init__`: frozen fields alone keep no array.

    Arrays that the caller holds stay writable for the caller.

    Example:
        >>> price = np.ones(1)
        >>> bars = Bars(np.array(["2024-01-01"]), price, price, price, price, price, np.timedelta64(1, "m"))
        >>> bars.close += 1.0
        Traceback (most recent call last):
        ValueError: output array is read-only
    """
    for name, array in vars(value).items():
        if isinstance(array, np.ndarray) and array.flags.writeable:
            view = array[:]
            view.setflags(write=False)
            object.__setattr__(value, name, view)


def kernel_view(values: Any) -> Any:
    """Return an array as compiled loops take it: they are compiled for plain arrays alone, and do not write to these.

    A read-only view of an array becomes a writable view; what is strided, or read-only itself, is copied.
    """
    if values.flags.carray:
        return values
    if values.flags.c_contiguous and isinstance(values.base, np.ndarray) and values.base.flags.writeable:
        view = values[:]
        view.setflags(write=True)
        return view
    return np.array(values)


def segments(open_time: TimeArray, timeframe: np.timedelta64, max_gap: int | None) -> IntArray:
    """Number the stretches between holes of more than `max_gap` missing bars, from 0.

    Args:
        open_time: Bar times, shape (n_bars,).
        timeframe: Length of a bar.
        max_gap: Most missing bars inside a segment; None for one segment whatever is missing.

    Example:
        >>> segments(np.array([0, 1, 4, 5], "datetime64[m]"), np.timedelta64(1, "m"), max_gap=1)
        array([0, 0, 1, 1])
    """
    if max_gap is None:
        return np.zeros(len(open_time), dtype=np.int64)
    is_start = np.zeros(len(open_time), dtype=np.int64)
    is_start[1:] = np.diff(open_time) > (max_gap + 1) * timeframe
    return np.cumsum(is_start)


def _length_of(timeframe: object) -> np.timedelta64:
    if isinstance(timeframe, str):
        return parse_timeframe(timeframe)
    if not isinstance(timeframe, np.timedelta64 | timedelta):
        rule = "be text such as 1h, or a timedelta"
        raise BarsError(f"`timeframe` must {rule}, got {timeframe!r}.")
    return np.timedelta64(timeframe, "ms")


def _check_shapes(bars: Bars) -> None:
    for name in ("open_time", *PRICES, "volume"):
        shape = getattr(bars, name).shape
        if shape != (len(bars.open_time),):
            raise BarsError(f"`{name}` must have shape ({len(bars.open_time)},) like `open_time`, got {shape}.")


def _check_times(open_time: TimeArray, timeframe: np.timedelta64) -> None:
    if np.isnat(open_time).any():
        row = int(np.argmax(np.isnat(open_time)))
        raise BarsError(f"`open_time` must be a time, got none at row {row}.", row)
    step = np.diff(open_time)
    is_short = step < shortest_step(timeframe)
    if is_short.any():
        row = int(np.argmax(is_short)) + 1
        before, here = open_time[row - 1], open_time[row]
        if here == before:
            raise BarsError(f"`open_time` must hold each time once, got {here} again at row {row}.", row)
        if here < before:
            raise BarsError(f"`open_time` must be sorted, got {here} after {before} at row {row}.", row)
        rule = f"at least one timeframe ({format_timeframe(timeframe)}) apart"
        raise BarsError(f"`open_time` must be {rule}, got {before} then {here} at row {row}.", row)


def obey_price_rules(
    first: FloatArray, high: FloatArray, low: FloatArray, last: FloatArray, volume: FloatArray
) -> BoolArray:
    """Return whether each bar obeys the rules on prices and volume, shape (n_bars,).

    Args:
        first, high, low, last: Open, high, low and close of each bar, shape (n_bars,).
        volume: Volumes, shape (n_bars,).

    Example:
        >>> one = np.ones(3)
        >>> obey_price_rules(one, np.array([2.0, 0.5, np.inf]), one, one, one)
        array([ True, False, False])
    """
    obeys = np.empty(len(first), np.bool_)
    for start in range(0, len(first), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        lowest, highest, amount = low[part], high[part], volume[part]
        good = (lowest <= np.minimum(first[part], last[part])) & (np.maximum(first[part], last[part]) <= highest)
        good &= (lowest > 0) & (highest < np.inf)  # none of these holds for NaN
        good &= ((amount >= 0) & (amount < np.inf)) | np.isnan(amount)
        obeys[part] = good
    return obeys


def price_error(row: int, *columns: FloatArray) -> BarsError:
    """Return the first rule on prices and volume that a bar breaks, as an error.

    Args:
        row: Position of the bar.
        columns: Open, high, low, close and volume of all bars.
    """
    first, high, low, last, volume = (float(column[row]) for column in columns)
    prices = dict(zip(PRICES, (first, high, low, last), strict=True))
    rules = (
        *((name, "be finite", np.isfinite(price)) for name, price in prices.items()),
        *((name, "be positive", price > 0) for name, price in prices.items()),
        ("high", "be at least `low`", high >= low),
        ("high", "be at least `open` and `close`", high >= max(first, last)),
        ("low", "be at most `open` and `close`", low <= min(first, last)),
        ("volume", "be finite, or NaN where not supplied", not np.isinf(volume)),
        ("volume", "be at least 0", np.isnan(volume) or volume >= 0),
    )
    name, rule = next((name, rule) for name, rule, is_obeyed in rules if not is_obeyed)
    values = ", ".join(f"{name} {value:g}" for name, value in {**prices, "volume": volume}.items())
    return BarsError(f"`{name}` must {rule}, got {values} at row {row}.", row)


def _check_prices(bars: Bars) -> None:
    values = [getattr(bars, name) for name in (*PRICES, "volume")]
    obeys = obey_price_rules(*values)
    if not obeys.all():
        raise price_error(int(np.argmin(obeys)), *values)
