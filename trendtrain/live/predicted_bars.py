"""The feed of the process that trains: stored bars, as soon as the other process has predicted them."""

import time
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from trendtrain.data.sources import StoredBars
from trendtrain.market.bars import Bars, Series
from trendtrain.market.timeframe import parse_timeframe
from trendtrain.storage.bars.revisions import bars_as_of
from trendtrain.storage.bars.store import BarStore
from trendtrain.stream.feed import FedBars, series_order

_POLL: Final = 0.05  # seconds between two looks into the database
_MOST_BARS: Final = 1024  # of a series in a step
_MS: Final = np.timedelta64(1, "ms")


class PredictedBars:
    """Give all bars that were predicted since the last step, as soon as there is one.

    Args:
        store: Where bars are.
        first: By series, when its first bar opens; None for all that are stored.
        newest: Returns when the newest predicted bar of each series opened, ms.
        start: When the walk starts.
        length: The length of a slot.
        loaded_at: As of when the other process read the bars before the walk: it never sees a correction that came
            later, and this one has the same bars.
        max_bars: Most bars of a series in a step; None for 1,024.
        on_wait: Called again and again while bars are waited for; ends the wait by an error.

    Attributes:
        series: The series, by symbol and then by length of the timeframe.
    """

    n_steps: Final = None
    is_done: Final = False
    is_next_partial: Final = False

    def __init__(
        self,
        store: BarStore,
        first: Mapping[Series, np.datetime64 | None],
        newest: Callable[[], Mapping[Series, int]],
        start: np.datetime64,
        length: np.timedelta64,
        loaded_at: np.datetime64 | None = None,
        max_bars: int | None = None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        self.series = tuple(sorted(first, key=series_order))
        self.start, self.length, self.loaded_at = start, length, loaded_at
        self._store = store
        self._stored = StoredBars(store, dict.fromkeys(first))
        self._first = first
        self._read_newest = newest
        self._room = _MOST_BARS if max_bars is None else min(_MOST_BARS, max_bars)
        self._on_wait = on_wait
        self._slot = 0
        self._after: dict[Series, np.datetime64 | None] = {}  # the newest bar that was given
        self._newest: Mapping[Series, np.datetime64] = {}  # the newest one that was predicted
        self._looked_at = -_POLL

    def begin(self, slot: int = 0, n_seen: Mapping[Series, int] | None = None) -> FedBars:
        """Return all bars that closed by the end of a slot; of each series the first `n_seen`, where they are given."""
        end, bars = self._end(slot), {}
        self._slot, self._after = slot, dict.fromkeys(self.series)
        for series in self.series:
            part = self._load(series, None, end + _MS - parse_timeframe(series.timeframe))
            part = part[: len(part) if n_seen is None else n_seen.get(series, len(part))]
            if len(part):
                bars[series], self._after[series] = part, part.open_time[-1]
        return FedBars(slot, end, bars)

    def next(self) -> FedBars:
        """Return the bars that were predicted since, as soon as there is one."""
        while not (due := self._due()):
            self._on_wait()
            time.sleep(_POLL)
        bars = {}
        for series in due:
            after = self._after[series]
            part = self._load(series, None if after is None else after + _MS, self._newest[series] + _MS)
            bars[series] = part[: self._room]
            self._after[series] = bars[series].open_time[-1]
        newest = max(part.close_time[-1] for part in bars.values())
        self._slot = max(self._slot, -int((self.start - newest) // self.length))  # ceil: a slot holds its end
        return FedBars(self._slot, self._end(self._slot), bars)

    def clock(self) -> None:
        """Return None: no prediction is made here whose delay could be told."""

    @property
    def has_bars(self) -> bool:
        """Whether bars were predicted since the last step."""
        return bool(self._due())

    def n_bars(self, series: Series) -> int:
        """Return 0: the bars are still to come."""
        return 0

    def _due(self) -> list[Series]:
        """Return the series with bars to give."""
        if time.monotonic() - self._looked_at >= _POLL:
            self._newest = {series: np.datetime64(at, "ms") for series, at in self._read_newest().items()}
            self._looked_at = time.monotonic()
        there = [(series, self._after[series]) for series in self.series if series in self._newest]
        return [series for series, after in there if after is None or self._newest[series] > after]

    def _load(self, series: Series, start: np.datetime64 | None, end: np.datetime64) -> Bars:
        """Return the bars that open in [start, end), as the other process sees them."""
        if (first := self._first[series]) is not None:
            start = first if start is None else max(start, first)
        bars = self._stored.load(series, start, end)
        return bars if self.loaded_at is None else bars_as_of(bars, self._store.versions(*series), self.loaded_at)

    def _end(self, slot: int) -> np.datetime64:
        end: np.datetime64 = self.start + slot * self.length
        return end
