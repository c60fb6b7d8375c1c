"""Swing highs and lows at any level, each with the bar at which it became certain."""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any, Literal

import numpy as np

from trendtrain.errors import InputError, check_at_least, check_choice
from trendtrain.market.bars import Bars, IntArray, segments
from trendtrain.market.chunk import Chunk, Found
from trendtrain.market.peaks import HIGH, LOW, PeakRule, Point, Tie, push_point
from trendtrain.market.pivot_table import LevelPart, Pivots, Row

__all__ = ["HIGH", "LOW", "Inside", "PivotTracker", "Pivots", "check_options", "find_pivots"]

Inside = Literal["keep", "skip"]

_FEW = 32  # bars that cost less one by one than as arrays


class PivotTracker:
    """Find pivots in bars that arrive in chunks; the batch call is one big chunk.

    Args:
        strength: Per level, how many points on either side a pivot must strictly exceed.
        tie: `plateau` collapses a run of equal values to its first bar; `strict` lets a plateau hide a pivot.
        inside: `skip` drops bars inside the last kept bar (Williams' rule) before anything else; `keep` keeps them.
        max_gap: A hole of more missing bars splits the series; None never splits.
        lowest: The lowest level to return; all are found.

    Raises:
        InputError: If an option is none of these.

    Source: Larry Williams, Long-Term Secrets to Short-Term Trading (1999): short- and intermediate-term highs.
    """

    def __init__(
        self,
        strength: Sequence[int] = (1, 1),
        tie: Tie = "plateau",
        inside: Inside = "keep",
        max_gap: int | None = None,
        lowest: int = 1,
    ) -> None:
        check_options(strength, tie, inside, max_gap)
        check_at_least("lowest", lowest, 1)
        self.strength = tuple(strength)
        self.tie = tie
        self.inside = inside
        self.max_gap = max_gap
        self.lowest = lowest
        self.n_bars = 0  # bars seen so far
        self._rules = {kind: [PeakRule(kind, k, tie) for k in strength] for kind in (HIGH, LOW)}
        self._tails: dict[int, list[list[Point]]] = {kind: [[] for _ in strength] for kind in (HIGH, LOW)}
        self._last_open = 0  # of the last bar, ms
        self._timeframe = 0  # of the series, ms
        self._kept: tuple[float, float] | None = None  # low and high of the last kept bar
        self._segment = 0

    def update(self, bars: Bars) -> tuple[Pivots, Pivots]:
        """Return the highs and the lows that became known with these bars, the next of the series.

        Raises:
            InputError: If the bars do not follow the last ones, or their timeframe differs.
        """
        self._check_follows(bars)
        if 0 < len(bars) <= _FEW:
            return self._push_each(bars)
        segment = self._number_segments(bars)
        kept = self._drop_inside(bars, segment)
        chunk = Chunk(bars, self.n_bars, kept, segment, self._rules, self._tails, self.lowest)
        found = {kind: chunk.climb(kind) for kind in (HIGH, LOW)}
        self._tails = {kind: tails for kind, (_, tails) in found.items()}
        self._move_on(bars, 0 if segment is None or not len(bars) else int(segment[-1]))
        return _pivots(chunk, HIGH, found[HIGH][0]), _pivots(chunk, LOW, found[LOW][0])

    def _push_each(self, bars: Bars) -> tuple[Pivots, Pivots]:
        """Do what `update` does for a few bars, in plain numbers."""
        self._timeframe = int(bars.timeframe.view(np.int64))
        rows: dict[int, list[Row]] = {HIGH: [], LOW: []}
        for time, high, low in zip(
            bars.open_time.view(np.int64).tolist(), bars.high.tolist(), bars.low.tolist(), strict=True
        ):
            if self._is_kept(time, high, low):
                rows[HIGH] += self._push(HIGH, (self.n_bars, high, self.n_bars, time, self._segment))
                rows[LOW] += self._push(LOW, (self.n_bars, low, self.n_bars, time, self._segment))
            self.n_bars += 1
        highs, lows = (Pivots.of_rows(kind, rows[kind]) if rows[kind] else _none(kind) for kind in (HIGH, LOW))
        return highs, lows

    def _is_kept(self, time: int, high: float, low: float) -> bool:
        """Say whether the next bar counts, and note where it stands."""
        gap, self._last_open = time - self._last_open, time
        if self.max_gap is not None and self.n_bars and gap > (self.max_gap + 1) * self._timeframe:
            self._segment += 1
            self._kept = None
        if self.inside == "keep":
            return True
        is_inside = self._kept is not None and high <= self._kept[1] and low >= self._kept[0]
        self._kept = self._kept if is_inside else (low, high)
        return not is_inside

    def _push(self, kind: int, point: Point) -> list[Row]:
        """Run level after level until one makes nothing certain."""
        rows = []
        for level, (rule, tail) in enumerate(zip(self._rules[kind], self._tails[kind], strict=True), start=1):
            found = push_point(rule, tail, point)
            if found is None:
                break
            point, distance = found
            bar, price, known_at, time, segment = point
            if level >= self.lowest:
                rows.append((bar, price, known_at, level, distance, time, segment))
        return rows

    def _move_on(self, bars: Bars, segment: int) -> None:
        if len(bars):
            self.n_bars += len(bars)
            self._last_open = int(bars.open_time[-1:].view(np.int64)[0])
            self._timeframe = int(bars.timeframe.view(np.int64))
            self._segment = segment

    def state_dict(self) -> dict[str, Any]:
        """Return what the tracker carries from chunk to chunk, in plain types; a few points a level."""
        return {
            "n_bars": self.n_bars,
            "last_open": self._last_open,
            "timeframe": self._timeframe,
            "kept": None if self._kept is None else list(self._kept),
            "segment": self._segment,
            "tails": {kind: [list(tail) for tail in self._tails[kind]] for kind in (HIGH, LOW)},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where the tracker of the same options that gave `state` stood."""
        self.n_bars, self._last_open, self._timeframe = state["n_bars"], state["last_open"], state["timeframe"]
        self._kept = None if state["kept"] is None else (state["kept"][0], state["kept"][1])
        self._segment = state["segment"]
        self._tails = {
            int(kind): [[tuple(point) for point in tail] for tail in tails] for kind, tails in state["tails"].items()
        }

    def segment_starts(self, bars: Bars) -> IntArray:
        """Return at which of the next bars of the series a hole has ended a segment, before they are tracked."""
        segment = self._number_segments(bars)
        if segment is None:
            return np.zeros(0, dtype=np.int64)
        return self.n_bars + np.flatnonzero(np.diff(segment, prepend=self._segment))

    def _number_segments(self, bars: Bars) -> IntArray | None:
        if self.max_gap is None:
            return None
        if not self.n_bars:
            return segments(bars.open_time, bars.timeframe, self.max_gap)
        times = np.concatenate([[np.datetime64(self._last_open, "ms")], bars.open_time])
        return self._segment + segments(times, bars.timeframe, self.max_gap)[1:]

    def _drop_inside(self, bars: Bars, segment: IntArray | None) -> IntArray | None:
        """Return the bars to keep, None for all; a loop, since each is compared with the last kept (7 M bars/s)."""
        if self.inside == "keep":
            return None
        low, high = self._kept or (np.inf, -np.inf)
        before = self._segment
        kept = []
        numbers = [0] * len(bars) if segment is None else segment.tolist()
        rows = zip(bars.low.tolist(), bars.high.tolist(), numbers, strict=True)
        for i, (bar_low, bar_high, here) in enumerate(rows):
            if here != before or bar_high > high or bar_low < low:
                low, high, before = bar_low, bar_high, here
                kept.append(i)
        self._kept = (low, high) if len(bars) else self._kept
        return np.array(kept, dtype=np.int64)

    def _check_follows(self, bars: Bars) -> None:
        if not self.n_bars or not len(bars):
            return
        timeframe, first = np.timedelta64(self._timeframe, "ms"), bars.open_time[0]
        last = np.datetime64(self._last_open, "ms")
        if bars.timeframe != timeframe:
            raise InputError(f"`bars` must keep the timeframe {timeframe}, got {bars.timeframe}.")
        if first < last + timeframe:
            raise InputError(f"`bars` must start after the last bar {last}, got {first}.")


def find_pivots(
    bars: Bars,
    strength: Sequence[int] = (1, 1),
    tie: Tie = "plateau",
    inside: Inside = "keep",
    max_gap: int | None = None,
) -> tuple[Pivots, Pivots]:
    """Return the highs and the lows of all levels; see `PivotTracker` for the options.

    Example:
        >>> price = np.array([1.0, 3.0, 2.0, 5.0, 1.0, 4.0, 1.0])
        >>> times = np.arange(7).astype("datetime64[m]")
        >>> highs, lows = find_pivots(Bars(times, price, price, price, price, price, np.timedelta64(1, "m")))
        >>> [(int(p), int(level), int(known)) for p, level, known in zip(highs.bar, highs.level, highs.known_at)]
        [(1, 1, 2), (3, 1, 4), (5, 1, 6), (3, 2, 6)]
    """
    return PivotTracker(strength, tie, inside, max_gap).update(bars)


def check_options(strength: Sequence[int], tie: str, inside: str, max_gap: int | None) -> None:
    """Raise an `InputError` unless the options are those of `PivotTracker`."""
    if isinstance(strength, str) or not isinstance(strength, Sequence) or not len(strength):
        raise InputError(f"`strength` must list one integer a level, got {strength!r}.")
    for k in strength:
        check_at_least("strength", k, 1)
    check_choice("tie", tie, ("plateau", "strict"))
    check_choice("inside", inside, ("keep", "skip"))
    if max_gap is not None:
        check_at_least("max_gap", max_gap, 0)


def _pivots(chunk: Chunk, kind: int, levels: Sequence[Found]) -> Pivots:
    column = partial(chunk.column, kind)
    parts = [LevelPart(found.level, partial(column, found), partial(column, found.last())) for found in levels]
    return Pivots.of_levels(kind, parts)


@cache
def _none(kind: int) -> Pivots:
    return Pivots.of_rows(kind, [])
