"""Look again and again for bars that others write, from a thread of its own."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from trendtrain.errors import InputError, NotStoredError, check_number
from trendtrain.live.inbox import FromInbox, Inbox
from trendtrain.live.source import Revision, name_all
from trendtrain.market.bars import Bars, Series
from trendtrain.storage import BarStore, open_database
from trendtrain.storage.bars.columns import columns_of, is_changed
from trendtrain.storage.database import is_missing

_LOG: Final = logging.getLogger("trendtrain.live")
_LOOK_BACK: Final = 10  # bars that each look compares again

Load = Callable[[Series, np.datetime64 | None], Bars]


def from_database(
    url: str | None, symbols: str | Sequence[str], timeframes: str | Sequence[str], interval: float = 1.0
) -> "PolledBars":
    """Return what brings the bars of some series as another program writes them to a database.

    Args:
        url: The database, such as `sqlite:///bars.db`.
        symbols: Symbols; each has a series of each timeframe.
        timeframes: Lengths of bars, such as `1m`.
        interval: Seconds between two looks.

    Raises:
        InputError: If there is no such database, or a name is invalid.
    """
    if url is None or is_missing(url):
        raise InputError(f"`url` must name a database that exists, got {url}.")
    series = name_all(symbols, timeframes)
    engine = open_database(url)
    store = BarStore(engine)
    return PolledBars(series, lambda one, start: store.load(*one, start=start), interval, engine.dispose)


class PolledBars(FromInbox):
    """Brings bars once a later one is there, as a `BarSource` does; those that change later are revisions.

    Args:
        series: The series there are.
        load: Returns the bars of a series that open at a time or later, None for all; the last one may be unclosed. It
            may raise `NotStoredError` where there are none.
        interval: Seconds between two looks.
        on_close: Called at the end.

    Raises:
        InputError: If `interval` is too small.
    """

    def __init__(
        self, series: tuple[Series, ...], load: Load, interval: float, on_close: Callable[[], None] = lambda: None
    ) -> None:
        check_number("interval", interval, 0.01)
        self.series = series
        self._on_close = on_close
        self._load = load
        self._interval = interval
        self._inbox = Inbox()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._known: dict[Series, Bars] = {}  # the newest bars that were brought
        self._after: dict[Series, np.datetime64 | None] = {}
        self._trouble: dict[Series, str] = {}

    def start(self, after: Mapping[Series, np.datetime64 | None]) -> None:
        """Begin to bring bars that open after these times, in a thread; a second call begins anew."""
        self.close()
        self._after = {series: after.get(series) for series in self.series}
        self._known, self._inbox = {}, Inbox()
        self._stop.clear()
        self._thread = threading.Thread(target=self._work, name="trendtrain-polled", daemon=True)
        self._thread.start()

    def clock(self) -> np.datetime64:
        """Return the time of this machine."""
        return np.datetime64(int(1000 * time.time()), "ms")

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None
            self._on_close()

    def _work(self) -> None:
        while True:
            for series in self.series:
                try:
                    self._look(series)
                    self._trouble.pop(series, None)
                except Exception as error:  # such as a locked database: the others go on, and it is looked again
                    self._tell(series, error)
            if self._stop.wait(self._interval):
                return

    def _look(self, series: Series) -> None:
        known, newest = self._known.get(series), self._after[series]
        start = newest if known is None else known.open_time[0]
        bars = self._load(series, start)
        if not len(bars):
            raise NotStoredError(f"there are no bars from {start} on.")
        closed = bars[:-1]
        n_old = 0 if newest is None else int(np.searchsorted(closed.open_time, newest, side="right"))
        if known is not None and n_old:
            old = closed[:n_old]
            for at in np.flatnonzero(is_changed(columns_of(known), columns_of(old))).tolist():
                self._inbox.put_revision(Revision(series, old[at : at + 1], self.clock()))
        if len(closed) > n_old:
            self._after[series] = closed.open_time[-1]
            self._inbox.put(series, closed[n_old:])
        if len(closed):
            self._known[series] = closed[max(0, len(closed) - _LOOK_BACK) :]

    def _tell(self, series: Series, error: Exception) -> None:
        is_silent = isinstance(error, NotStoredError)  # each look may say it in other words, and the bars may come
        event, level = ("no bars", logging.WARNING) if is_silent else ("trouble", logging.ERROR)
        trouble = event if is_silent else str(error)
        if trouble != self._trouble.get(series):
            self._trouble[series] = trouble
            text = "%s %s is waited for: %s" if is_silent else "%s %s: %s"
            _LOG.log(level, text, *series, error, extra={"event": event})
