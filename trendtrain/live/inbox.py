"""Hand bars from the thread that finds them to the one that takes them."""

import threading
from collections.abc import Sequence

import numpy as np

from trendtrain.live.closed_bars import Row
from trendtrain.live.source import Revision
from trendtrain.market.bars import Bars, Series, join_bars


class Inbox:
    """Bars, corrections and a failure, on their way from one thread to another.

    Example:
        >>> inbox = Inbox()
        >>> inbox.put(Series("A", "1s"), bars_of_rows([Row(0, 1, 1, 1, 1, 1)], np.timedelta64(1, "s")))
        >>> inbox.has_bars, [len(bars) for bars in inbox.take(0.0).values()], inbox.has_bars
        (True, [1], False)
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._bars: dict[Series, Bars] = {}
        self._revisions: list[Revision] = []
        self._failure: BaseException | None = None

    def put(self, series: Series, bars: Bars) -> None:
        """Add the next bars of a series."""
        with self._changed:
            before = self._bars.get(series)
            self._bars[series] = bars if before is None else join_bars(before, bars)
            self._changed.notify_all()

    def put_revision(self, revision: Revision) -> None:
        """Add a correction."""
        with self._changed:
            self._revisions.append(revision)

    def fail(self, error: BaseException) -> None:
        """Let `take` raise an error, once what came before is taken."""
        with self._changed:
            self._failure = error
            self._changed.notify_all()

    def take(self, timeout: float) -> dict[Series, Bars]:
        """Return the bars that came since the last call; wait up to `timeout` seconds for the first.

        Raises:
            BaseException: The failure of the other thread, after the last bars.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.has_bars, timeout)
            bars, self._bars = self._bars, {}
            if not bars and self._failure is not None:
                raise self._failure
            return bars

    def revisions(self) -> list[Revision]:
        """Return the corrections that came since the last call."""
        with self._changed:
            revisions, self._revisions = self._revisions, []
            return revisions

    @property
    def has_bars(self) -> bool:
        """Whether `take` would return, or raise, at once."""
        return bool(self._bars) or self._failure is not None


class FromInbox:
    """The part of a `BarSource` that takes what its thread has put into an inbox; live bars have no end."""

    _inbox: Inbox

    def take(self, timeout: float) -> dict[Series, Bars]:
        """Return what has closed since the last call; wait up to `timeout` seconds for the first.

        Raises:
            BaseException: The failure of the thread, after the last bars.
        """
        return self._inbox.take(timeout)

    def revisions(self) -> list[Revision]:
        """Return the bars that were corrected since the last call; one equal to the stored bar is none."""
        return self._inbox.revisions()

    @property
    def has_bars(self) -> bool:
        """Whether `take` would return at once."""
        return self._inbox.has_bars

    @property
    def is_done(self) -> bool:
        """Never."""
        return False


def bars_of_rows(rows: Sequence[Row], timeframe: np.timedelta64) -> Bars:
    """Return rows that obey the rules of bars as bars."""
    time, first, high, low, last, volume = (np.array(column) for column in zip(*rows, strict=True))
    return Bars(time.astype("datetime64[ms]"), first, high, low, last, volume, timeframe)
