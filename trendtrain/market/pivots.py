"""Swing highs and lows at any level, each with the bar at which it became certain."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, Self

import numpy as np

from trendtrain.errors import InputError, check_at_least, check_choice
from trendtrain.market.bars import Bars, BoolArray, FloatArray, IntArray, TimeArray, segments

HIGH = 0
LOW = 1

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
    segment: IntArray

    def __len__(self) -> int:
        return len(self.bar)

    def __getitem__(self, index: IntArray | BoolArray | slice) -> "_Points":
        return _Points(*(getattr(self, field.name)[index] for field in fields(self)))

    def then(self, later: "_Points") -> "_Points":
        return _Points(*(np.concatenate([getattr(part, f.name) for part in (self, later)]) for f in fields(self)))

    @classmethod
    def none(cls) -> Self:
        whole = np.zeros(0, dtype=np.int64)
        return cls(whole, np.zeros(0), whole, np.zeros(0, dtype="datetime64[ms]"), whole)


class _PeakFinder:
    """One level of one kind: points in, in chunks of any size; peaks of `strength` out, as soon as they are certain."""

    def __init__(self, strength: int, tie: Tie) -> None:
        self.strength = strength
        self.tie = tie
        self._tail = _Points.none()  # the last 2 * strength collapsed points: all that later points can decide about

    def update(self, points: _Points) -> tuple[_Points, FloatArray]:
        """Return the newly certain peaks, known when their last later neighbour is, and their prominence."""
        points = self._tail.then(points)
        if self.tie == "plateau":
            points = points[_is_run_start(points)]
        reach = self.strength
        self._tail = points[max(0, len(points) - 2 * reach) :]
        peak = np.flatnonzero(_is_peak(points, reach)) + reach
        found = points[peak]
        distances = (found.price - points.price[peak - 1], found.price - points.price[peak + 1])
        known = _Points(found.bar, found.price, points.known_at[peak + reach], found.time, found.segment)
        return known, np.minimum(*distances)


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
        is_kept = self._drop_inside(bars, segment)
        bar = np.arange(self._n_bars, self._n_bars + len(bars))
        if len(bars):
            self._n_bars, self._last, self._segment = self._n_bars + len(bars), bars[-1:], int(segment[-1])
        highs = _Points(bar, bars.high, bar, bars.open_time, segment)[is_kept]
        lows = _Points(bar, -bars.low, bar, bars.open_time, segment)[is_kept]
        return self._climb(HIGH, highs), self._climb(LOW, lows)

    def _climb(self, kind: int, points: _Points) -> Pivots:
        """Run level after level; each reads the peaks of the one below."""
        found: list[Pivots] = []
        for level, finder in enumerate(self._finders[kind], start=1):
            points, prominence = finder.update(points)
            price = points.price if kind == HIGH else -points.price
            levels = np.full(len(points), level)
            found.append(
                Pivots(kind, points.bar, price, points.known_at, levels, prominence, points.time, points.segment)
            )
        return _in_order_known(found)

    def _number_segments(self, bars: Bars) -> IntArray:
        if self._last is None:
            return segments(bars.open_time, bars.timeframe, self.max_gap)
        times = np.concatenate([self._last.open_time, bars.open_time])
        return self._segment + segments(times, bars.timeframe, self.max_gap)[1:]

    def _drop_inside(self, bars: Bars, segment: IntArray) -> BoolArray | slice:
        """Say which bars are kept; a loop, since each bar is compared with the last kept one (6 M bars/s)."""
        if self.inside == "keep":
            return slice(None)
        low, high = self._kept
        before = self._segment
        is_kept = np.ones(len(bars), dtype=bool)
        rows = zip(bars.low.tolist(), bars.high.tolist(), segment.tolist(), strict=True)
        for i, (bar_low, bar_high, here) in enumerate(rows):
            if here == before and bar_high <= high and bar_low >= low:
                is_kept[i] = False
            else:
                low, high, before = bar_low, bar_high, here
        self._kept = (low, high)
        return is_kept

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


def _is_run_start(points: _Points) -> BoolArray:
    is_start = np.ones(len(points), dtype=bool)
    is_start[1:] = (points.price[1:] != points.price[:-1]) | (points.segment[1:] != points.segment[:-1])
    return is_start


def _is_peak(points: _Points, reach: int) -> BoolArray:
    """Say of each point but the first and last `reach` whether it exceeds that many on either side."""
    n_inner = max(0, len(points) - 2 * reach)
    price, segment = points.price, points.segment
    middle = price[reach : reach + n_inner]
    is_peak: BoolArray = segment[:n_inner] == segment[2 * reach : 2 * reach + n_inner]
    for shift in (*range(reach), *range(reach + 1, 2 * reach + 1)):
        is_peak &= middle > price[shift : shift + n_inner]
    return is_peak


def _in_order_known(levels: list[Pivots]) -> Pivots:
    joined = {
        field.name: np.concatenate([getattr(part, field.name) for part in levels])
        for field in fields(Pivots)
        if field.name != "kind"
    }
    order = np.lexsort((joined["level"], joined["known_at"]))
    return Pivots(kind=levels[0].kind, **joined).take(order)
