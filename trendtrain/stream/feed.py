"""Bars in the order in which they close: history read step by step, as live bars come."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from trendtrain.errors import InputError
from trendtrain.market.bars import Bars, IntArray, Series, TimeArray, name_series
from trendtrain.market.timeframe import format_timeframe, parse_timeframe, shortest_step
from trendtrain.stream.walk import Walk

_MS = np.timedelta64(1, "ms")


class FedBars(NamedTuple):
    """The bars of a walk step.

    Attributes:
        slot: The step's slot of the time grid; 0 for the bars before the first step.
        now: The time by which all of them have closed.
        bars: By series, those with bars alone.
        is_partial: Whether history ends before the slot does; more bars may follow in it one day.
    """

    slot: int
    now: np.datetime64
    bars: dict[Series, Bars]
    is_partial: bool = False


class Feed(Protocol):
    """Brings the bars of all series, step by step, and none that closes after the step.

    Attributes:
        series: The series there are.
        start: When the walk starts.
        length: The length of a slot.
        loaded_at: When the bars before the walk were read, where stored bars may be corrected later; None where not. A
            run that goes on sets it before `begin`, and gets the bars that it saw.
    """

    series: tuple[Series, ...]
    start: np.datetime64
    length: np.timedelta64
    loaded_at: np.datetime64 | None

    def begin(self, slot: int = 0, n_seen: Mapping[Series, int] | None = None) -> FedBars:
        """Return all bars that closed by the end of a slot, and go on behind it; slot 0 ends where the walk starts.

        Args:
            slot: The slot.
            n_seen: How many bars of each series a run had seen by then; a live feed brings those that came later as
                late ones of the next step.
        """

    def next(self) -> FedBars | None:
        """Return the bars of the next step, as soon as they are there; None where it turns out that there is none."""

    def clock(self) -> np.datetime64 | None:
        """Return what time it is in the market, `datetime64[ms]`; None where bars are history."""

    @property
    def has_bars(self) -> bool:
        """Whether bars wait to be predicted: training asks between two batches."""

    @property
    def is_done(self) -> bool:
        """Whether it is known that there is no next step."""

    @property
    def is_next_partial(self) -> bool:
        """Whether the next step ends before its slot of the grid does, because history does."""

    @property
    def n_steps(self) -> int | None:
        """How many steps there are; None where there is no end."""

    def n_bars(self, series: Series) -> int:
        """Return how many bars of a series there will be, or a guess."""


def series_order(series: Series) -> tuple[str, np.timedelta64]:
    """Return what orders series: bars that close at the same time come in this order."""
    return series.symbol, parse_timeframe(series.timeframe)


def check_fed(fed: FedBars, newest: Mapping[Series, np.datetime64 | None]) -> None:
    """Raise unless the bars of a step have closed, are of their series, and follow its newest ones.

    Args:
        fed: What a feed gave.
        newest: By series, when the newest of those that came before opened; None for none.

    Raises:
        InputError: If a bar breaks one of these rules; it names the series.
    """
    for series, bars in fed.bars.items():
        where = " ".join(series)
        if series not in newest:
            known = ", ".join(" ".join(one) for one in newest)
            raise InputError(f"`feed` must give bars of its series ({known}), got {where}.")
        if bars.timeframe != parse_timeframe(series.timeframe):
            got = format_timeframe(bars.timeframe)
            raise InputError(f"`feed` must give bars of the timeframe of their series, got {got} in {where}.")
        if len(bars) and bars.close_time[-1] > fed.now:
            got = f"one that closes at {bars.close_time[-1]} in {where}"
            raise InputError(f"`feed` must give bars that have closed by {fed.now}, got {got}.")
        last = newest[series]
        if last is not None and len(bars) and bars.open_time[0] - last < shortest_step(bars.timeframe):
            got = f"{bars.open_time[0]} after {last} in {where}"
            raise InputError(f"`feed` must give each bar once, and in order, got {got}.")


@runtime_checkable
class History(Protocol):
    """Stored bars of some series; `load` reads those that open in [start, end), None for no limit."""

    @property
    def series(self) -> tuple[Series, ...]:
        """The series there are."""

    def load(self, series: Series, start: np.datetime64 | None, end: np.datetime64 | None) -> Bars:
        """Return the bars of a series that open in [start, end)."""


class HeldBars:
    """A `History` of bars in memory.

    Args:
        bars: `Bars`, or a DataFrame as `Bars.from_dataframe` takes it, by (symbol, timeframe).

    Raises:
        InputError: If they are anything else, or bars have another timeframe than their series.
    """

    def __init__(self, bars: Mapping[tuple[str, str], Any]) -> None:
        rule = "`series` must be a dict of (symbol, timeframe) to Bars or DataFrames"
        if not isinstance(bars, Mapping):
            raise InputError(f"{rule}, got {type(bars).__name__}.")
        self._bars: dict[Series, Bars] = {}
        for key, part in bars.items():
            if not (isinstance(key, tuple) and [type(word) for word in key] == [str, str]):
                raise InputError(f"{rule}, got {key!r} to {type(part).__name__}.")
            name = name_series(*key)
            held = part if isinstance(part, Bars) else Bars.from_dataframe(part, name.timeframe)
            if (timeframe := format_timeframe(held.timeframe)) != name.timeframe:
                raise InputError(f"`series` must give {' '.join(name)} bars of its timeframe, got bars of {timeframe}.")
            self._bars[name] = held

    @property
    def series(self) -> tuple[Series, ...]:
        """The series there are."""
        return tuple(self._bars)

    def load(self, series: Series, start: np.datetime64 | None, end: np.datetime64 | None) -> Bars:
        """Return the bars of a series that open in [start, end)."""
        bars = self._bars[series]
        times = bars.open_time
        first = 0 if start is None else int(np.searchsorted(times, start))
        return bars[first : len(bars) if end is None else int(np.searchsorted(times, end))]


class HistoryFeed:
    """Cut stored bars into the steps of a walk. It reads the bars of a step when that step is asked for.

    Steps are the slots of a grid in time, the same for all series; slots in which no series has a bar are skipped.
    The times of all bars are read once, to find these, and forgotten.

    Args:
        history: Where bars are.
        walk: Where to start, how far to step, and how often.

    Attributes:
        series: The series, by symbol and then by length of the timeframe.
        start: When the walk starts.
        length: The length of a slot.

    Raises:
        InputError: If there are no series or bars, or none after the start.
    """

    def __init__(self, history: History, walk: Walk) -> None:
        self._history = history
        self.loaded_at: np.datetime64 | None = None  # history is not corrected
        self.series = tuple(sorted(history.series, key=series_order))
        times = {series: history.load(series, None, None).close_time for series in self.series}
        times = {series: close_time for series, close_time in times.items() if len(close_time)}
        if not times:
            raise InputError("`series` must hold bars of at least one series, got none.")
        timeframes = {series: parse_timeframe(series.timeframe) for series in times}
        self._last: np.datetime64 = max(close_time[-1] for close_time in times.values())
        first = min(close_time[0] - timeframes[series] for series, close_time in times.items())
        self.start = walk.start_time(first, self._last)
        self.length = walk.length(min(timeframes.values()))
        slots = np.unique(np.concatenate([self._slot_of(one[one > self.start]) for one in times.values()]))
        if not len(slots):
            raise InputError(
                f"`walk.start` must leave bars to predict, got {walk.start} ({self.start} of {self._last})."
            )
        self._slots = slots[: walk.steps]
        self._n_bars = {series: len(one) for series, one in times.items()}
        self._slot = 0

    def begin(self, slot: int = 0, n_seen: Mapping[Series, int] | None = None) -> FedBars:
        """Return all bars that closed by the end of a slot, and go on behind it; slot 0 ends where the walk starts."""
        self._slot = slot
        return self._fed(None)

    def next(self) -> FedBars:
        """Return the bars of the next step."""
        before, self._slot = self._end(self._slot), self._next_slot()
        return self._fed(before)

    def clock(self) -> None:
        """Return None: bars are history."""

    @property
    def has_bars(self) -> bool:
        """Whether there is a next step."""
        return not self.is_done

    @property
    def is_done(self) -> bool:
        """Whether there is no next step."""
        return bool(self._slot >= self._slots[-1])

    @property
    def is_next_partial(self) -> bool:
        """Whether the next step ends before its slot of the grid does, because history does."""
        return not self.is_done and bool(self._end(self._next_slot()) > self._last)

    @property
    def n_steps(self) -> int:
        """How many steps there are."""
        return len(self._slots)

    def n_bars(self, series: Series) -> int:
        """Return how many bars of a series there are."""
        return self._n_bars.get(series, 0)

    def _slot_of(self, close_time: TimeArray) -> IntArray:
        return -((self.start - close_time) // self.length)  # ceil: a slot holds its end

    def _end(self, slot: int) -> np.datetime64:
        end: np.datetime64 = self.start + slot * self.length
        return end

    def _next_slot(self) -> int:
        return int(self._slots[np.searchsorted(self._slots, self._slot, side="right")])

    def _fed(self, after: np.datetime64 | None) -> FedBars:
        """Return the bars that close after `after` and by the end of the slot."""
        end = self._end(self._slot)
        bars = {}
        for series in self.series:
            open_of = _MS - parse_timeframe(series.timeframe)  # of a bar that closes 1 ms after a time
            until = min(end, self._last)  # later bars may have been stored since
            part = self._history.load(series, None if after is None else after + open_of, until + open_of)
            if len(part):
                bars[series] = part
        return FedBars(self._slot, min(end, self._last), bars, is_partial=bool(end > self._last))
