"""A source of live bars that brings what it is told, when it is told."""

from collections.abc import Mapping, Sequence

import numpy as np

from trendtrain.live.source import Revision
from trendtrain.market import Bars, Series

Arrival = tuple[np.datetime64, dict[Series, Bars]]


class ScriptedSource:
    """Bring bars at given times of a clock that moves only when nothing is due.

    Args:
        series: The series.
        arrivals: When which bars come, in order of time.
        ends: Whether no bar comes after the last; else the clock goes on.
    """

    def __init__(self, series: Sequence[Series], arrivals: Sequence[Arrival], ends: bool = True) -> None:
        self.series = tuple(series)
        self._arrivals = list(arrivals)
        self._ends = ends
        self._now = arrivals[0][0] if arrivals else np.datetime64("2024-01-01", "ms")
        self.after: list[dict[Series, np.datetime64 | None]] = []  # what each start was told
        self.is_closed = False

    @classmethod
    def of(cls, series: Mapping[Series, Bars], delay: Mapping[Series, int] | None = None) -> "ScriptedSource":
        """Return one that brings each bar when it closes, or so many milliseconds later."""
        delay = delay or {}
        arrivals: dict[np.datetime64, dict[Series, Bars]] = {}
        for name, bars in series.items():
            for i, time in enumerate(bars.close_time + np.timedelta64(delay.get(name, 0), "ms")):
                arrivals.setdefault(time, {})[name] = bars[i : i + 1]
        return cls(tuple(series), sorted(arrivals.items(), key=lambda one: one[0]))

    def start(self, after: Mapping[Series, np.datetime64 | None]) -> None:
        self.after.append(dict(after))
        left = []
        for time, bars in self._arrivals:
            kept = {
                name: part[
                    int(np.searchsorted(part.open_time, last, "right")) if (last := after[name]) is not None else 0 :
                ]
                for name, part in bars.items()
            }
            kept = {name: part for name, part in kept.items() if len(part)}
            if kept:
                left.append((time, kept))
        self._arrivals = left

    def take(self, timeout: float) -> dict[Series, Bars]:
        if not self._arrivals:
            self._now += np.timedelta64(round(1000 * timeout), "ms")
            return {}
        until = self._now + np.timedelta64(round(1000 * timeout), "ms")
        if self._arrivals[0][0] > until:
            self._now = until
            return {}
        time, bars = self._arrivals.pop(0)
        self._now = max(self._now, time)
        return bars

    def revisions(self) -> list[Revision]:
        return []

    def clock(self) -> np.datetime64:
        return self._now

    @property
    def has_bars(self) -> bool:
        return bool(self._arrivals) and bool(self._arrivals[0][0] <= self._now)

    @property
    def is_done(self) -> bool:
        return self._ends and not self._arrivals

    def close(self) -> None:
        self.is_closed = True
