"""Pivots as events: each is delivered once, at the close at which it became certain."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trendtrain.errors import InputError, check_at_least
from trendtrain.market.bars import Bars, Series, TimeArray
from trendtrain.market.pivots import Pivots, PivotTracker
from trendtrain.market.rules import PivotRules
from trendtrain.market.timeframe import parse_timeframe

KIND_LETTERS = "HL"  # indexed by HIGH, LOW


@dataclass(frozen=True)
class PivotEvent:
    """One pivot, at the moment at which it became known.

    Attributes:
        symbol, timeframe: Its series.
        kind: Level and side: `L1H`, `L1L`, `L2H`, `L2L`, and so on.
        level: 1 on bars, 2 on level-1 pivots, and so on.
        time: Open time of the bar it lies at, `datetime64[ms]` UTC.
        price: Its high or low.
        strength: Its prominence: the smaller price distance to its neighbours in the sequence it was found in.
        known_at: Close time of the bar that made it certain, `datetime64[ms]` UTC.
    """

    symbol: str
    timeframe: str
    kind: str
    level: int
    time: np.datetime64
    price: float
    strength: float
    known_at: np.datetime64


Callback = Callable[[PivotEvent], object]


class PivotFeed:
    """Feed the bars of one series and deliver each newly known pivot to all subscribers, once.

    Events come in order of `known_at`, then of level, then highs before lows: the same events in the same order
    whatever the chunks.

    Args:
        series: The series whose bars are fed.
        tracker: A `PivotTracker`, or the rules of a new one. One that has seen earlier bars goes on with the next.
        history: How many of the last events to keep, 0 or more.

    Raises:
        InputError: If an argument breaks its rule.

    Example:
        >>> from trendtrain.market import PivotRules, random_walk
        >>> feed = PivotFeed(Series("WALK", "1m"), PivotRules(strength=(1, 1)))
        >>> unsubscribe = feed.subscribe(lambda event: print(event.kind, event.time, event.known_at))
        >>> delivered = feed.update(random_walk(6, seed=0))
        L1H 2020-01-01T00:01:00.000 2020-01-01T00:03:00.000
        L1L 2020-01-01T00:02:00.000 2020-01-01T00:05:00.000
        L1H 2020-01-01T00:04:00.000 2020-01-01T00:06:00.000
        >>> feed.history == delivered
        True
    """

    def __init__(self, series: Series, tracker: PivotTracker | PivotRules | None = None, history: int = 1000) -> None:
        if not isinstance(series, Series):
            raise InputError(f"`series` must be a Series of symbol and timeframe, got {series!r}.")
        check_at_least("history", history, 0)
        if not isinstance(tracker, PivotTracker | PivotRules | None):
            raise InputError(f"`tracker` must be a PivotTracker or its PivotRules, got {tracker!r}.")
        self.series = series
        self._timeframe = parse_timeframe(series.timeframe)
        self._tracker = tracker if isinstance(tracker, PivotTracker) else PivotTracker(tracker)
        self._history: deque[PivotEvent] = deque(maxlen=int(history))
        self._subscribers: dict[object, Callback] = {}
        self._is_delivering = False

    @property
    def history(self) -> tuple[PivotEvent, ...]:
        """The last events, oldest first; an event is in it when it is delivered."""
        return tuple(self._history)

    def subscribe(self, callback: Callback) -> Callable[[], object]:
        """Call `callback` with each later event, until the function returned is called.

        Raises:
            InputError: If `callback` cannot be called.
        """
        if not callable(callback):
            raise InputError(f"`callback` must be a function of an event, got {callback!r}.")
        key = object()
        self._subscribers[key] = callback
        return lambda: self._subscribers.pop(key, None)

    def update(self, bars: Bars) -> tuple[PivotEvent, ...]:
        """Deliver and return the pivots that became known with these bars, the next of the series.

        Raises:
            InputError: If the bars do not follow the last ones, their timeframe is not that of the series, or a
                subscriber calls this.
            ExceptionGroup: If subscribers raised; after all events were delivered to all subscribers.
        """
        if self._is_delivering:
            raise InputError("`update` must not be called by a subscriber: later events would overtake earlier ones.")
        if bars.timeframe != self._timeframe:
            raise InputError(f"`bars` must have the series' timeframe {self.series.timeframe}, got {bars.timeframe}.")
        first_bar = self._tracker.n_bars
        highs, lows = self._tracker.update(bars)
        events = self._events(highs, lows, bars.close_time, first_bar)
        self._deliver(events)
        return events

    def _events(self, highs: Pivots, lows: Pivots, close_time: TimeArray, first_bar: int) -> tuple[PivotEvent, ...]:
        """Return the pivots of a chunk as events, in order; the bars that made them certain are in the chunk."""
        known_at = np.concatenate([highs.known_at, lows.known_at]) - first_bar
        level, price, strength, time = (
            np.concatenate([getattr(part, name) for part in (highs, lows)])
            for name in ("level", "price", "prominence", "time")
        )
        side = np.repeat([highs.kind, lows.kind], [len(highs), len(lows)])
        order = np.lexsort((side, level, known_at))
        columns = (level, side, price, strength)
        rows = zip(*(x[order].tolist() for x in columns), time[order], close_time[known_at[order]], strict=True)
        return tuple(
            PivotEvent(*self.series, f"L{at}{KIND_LETTERS[which]}", at, open_time, value, prominence, close_time)
            for at, which, value, prominence, open_time, close_time in rows
        )

    def _deliver(self, events: tuple[PivotEvent, ...]) -> None:
        errors: list[Exception] = []
        self._is_delivering = True
        try:
            for event in events:
                self._history.append(event)
                for callback in tuple(self._subscribers.values()):
                    try:
                        callback(event)
                    except Exception as error:
                        errors.append(error)
        finally:
            self._is_delivering = False
        if errors:
            raise ExceptionGroup(f"subscribers to pivots of {'/'.join(self.series)} failed", errors)
