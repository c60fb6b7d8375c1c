"""Swing highs and lows at any level, each with the bar at which it became certain."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np

from trendtrain.errors import InputError, check_at_least, check_choice
from trendtrain.market.bars import Bars, BoolArray, FloatArray, IntArray, TimeArray, segments

HIGH = 0
LOW = 1

_BLOCK = 65_536  # points a pass: larger ones leave the cache and run 1.5 times slower

Tie = Literal["plateau", "strict"]
Inside = Literal["keep", "skip"]


@dataclass(frozen=True, eq=False)
class Pivots:
    """Swing highs, or swing lows, of all levels, in the order in which they became known.

    Attributes:
        kind: HIGH or LOW.
        bar: Where each lies, shape (n_pivots,).
        price: Its high or low.
        known_at: The bar at which it was certain.
        level: 1 on bars, 2 on level-1 pivots, and so on.
        prominence: The smaller price distance to its neighbours in the sequence it was found in.
        time: Open time of its bar, `datetime64[ms]`.
        segment: Number of the stretch between holes in which it lies.
    """

    kind: int
    bar: IntArray
    price: FloatArray
    known_at: IntArray
    level: IntArray
    prominence: FloatArray
    time: TimeArray
    segment: IntArray

    def __len__(self) -> int:
        return len(self.bar)

    def at_level(self, level: int) -> "Pivots":
        """Return the pivots of one level, in order of their bars."""
        return self.take(self.level == level)

    def then(self, later: "Pivots") -> "Pivots":
        """Return these and later ones of the kind."""
        return _joined([self, later])

    def take(self, index: IntArray | BoolArray) -> "Pivots":
        """Return the pivots at `index`."""
        arrays = {field.name: getattr(self, field.name)[index] for field in fields(self) if field.name != "kind"}
        return Pivots(kind=self.kind, **arrays)


@dataclass(frozen=True, eq=False)
class _Points:
    """What a level reads: points in order, each with the bar at which it is known."""

    bar: IntArray
    price: FloatArray  # lows negated, so that a pivot is always a peak
    known_at: IntArray
    time: TimeArray
    segment: IntArray | None  # None where nothing splits the series

    def __len__(self) -> int:
        return len(self.bar)

    def at(self, index: IntArray | slice) -> "_Points":
        segment = None if self.segment is None else self.segment[index]
        return _Points(self.bar[index], self.price[index], self.known_at[index], self.time[index], segment)

    def then(self, later: "_Points") -> "_Points":
        if not len(self):
            return later
        segment = None
        if self.segment is not None and later.segment is not None:
            segment = np.concatenate([self.segment, later.segment])
        names = ("bar", "price", "known_at", "time")
        arrays = {name: np.concatenate([getattr(self, name), getattr(later, name)]) for name in names}
        return _Points(**arrays, segment=segment)


class _PeakFinder:
    """One level of one kind: points in, in chunks of any size; peaks of `strength` out, as soon as they are certain."""

    def __init__(self, strength: int, tie: Tie) -> None:
        self.strength = strength
        self.tie = tie
        self._tail: _Points | None = None  # the last 2 * strength collapsed points: no other can be decided

    def update(self, points: _Points) -> tuple[_Points, FloatArray]:
        """Return the newly certain peaks, known when their last later neighbour is, and their prominence."""
        if self._tail is not None:
            points = self._tail.then(points)
        reach = self.strength
        kept = _run_starts(points) if self.tie == "plateau" else None
        price = points.price if kept is None else points.price[kept]
        segment = points.segment if kept is None or points.segment is None else points.segment[kept]
        peak = _peaks(price, segment, reach)
        distance = np.minimum(price[peak] - price[peak - 1], price[peak] - price[peak + 1])
        last: IntArray = np.arange(max(0, len(price) - 2 * reach), len(price))
        confirming = peak + reach
        if kept is not None:
            peak, confirming, last = kept[peak], kept[confirming], kept[last]
        self._tail = points.at(last)
        return replace(points.at(peak), known_at=points.known_at[confirming]), distance


class PivotTracker:
    """Find pivots in bars that arrive in chunks; the batch call is one big chunk.

    Args:
        strength: Per level, how many points on either side a pivot must strictly exceed.
        tie: `plateau` collapses a run of equal values to its first bar; `strict` lets a plateau hide a pivot.
        inside: `skip` drops bars inside the last kept bar (Williams' rule) before anything else; `keep` keeps them.
        max_gap: A hole of more missing bars splits the series; None never splits.

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
    ) -> None:
        check_options(strength, tie, inside, max_gap)
        self.strength = tuple(strength)
        self.tie = tie
        self.inside = inside
        self.max_gap = max_gap
        self._finders = {kind: [_PeakFinder(k, tie) for k in strength] for kind in (HIGH, LOW)}
        self._n_bars = 0
        self._last: Bars | None = None  # the last bar seen
        self._kept = (np.inf, -np.inf)  # low and high of the last kept bar
        self._segment = 0

    def update(self, bars: Bars) -> tuple[Pivots, Pivots]:
        """Return the highs and the lows that became known with these bars, the next of the series.

        Raises:
            InputError: If the bars do not follow the last ones, or their timeframe differs.
        """
        self._check_follows(bars)
        segment = self._number_segments(bars)
        kept = self._drop_inside(bars, segment)
        n_points = len(bars) if kept is None else len(kept)
        blocks = [slice(start, start + _BLOCK) for start in range(0, n_points, _BLOCK)] or [slice(0, 0)]
        found = [self._find(bars, segment, block if kept is None else kept[block]) for block in blocks]
        if len(bars):
            self._n_bars, self._last = self._n_bars + len(bars), bars[-1:]
            self._segment = 0 if segment is None else int(segment[-1])
        highs, lows = ([pair[kind] for pair in found] for kind in (HIGH, LOW))
        return _joined(highs), _joined(lows)

    def segment_starts(self, bars: Bars) -> IntArray:
        """Return at which of the next bars of the series a hole has ended a segment, before they are tracked."""
        segment = self._number_segments(bars)
        if segment is None:
            return np.zeros(0, dtype=np.int64)
        return self._n_bars + np.flatnonzero(np.diff(segment, prepend=self._segment))

    def _find(self, bars: Bars, segment: IntArray | None, part: slice | IntArray) -> tuple[Pivots, Pivots]:
        """Return what a block of points makes certain: some ten thousands of them stay in the processor's cache."""
        at = np.arange(part.start, min(part.stop, len(bars))) if isinstance(part, slice) else part
        bar, time = at + self._n_bars, bars.open_time[part]
        segment = None if segment is None else segment[part]
        highs = _Points(bar, bars.high[part], bar, time, segment)
        lows = _Points(bar, -bars.low[part], bar, time, segment)
        return self._climb(HIGH, highs), self._climb(LOW, lows)

    def _climb(self, kind: int, points: _Points) -> Pivots:
        """Run level after level; each reads the peaks of the one below."""
        levels: list[Pivots] = []
        for level, finder in enumerate(self._finders[kind], start=1):
            points, prominence = finder.update(points)
            price = points.price if kind == HIGH else -points.price
            segment = np.zeros(len(points), dtype=np.int64) if points.segment is None else points.segment
            own = (np.full(len(points), level), prominence, points.time, segment)
            levels.append(Pivots(kind, points.bar, price, points.known_at, *own))
        pivots = _joined(levels)
        return pivots.take(np.argsort(pivots.known_at, kind="stable"))

    def _number_segments(self, bars: Bars) -> IntArray | None:
        if self.max_gap is None:
            return None
        if self._last is None:
            return segments(bars.open_time, bars.timeframe, self.max_gap)
        times = np.concatenate([self._last.open_time, bars.open_time])
        return self._segment + segments(times, bars.timeframe, self.max_gap)[1:]

    def _drop_inside(self, bars: Bars, segment: IntArray | None) -> IntArray | None:
        """Return the bars to keep, None for all; a loop, since each is compared with the last kept (6 M bars/s)."""
        if self.inside == "keep":
            return None
        low, high = self._kept
        before = self._segment
        kept = []
        numbers = [0] * len(bars) if segment is None else segment.tolist()
        rows = zip(bars.low.tolist(), bars.high.tolist(), numbers, strict=True)
        for i, (bar_low, bar_high, here) in enumerate(rows):
            if here != before or bar_high > high or bar_low < low:
                low, high, before = bar_low, bar_high, here
                kept.append(i)
        self._kept = (low, high)
        return np.array(kept, dtype=np.int64)

    def _check_follows(self, bars: Bars) -> None:
        last = self._last
        if last is None or not len(bars):
            return
        if bars.timeframe != last.timeframe:
            raise InputError(f"`bars` must keep the timeframe {last.timeframe}, got {bars.timeframe}.")
        if bars.open_time[0] < last.close_time[0]:
            raise InputError(f"`bars` must start after the last bar {last.open_time[0]}, got {bars.open_time[0]}.")


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


