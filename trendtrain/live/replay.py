"""Stored bars once more, as fast as they are taken or at a given speed."""

import time
from collections.abc import Mapping

import numpy as np

from trendtrain.errors import check_number
from trendtrain.live.source import Revision
from trendtrain.market.bars import Bars, Series
from trendtrain.stream.feed import History, series_order

_MS = np.timedelta64(1, "ms")


class ReplaySource:
    """Bring stored bars in the order in which they closed, those of one close time together.

    It is a `History` too: what it brings is stored already, and not stored again.

    Args:
        history: Where the bars are.
        speed: Seconds in the market a second; None for as fast as bars are taken.

    Raises:
        InputError: If `speed` is not positive.
    """

    def __init__(self, history: History, speed: float | None = None) -> None:
        if speed is not None:
            check_number("feed.speed", speed, 1e-6)
        self.series: tuple[Series, ...] = tuple(sorted(history.series, key=series_order))
        self._history = history
        self.speed = speed
        self._cursors: list[_Cursor] = []
        self._now: np.datetime64 = np.datetime64(0, "ms")  # the close of the newest bars taken
        self._began = 0.0

    def start(self, after: Mapping[Series, np.datetime64 | None]) -> None:
        """Begin behind the bars that are there already."""
        self._cursors = [_Cursor(self._history, series, after.get(series)) for series in self.series]
        before = [cursor.before for cursor in self._cursors if cursor.before is not None]
        self._now = max(before) if before else (self._next() or self._now)
        self._began = time.monotonic()

    def load(self, series: Series, start: np.datetime64 | None, end: np.datetime64 | None) -> Bars:
        """Return the bars of a series that open in [start, end)."""
        return self._history.load(series, start, end)

    def take(self, timeout: float) -> dict[Series, Bars]:
        """Return the bars of the next close time; {} where it is not reached within `timeout` seconds."""
        due = self._next()
        if due is None:
            return {}
        if (wait := self._seconds_to(due)) > 0:
            time.sleep(min(wait, timeout))
            if wait > timeout:
                return {}
        taken = {cursor.series: cursor.take() for cursor in self._cursors if cursor.next_close == due}
        if self.speed is None:
            self._now = due
        return taken

    def revisions(self) -> list[Revision]:
        """Return none: stored bars are corrected already."""
        return []

    def clock(self) -> np.datetime64:
        """Return the close of the newest bars taken, or how far the speed has brought the market since the start."""
        if self.speed is None:
            return self._now
        passed = 1000.0 * self.speed * (time.monotonic() - self._began)
        return self._now + np.timedelta64(int(passed), "ms")

    @property
    def has_bars(self) -> bool:
        """Whether `take` would return at once."""
        due = self._next()
        return due is not None and self._seconds_to(due) <= 0

    @property
    def is_done(self) -> bool:
        """Whether all bars were taken."""
        return self._next() is None

    def close(self) -> None:
        """Do nothing: there is nothing to end."""

    def _next(self) -> np.datetime64 | None:
        """Return when the next bars close."""
        closes = [cursor.next_close for cursor in self._cursors if cursor.next_close is not None]
        return min(closes) if closes else None

    def _seconds_to(self, time_: np.datetime64) -> float:
        if self.speed is None:
            return 0.0
        return float((time_ - self.clock()) / np.timedelta64(1, "s")) / self.speed


class _Cursor:
    """Goes through the stored bars of one series.

    Attributes:
        before: The close of the bar before the first; None for none.
    """

    def __init__(self, history: History, series: Series, after: np.datetime64 | None) -> None:
        self.series = series
        self._bars = history.load(series, None if after is None else after + _MS, None)
        self._close_time = self._bars.close_time
        self._at = 0
        self.before = None if after is None else after + self._bars.timeframe

    @property
    def next_close(self) -> np.datetime64 | None:
        """The close of the next bar; None after the last."""
        return self._close_time[self._at] if self._at < len(self._close_time) else None

    def take(self) -> Bars:
        """Return the next bar."""
        self._at += 1
        return self._bars[self._at - 1 : self._at]
