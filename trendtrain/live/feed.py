"""The feed of bars as they close: it stores them, and cuts them into the steps of the stream."""

import logging
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from trendtrain.errors import InputError, check_at_least, check_number
from trendtrain.live.source import BarSource
from trendtrain.market.bars import Bars, IntArray, Series, TimeArray, join_bars
from trendtrain.market.timeframe import parse_timeframe
from trendtrain.storage.bars.revisions import bars_as_of
from trendtrain.storage.bars.store import BarStore
from trendtrain.stream.feed import FedBars, History, series_order
from trendtrain.stream.walk import Walk

_LOG = logging.getLogger("trendtrain.live")
_POLL: Final = 0.2  # seconds after which a wait looks whether it should end
_GATHER: Final = np.timedelta64(10, "ms")  # for which the other bars of a close are waited for, to be stored together
_N_TIMELY: Final = 3  # bars in time after which a series that was left out is waited for again
_MOST_BARS: Final = 1024  # of a series in a step that is not in lockstep: a backlog comes in several steps
_EPOCH: Final = np.datetime64(0, "ms")
_MS: Final = np.timedelta64(1, "ms")


class LiveFeed:
    """Cut the bars of a source into the slots of a grid, and give each slot as soon as it is complete.

    Bars that were taken are in the database before the stream sees them. Those that were there when a run stopped come
    first when it goes on.

    A slot is as long as the smallest timeframe. It is complete when each series has brought the bar that is due in it.
    A series that has brought none `grace` seconds after the slot's end is left out, and not waited for until it has
    brought three in time, one after the other. A bar that comes after its slot is given at once, as a further step of
    the newest slot.

    Slots that ended before the start, or while no bar came at all, are held until each series has caught up with them,
    or has brought nothing for `patience` seconds. They then come one by one: no bar waits for its prediction while
    labels of later slots are learned from.

    In lockstep slots are those of `train`, and a slot is complete when each series has brought a bar behind it, or the
    source has ended.

    Args:
        source: Brings the bars. One that is a `History` has its bars stored already.
        history: The bars that are stored.
        walk: Where to start, and in lockstep how far to step. A start that is no date is one of the stored bars where
            these are all there will be, else the time at which the run starts.
        store: Where bars are written; None writes none.
        lockstep: Whether the steps are those of `train`.
        grace: Seconds after the end of a slot for which a series is waited for.
        warm: Bars of each series to bring before the first step, where fewer are stored; None for what the source does.
        patience: Seconds without a bar of a series after which it is no longer waited for in slots of the past.
        max_bars: Most bars of a series in a step; None for what a step of late ones takes at most.
        on_wait: Called again and again while bars are waited for; ends the wait by an error.

    Attributes:
        series: The series, by symbol and then by length of the timeframe.
        start: When the walk starts.
        length: The length of a slot.
        loaded_at: When the bars before the walk were read: corrections that came later change no bar of this run, also
            where it goes on; a later run has them from the start.

    Raises:
        InputError: If a number lies outside its range, there are no series, or lockstep is asked for of a source whose
            bars are still to come.
    """

    n_steps: Final = None  # live bars have no end

    def __init__(
        self,
        source: BarSource,
        history: History,
        walk: Walk,
        store: BarStore | None = None,
        lockstep: bool = False,
        grace: float = 0.1,
        warm: int | None = None,
        patience: float = 30.0,
        max_bars: int | None = None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        check_number("live.grace", grace, 0.0)
        check_number("live.patience", patience, 0.0)
        if warm is not None:
            check_at_least("live.warm", warm, 1)
        self.series = tuple(sorted(source.series, key=series_order))
        if not self.series:
            raise InputError("`feed` must bring bars of at least one series, got none.")
        self._is_stored = isinstance(source, History)
        if lockstep and not self._is_stored:
            raise InputError(
                "`live.lockstep` must be false where bars are still to come (true: feed=replay), got true."
            )
        self._source = source
        self._history = source if isinstance(source, History) else history
        self._walk = walk
        self._store = store
        self._is_lockstep = lockstep
        self._grace, self._patience = (_seconds(one) for one in (grace, patience))
        self._room = _MOST_BARS if max_bars is None else min(_MOST_BARS, max_bars)
        self._warm = warm
        self._on_wait = on_wait
        self._timeframes = {series: parse_timeframe(series.timeframe) for series in self.series}
        shortest = min(self._timeframes.values())
        self.length = walk.length(shortest) if lockstep else shortest
        self._n_bars: dict[Series, int] = {}
        self.loaded_at: np.datetime64 | None = None
        self.start = self._start_time()
        self._reset(0)

    def _reset(self, slot: int) -> None:
        """Forget all bars, and stand at the end of a slot."""
        self._queues: dict[Series, list[Bars]] = {series: [] for series in self.series}
        self._newest: dict[Series, np.datetime64] = {}  # the close of the newest bar of each series
        self._arrived: dict[Series, np.datetime64] = {}  # what time it was when it came
        self._absent: set[Series] = set()  # what is not waited for
        self._n_timely = dict.fromkeys(self.series, 0)  # bars in time, one after the other
        self._held_since = self._held_until = self._end(slot)  # slots that end by then wait for all series
        self._after: dict[Series, np.datetime64 | None] = dict.fromkeys(self.series)  # where the source begins
        self._is_started = False
        self._slot, self._n_given = slot, 0

    def begin(self, slot: int = 0, n_seen: Mapping[Series, int] | None = None) -> FedBars:
        """Return all bars that closed by the end of a slot, and go on behind it; slot 0 ends where the walk starts.

        Args:
            slot: The slot.
            n_seen: How many bars of each series a run had seen by then; the others come late, in the next step.
        """
        self._reset(slot)
        if self._store is not None and self.loaded_at is None:
            self.loaded_at = self._source.clock()
        end, bars = self._end(slot), {}
        for series, timeframe in self._timeframes.items():
            stored = self._load(series, end + _MS - timeframe if self._is_stored else None)
            n = int(np.searchsorted(stored.close_time, end, side="right"))
            n = n if n_seen is None else min(n, n_seen.get(series, n))
            if n:
                bars[series] = stored[:n]
            stored = stored[:n] if self._is_stored else stored
            if len(stored):
                self._after[series] = stored.open_time[-1]
                self._enqueue(series, stored[n:], stored.close_time[-1])
            elif self._warm is not None:
                self._after[series] = end - (self._warm + 1) * timeframe
        if not self._is_stored:
            self._held_since = self._held_until = self._source.clock()
        slots = [np.unique(self._slot_of(part.close_time)).tolist() for part in bars.values()]
        self._n_given = len({one for part in slots for one in part if one > 0})
        if not slot and not self._is_stored:
            self._wait_for_start(end)
            for series, later in self._cut(end).items():
                bars[series] = join_bars(bars[series], later) if series in bars else later
        return FedBars(slot, end, bars)

    def next(self) -> FedBars | None:
        """Return the bars of the next step, as soon as they are there; None where the source has ended."""
        while (slot := self._ready_slot()) is None:
            if self._has_ended():
                return None
            self._pull(self._time_left())
        self._absent.update(self._missing(end := self._end(slot)))
        self._n_given += slot != self._slot
        self._slot = slot
        newest = max(self._newest.values())
        is_partial = self._is_lockstep and bool(end > newest)
        return FedBars(
            slot, newest if is_partial else end, self._cut(end, None if self._is_lockstep else self._room), is_partial
        )

    def clock(self) -> np.datetime64:
        """Return what time it is in the market."""
        return self._source.clock()

    @property
    def has_bars(self) -> bool:
        """Whether a slot is complete, or bars came that were not taken yet."""
        self._ensure_started()
        return self._ready_slot() is not None or self._source.has_bars

    @property
    def is_done(self) -> bool:
        """Whether there is no next step, as far as the source says; in lockstep it is found out."""
        if self._walk.steps is not None and self._n_given >= self._walk.steps:
            return True
        while self._is_lockstep and self._ready_slot() is None and not self._has_ended():
            self._pull()
        return self._has_ended()

    @property
    def is_next_partial(self) -> bool:
        """Whether the next step ends before its slot of the grid does; known in lockstep alone."""
        if not self._is_lockstep or self.is_done:
            return False
        slot = self._ready_slot()
        return slot is not None and bool(self._end(slot) > max(self._newest.values()))

    def n_bars(self, series: Series) -> int:
        """Return how many bars of a series there will be; 0 where they are still to come."""
        return self._n_bars.get(series, 0)

    def _load(self, series: Series, end: np.datetime64 | None) -> Bars:
        """Return the stored bars of a series that open before a time, as this run has seen them."""
        bars = self._history.load(series, None, end)
        if self._store is None or self.loaded_at is None:
            return bars
        return bars_as_of(bars, self._store.versions(*series), self.loaded_at)

    def _start_time(self) -> np.datetime64:
        start = self._walk.start
        if self._is_stored:
            bars = {series: part for series in self.series if len(part := self._history.load(series, None, None))}
            if not bars:
                raise InputError("`series` must hold bars of at least one series, got none.")
            self._n_bars = {series: len(part) for series, part in bars.items()}
            first, last = (min(b.open_time[0] for b in bars.values()), max(b.close_time[-1] for b in bars.values()))
            time = self._walk.start_time(first, last)
            if last <= time:
                raise InputError(f"`walk.start` must leave bars to predict, got {start} ({time} of {last}).")
        elif isinstance(start, str):
            time = self._walk.start_time(np.datetime64(0, "ms"), np.datetime64(1, "ms"))
        else:
            time = self._source.clock()
        return time if self._is_lockstep else time - (time - _EPOCH) % self.length

    def _slot_of(self, close_time: TimeArray) -> IntArray:
        return -((self.start - close_time) // self.length)  # ceil: a slot holds its end

    def _end(self, slot: int) -> np.datetime64:
        end: np.datetime64 = self.start + slot * self.length
        return end

    def _next_slot(self) -> int | None:
        """Return the slot of the next step; that of the last step where bars of it came late; None where none came."""
        waiting = [queue[0].close_time[:1] for queue in self._queues.values() if queue]
        return max(int(self._slot_of(np.concatenate(waiting)).min()), self._slot) if waiting else None

    def _ready_slot(self) -> int | None:
        """Return the slot of the next step if it is complete."""
        slot = self._next_slot()
        if slot is None or (slot == self._slot and not self._is_lockstep):
            return slot
        return slot if self._is_complete(slot) else None

    def _is_complete(self, slot: int) -> bool:
        if self._is_started and self._source.is_done:
            return True
        end = self._end(slot)
        if self._is_lockstep:
            return len(self._newest) == len(self.series) and all(newest > end for newest in self._newest.values())
        until = self._waits_until(end)
        return until is None or bool(self._source.clock() >= until)

    def _missing(self, end: np.datetime64) -> list[Series]:
        """Return the series that are waited for, and have not brought the bar that is due by a time.

        One without any bar is waited for in slots that are held alone.
        """
        newest = {series: time for series, time in self._newest.items() if series not in self._absent}
        if end <= self._held_until:
            unseen = [series for series in self.series if series not in self._newest and series not in self._absent]
            newest |= {series: end - self._timeframes[series] for series in unseen}
        return [series for series, time in newest.items() if time + self._timeframes[series] <= end]

    def _waits_until(self, end: np.datetime64) -> np.datetime64 | None:
        """Return until when a slot that ends at a time waits for what is missing; None where nothing is."""
        is_held = bool(end <= self._held_until)
        first, wait = (self._held_since, self._patience) if is_held else (end, self._grace)
        times = [max(first, self._arrived.get(series, first)) + wait for series in self._missing(end)]
        return max(times) if times else None

    def _time_left(self) -> float:
        """Return for how many seconds bars may be waited for before it must be looked whether a slot is complete."""
        slot = None if self._is_lockstep else self._next_slot()
        until = None if slot is None else self._waits_until(self._end(slot))
        return _POLL if until is None else min(_POLL, max(_in_seconds(until - self._source.clock()), 0.0))

    def _has_ended(self) -> bool:
        """Return whether the source has ended, and all its bars were given."""
        self._ensure_started()
        return self._source.is_done and not any(self._queues.values())

    def _wait_for_start(self, end: np.datetime64) -> None:
        """Wait until each series has brought what closed before the walk, or brings nothing any more."""
        self._ensure_started()
        began = self._source.clock()
        while not self._source.is_done:
            newest = {series: self._newest.get(series, end - self._timeframes[series]) for series in self.series}
            missing = [series for series in self.series if newest[series] + self._timeframes[series] <= end]
            now = self._source.clock()
            if all(now - self._arrived.get(series, began) >= self._patience for series in missing):
                return
            self._pull()

    def _ensure_started(self) -> None:
        if not self._is_started:
            self._source.start(self._after)
            self._is_started = True

    def _pull(self, timeout: float = _POLL) -> None:
        """Take what has closed since, and store it; wait a little where nothing has."""
        self._on_wait()
        self._ensure_started()
        revisions = self._source.revisions()  # of bars that are taken already, or now
        taken = self._gathered(self._source.take(timeout))
        if self._store is not None and taken:
            with self._store.transaction(*taken) as transaction:
                transaction.write_all(taken)
        for series, bars in taken.items():
            if len(bars):
                self._hold_if_late(bars)
                self._enqueue(series, bars, bars.close_time[-1])
        for series, bar, arrived in revisions:
            if self.loaded_at is not None:  # a source that knows its clock only now may say an earlier time
                arrived = max(arrived, self.loaded_at + _MS)
            if self._store is None or self._store.revise(*series, bar, arrived):
                text = "%s %s: the bar of %s was corrected"
                _LOG.warning(text, *series, bar.open_time[0], extra={"event": "revision"})

    def _gathered(self, taken: dict[Series, Bars]) -> dict[Series, Bars]:
        """Return bars that were taken with those of the same close that follow at once: one transaction stores them."""
        until = self._source.clock() + _GATHER
        end = max((bars.close_time[-1] for bars in taken.values() if len(bars)), default=None)
        while end is not None and not self._is_stored and not taken.keys() >= set(self._missing(end)):
            more = self._source.take(left) if (left := _in_seconds(until - self._source.clock())) > 0 else {}
            if not more:
                break
            taken = taken | {one: join_bars(taken[one], new) if one in taken else new for one, new in more.items()}
        return taken

    def _hold_if_late(self, bars: Bars) -> None:
        """Hold the slots up to now where bars are late and no slot behind them was given: nobody brought bars."""
        now = self._source.clock()
        is_late = bool(now - bars.close_time[0] >= self.length + self._patience)
        if self._is_stored or not is_late or bars.close_time[0] <= self._end(self._slot):
            return
        was_silent = now - max(self._arrived.values(), default=self._held_since) >= self._patience
        if was_silent or self._end(self._slot + 1) > self._held_until:  # else older bars are still coming
            self._held_since = now
            self._absent.clear()
        self._held_until = now

    def _enqueue(self, series: Series, bars: Bars, newest: np.datetime64) -> None:
        if len(bars):
            self._queues[series].append(bars)
        self._newest[series] = newest
        self._arrived[series] = now = self._source.clock()
        self._n_timely[series] = self._n_timely[series] + 1 if now - newest < self._grace else 0
        if self._n_timely[series] >= _N_TIMELY:
            self._absent.discard(series)

    def _cut(self, end: np.datetime64, most: int | None = None) -> dict[Series, Bars]:
        """Take the bars that close by a time from the queues; of each series the first `most`."""
        cut = {}
        for series, queue in self._queues.items():
            parts: list[Bars] = []
            room = most
            while queue and queue[0].close_time[0] <= end and room != 0:
                n = int(np.searchsorted(queue[0].close_time, end, side="right"))
                n = n if room is None else min(n, room)
                parts.append(queue[0][:n])
                queue[:1] = [queue[0][n:]] if n < len(queue[0]) else []
                room = None if room is None else room - n
            if parts:
                cut[series] = join_bars(*parts)
        return cut


def _seconds(number: float) -> np.timedelta64:
    return np.timedelta64(round(1000.0 * number), "ms")


def _in_seconds(time: np.timedelta64) -> float:
    return float(time / np.timedelta64(1, "s"))