def _run_starts(points: _Points) -> IntArray | None:
    """Return where runs of equal prices start; None where no two neighbours are equal."""
    is_new = points.price[1:] != points.price[:-1]
    if points.segment is not None:
        is_new |= points.segment[1:] != points.segment[:-1]
    if is_new.all():
        return None
    return np.concatenate([[0], np.flatnonzero(is_new) + 1])


def _peaks(price: FloatArray, segment: IntArray | None, reach: int) -> IntArray:
    """Return the points that exceed `reach` neighbours on either side, all of them in one segment."""
    n_inner = max(0, len(price) - 2 * reach)
    middle = price[reach : reach + n_inner]
    is_peak = middle > price[reach - 1 : reach - 1 + n_inner]
    is_peak &= middle > price[reach + 1 : reach + 1 + n_inner]
    peak = np.flatnonzero(is_peak) + reach
    for shift in (*range(-reach, -1), *range(2, reach + 1)):
        peak = peak[price[peak] > price[peak + shift]]
    return peak if segment is None else peak[segment[peak - reach] == segment[peak + reach]]


def _joined(parts: list[Pivots]) -> Pivots:
    if len(parts) == 1:
        return parts[0]
    names = [field.name for field in fields(Pivots) if field.name != "kind"]
    return Pivots(parts[0].kind, *(np.concatenate([getattr(part, name) for part in parts]) for name in names))
