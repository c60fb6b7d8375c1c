"""Find the peaks of a sequence of points that arrives in chunks: one level of one kind of pivot."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from trendtrain.market.bars import FloatArray, IntArray, TimeArray

Tie = Literal["plateau", "strict"]
Point = tuple[int, float, int, int, int]  # bar, price (lows negated), known_at, open time in ms, segment


@dataclass(frozen=True, eq=False)
class Points:
    """What a level reads: points in order, each with the bar at which it is known; lows come negated."""

    bar: IntArray
    price: FloatArray  # lows negated, so that a pivot is always a peak
    known_at: IntArray
    time: TimeArray
    segment: IntArray | None  # None where nothing splits the series

    def __len__(self) -> int:
        return len(self.bar)

    def at(self, index: IntArray | slice) -> "Points":
        """Return the points at `index`."""
        segment = None if self.segment is None else self.segment[index]
        return Points(self.bar[index], self.price[index], self.known_at[index], self.time[index], segment)

    @classmethod
    def of(cls, points: list[Point], has_segments: bool) -> "Points":
        """Return points given one by one."""
        bar, price, known_at, time, segment = zip(*points, strict=True) if points else ((), (), (), (), ())
        bars, known, times, numbers = (np.array(values, dtype=np.int64) for values in (bar, known_at, time, segment))
        prices = np.array(price, dtype=np.float64)
        return cls(bars, prices, known, times.view("datetime64[ms]"), numbers if has_segments else None)

    def as_list(self) -> list[Point]:
        """Return the points one by one."""
        segment = np.zeros(len(self), dtype=np.int64) if self.segment is None else self.segment
        columns = (self.bar, self.price, self.known_at, self.time.view(np.int64), segment)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def then(self, later: "Points") -> "Points":
        """Return these and later ones."""
        if not len(self):
            return later
        segment = None
        if self.segment is not None and later.segment is not None:
            segment = np.concatenate([self.segment, later.segment])
        names = ("bar", "price", "known_at", "time")
        arrays = {name: np.concatenate([getattr(self, name), getattr(later, name)]) for name in names}
        return Points(**arrays, segment=segment)


class PeakFinder:
    """One level of one kind: points in, in chunks of any size; peaks of `strength` out, as soon as they are certain."""

    def __init__(self, strength: int, tie: Tie) -> None:
        self.strength = strength
        self.tie = tie
        self.tail: list[Point] = []  # the last 2 * strength collapsed points: no other can be decided

    def update(self, points: Points) -> tuple[Points, FloatArray]:
        """Return the newly certain peaks, known when their last later neighbour is, and their prominence."""
        points = Points.of(self.tail, has_segments=points.segment is not None).then(points)
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
        self.tail = points.at(last).as_list()
        return replace(points.at(peak), known_at=points.known_at[confirming]), distance

    def push(self, point: Point) -> tuple[Point, float] | None:
        """Do what `update` does for one point, in plain numbers: a live bar costs microseconds, arrays a hundred."""
        tail, reach = self.tail, self.strength
        _, price, known_at, _, segment = point
        if self.tie == "plateau" and tail and tail[-1][1] == price and tail[-1][4] == segment:
            return None
        tail.append(point)
        if len(tail) <= 2 * reach:
            return None
        first, middle = tail[0], tail[reach]
        del tail[0]
        neighbours = (first, *tail[: reach - 1], *tail[reach:])
        if first[4] != segment or any(other[1] >= middle[1] for other in neighbours):
            return None
        before = tail[reach - 2] if reach > 1 else first
        distance = min(middle[1] - before[1], middle[1] - tail[reach][1])
        return (middle[0], middle[1], known_at, middle[3], middle[4]), distance


def _run_starts(points: Points) -> IntArray | None:
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
