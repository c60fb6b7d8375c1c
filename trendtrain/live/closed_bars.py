"""Tell which bars of one series have closed, from rows that an exchange sends in any order; no input or output."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

_MOST_WAITING: Final = 1000  # closed bars that wait for an earlier one; REST brings the rest
_N_REMEMBERED: Final = 1000  # bars that a later row is compared with


class Row(NamedTuple):
    """One bar as an exchange gives it; `time` is the open time in ms."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "Row":
        """Return the row of an exchange's list; a number that is missing becomes NaN."""
        time, *rest = values
        return cls(int(time or 0), *(math.nan if value is None else float(value) for value in rest[:5]))

    @property
    def is_bar(self) -> bool:
        """Whether it obeys the rules of a bar."""
        is_price = 0 < self.low <= self.open <= self.high < math.inf and self.low <= self.close <= self.high
        return is_price and (math.isnan(self.volume) or 0 <= self.volume < math.inf)

    def differs(self, other: "Row") -> bool:
        """Whether a number is another one; NaN equals NaN."""
        return any(a != b and not (math.isnan(a) and math.isnan(b)) for a, b in zip(self, other, strict=True))


class ClosedBars:
    """Bring each closed bar of a series once and in order, and those that were corrected later.

    A bar has closed where the exchange says so (`is_final`); where the next bar follows in the same unbroken session of
    an exchange that never says so; or where REST returns a later bar with it. Bars that opened before a session come
    from REST: its first rows may be of the past, with a stale close, and it lacks a part of the bar under way. A row of
    an earlier session proves nothing.

    Args:
        timeframe: Length of a bar, ms.
        newest: Open time of the newest bar that is stored, ms; None for none.

    Example:
        >>> bars = ClosedBars(1000, newest=4000)
        >>> bars.stream(Row(5000, 1, 1, 1, 1, 1), is_final=False, session=1)
        >>> bars.stream(Row(6000, 1, 1, 1, 1, 1), is_final=False, session=1)
        >>> bars.take(), bars.is_missing  # it may have begun before the session
        ([], True)
        >>> bars.page([Row(5000, 1, 2, 1, 2, 3), Row(6000, 2, 2, 2, 2, 1)], since=5000)
        >>> bars.take(), bars.is_missing
        ([Row(time=5000, open=1, high=2, low=1, close=2, volume=3)], False)
        >>> bars.stream(Row(6000, 2, 3, 2, 3, 4), is_final=True, session=1)
        >>> bars.take()
        [Row(time=6000, open=2, high=3, low=2, close=3, volume=4)]
    """

    def __init__(self, timeframe: int, newest: int | None = None) -> None:
        self.timeframe = timeframe
        self.newest = newest
        self._next = None if newest is None else newest + timeframe  # where the next bar opens, as far as is known
        self._session: int | None = None
        self._first = 0  # later bars than this one opened in the session
        self._forming: Row | None = None  # the newest row of the session, where the exchange never says `is_final`
        self._seen: int | None = None  # the latest open time in the stream
        self._doubted: int | None = None  # the earliest bar that the stream now gives otherwise
        self._waiting: dict[int, Row] = {}  # closed, but an earlier bar is not here yet
        self._remembered: dict[int, Row] = {}
        self._closed: list[Row] = []
        self._revised: list[Row] = []
        self._gaps: list[tuple[int, int]] = []

    def stream(self, row: Row, is_final: bool | None, session: int) -> None:
        """Take a row of the websocket.

        Args:
            row: The bar as it is now.
            is_final: Whether the exchange says that the bar is final; None where this exchange never says it.
            session: When the connection began, ms, on the exchange's clock; each new one has another. A later time
                costs requests of REST. With an earlier one, stale rows after the first count as bars of the session,
                and their close may be wrong until REST is asked again.
        """
        if session != self._session:
            self._session, self._first, self._forming = session, max(row.time, session - 1), None
        if self.newest is not None and row.time <= self.newest:
            self._compare(row, is_final)
            return
        self._seen = row.time if self._seen is None else max(self._seen, row.time)
        if self._next is not None and row.time < self._next:
            self._next = self.newest + self.timeframe  # type: ignore[operator] # REST has not shown this one
        if is_final is None:
            self._follow(row)
        elif is_final and row.time > self._first:
            self._close(row)

    def page(self, rows: Sequence[Row], since: int) -> None:
        """Take what REST returned for a time on: every bar up to its last row, which may be unclosed.

        Args:
            rows: In any order.
            since: The open time that was asked for, ms.
        """
        rows = sorted({row.time: row for row in rows}.values())
        if self._next is not None and since > self._next:
            return  # it says nothing about the bars before
        for row in filter(lambda row: row.is_bar, rows[:-1]):
            if self.newest is None or row.time > self.newest:
                self._emit(row)
            elif (known := self._remembered.get(row.time)) is None or known.differs(row):
                self._remember(row)
                self._revised.append(row)
        if not rows or self.newest is None:
            return
        if self._doubted is not None and since <= self._doubted < rows[-1].time:
            self._doubted = None
        if rows[-1].time > self.newest:
            self._next = rows[-1].time
        self._emit_waiting()

    def take(self) -> list[Row]:
        """Return the bars that have closed since the last call, in order."""
        closed, self._closed = self._closed, []
        return closed

    def revisions(self) -> list[Row]:
        """Return the bars, no later than the newest, that REST has given otherwise since the last call.

        Among them may be bars that were stored before the start: only the store can tell whether they changed.
        """
        revised, self._revised = self._revised, []
        return revised

    def gaps(self) -> list[tuple[int, int]]:
        """Return the first and the last missing open time of each gap that was found since the last call, ms."""
        gaps, self._gaps = self._gaps, []
        return gaps

    @property
    def is_missing(self) -> bool:
        """Whether REST must be asked: a bar before one that was seen is not here, or one is in doubt."""
        if self.newest is None or self._next is None:
            return True
        return self._doubted is not None or (self._seen is not None and self._seen > self._next)

    @property
    def doubted(self) -> int | None:
        """Open time of the earliest bar that REST must confirm, ms; None for none."""
        return self._doubted

    def _compare(self, row: Row, is_final: bool | None) -> None:
        """Doubt a bar that is known otherwise. A row that says it is not final is a late one of before its end."""
        known = self._remembered.get(row.time)
        if is_final is not False and known is not None and known.differs(row):
            self._doubted = row.time if self._doubted is None else min(self._doubted, row.time)

    def _follow(self, row: Row) -> None:
        """Close the bar before, if this row is of the next one."""
        before = self._forming
        if before is not None and before.time > self._first and row.time == before.time + self.timeframe:
            self._close(before)
        if before is None or row.time >= before.time:
            self._forming = row

    def _close(self, row: Row) -> None:
        if not row.is_bar:
            return  # REST may know better
        self._waiting[row.time] = row
        self._emit_waiting()
        if len(self._waiting) > _MOST_WAITING:
            self._waiting.clear()

    def _emit_waiting(self) -> None:
        while self._next in self._waiting:
            self._emit(self._waiting[self._next])
        if self._waiting and self.newest is not None:
            self._waiting = {time: row for time, row in self._waiting.items() if time > self.newest}

    def _emit(self, row: Row) -> None:
        if self.newest is not None and row.time > self.newest + self.timeframe:
            self._gaps.append((self.newest + self.timeframe, row.time - self.timeframe))
        self._waiting.pop(row.time, None)
        self.newest, self._next = row.time, row.time + self.timeframe
        self._remember(row)
        self._closed.append(row)

    def _remember(self, row: Row) -> None:
        self._remembered[row.time] = row
        if len(self._remembered) > _N_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
