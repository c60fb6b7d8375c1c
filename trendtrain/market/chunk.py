"""A chunk of bars as points for the levels to read, and what lies at each bar of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trendtrain.market.bars import Bars, FloatArray, IntArray
from trendtrain.market.columns import Column
from trendtrain.market.peaks import HIGH, LOW, PeakRule, Point, Points, next_peaks

_BLOCK = 65_536  # points a pass, so that what a pass makes stays in the processor's cache
_MOST_AGAIN = 256  # points read again with the next block: fewer than a copy of the block would cost


@dataclass(frozen=True, eq=False)
class Found:
    """The peaks of one level that a chunk made certain; shape (n_peaks,) each."""

    level: int
    bar: IntArray
    known_at: IntArray
    price: FloatArray  # empty at level 1, where it is the bars' own
    prominence: FloatArray  # empty where it was not asked for

    def last(self) -> "Found":
        """Return the last peak alone."""
        return Found(self.level, self.bar[-1:], self.known_at[-1:], self.price[-1:], self.prominence[-1:])


@dataclass(frozen=True, eq=False)
class Chunk:
    """The next bars of a series, after the points that earlier ones left undecided.

    Attributes:
        bars: The bars.
        first_bar: How many bars came before.
        kept: Positions of the bars that count, in order; None for all.
        segment: Number of the segment of each bar; None where nothing splits the series.
        rules: Per kind and level, what makes a peak.
        tails: Per kind and level, the undecided points.
        lowest: The lowest level whose peaks are wanted.
    """

    bars: Bars
    first_bar: int
    kept: IntArray | None
    segment: IntArray | None
    rules: dict[int, list[PeakRule]]
    tails: dict[int, list[list[Point]]]
    lowest: int

    def climb(self, kind: int, has_prominence: bool = False) -> tuple[list[Found], list[list[Point]]]:
        """Return the peaks of each level from the lowest wanted, and the points each level leaves undecided."""
        rules = self.rules[kind]
        tails = [Points.of(points, self.segment is not None) for points in self.tails[kind]]
        rows = [_Rows(level, self._most(level), has_prominence) for level in range(self.lowest, len(rules) + 1)]
        for points in self._blocks(kind):
            tails[0], points = self._widened(kind, tails[0], points)
            for level, rule in enumerate(rules, start=1):
                points, peaks, tails[level - 1] = next_peaks(rule, tails[level - 1], points)
                if level >= self.lowest:
                    rows[level - self.lowest].add(points, peaks.prominence if has_prominence else None)
        return [row.found() for row in rows], [self._as_list(kind, tail) for tail in tails]

    def column(self, kind: int, found: Found, name: str) -> Column:
        """Return a column of `Pivots` for the peaks of a level."""
        if name in ("bar", "known_at"):
            return found.bar if name == "bar" else found.known_at
        if name == "level":
            return np.full(len(found.bar), found.level)
        if name == "prominence":
            return self._prominences[kind][found.level - self.lowest]
        if name == "price" and found.level > 1:
            return found.price
        return self.at(kind, name, found.bar)

    def at(self, kind: int, name: str, bar: IntArray) -> Column:
        """Return the price, open time or segment of bars in ascending order, undecided ones of earlier chunks too."""
        n_early = int(np.searchsorted(bar, self.first_bar))
        late = bar[n_early:] - self.first_bar
        if name == "price":
            values: Column = (self.bars.high if kind == HIGH else self.bars.low)[late]
        elif name == "time":
            values = self.bars.open_time[late]
        else:
            values = np.zeros(len(late), dtype=np.int64) if self.segment is None else self.segment[late]
        if not n_early:
            return values
        place = {"price": 1, "time": 3, "segment": 4}[name]
        early = [self._early[kind][one][place] for one in bar[:n_early].tolist()]
        return np.concatenate([np.array(early).astype(values.dtype), values])

    @cached_property
    def _early(self) -> dict[int, dict[int, Point]]:
        return {kind: {point[0]: point for tail in tails for point in tail} for kind, tails in self.tails.items()}

    @cached_property
    def _prominences(self) -> dict[int, list[FloatArray]]:
        """Found by going through the bars once more: few ask for it, and all others would pay."""
        return {kind: [found.prominence for found in self.climb(kind, True)[0]] for kind in (HIGH, LOW)}

    def _blocks(self, kind: int) -> Iterator[Points]:
        price = self.bars.high if kind == HIGH else self.bars.low
        n_points = len(price) if self.kept is None else len(self.kept)
        for start in range(0, n_points, _BLOCK):
            end = min(start + _BLOCK, n_points)
            if self.kept is None:
                bar: range | IntArray = range(self.first_bar + start, self.first_bar + end)
                part: slice | IntArray = slice(start, end)
            else:
                part = self.kept[start:end]
                bar = part + self.first_bar
            yield Points(price[part], bar, bar, self._segment_of(part))

    def _widened(self, kind: int, tail: Points, points: Points) -> tuple[Points, Points]:
        """Return no tail, and points that start where it started, where both lie in a row: that saves a copy."""
        bar = points.bar
        if not isinstance(bar, range) or not len(tail):
            return tail, points
        first = int(tail.bar[0])
        if not max(self.first_bar, bar.start - _MOST_AGAIN) <= first:
            return tail, points
        part = slice(first - self.first_bar, bar.stop - self.first_bar)
        price = (self.bars.high if kind == HIGH else self.bars.low)[part]
        bar = range(first, bar.stop)
        return Points.of([], self.segment is not None), Points(price, bar, bar, self._segment_of(part))

    def _segment_of(self, part: slice | IntArray) -> IntArray | None:
        return None if self.segment is None else self.segment[part]

    def _most(self, level: int) -> int:
        """Return how many peaks a level can have at most: no two points in a row are peaks."""
        n_points = len(self.bars)
        for _ in range(level):
            n_points = n_points // 2 + 1
        return n_points

    def _as_list(self, kind: int, points: Points) -> list[Point]:
        bar = np.asarray(points.bar)
        columns = (bar, points.price, np.asarray(points.known_at), self.at(kind, "time", bar).view(np.int64))
        segment = self.at(kind, "segment", bar)
        return list(zip(*(column.tolist() for column in (*columns, segment)), strict=True))


class _Rows:
    """Room for the peaks of a level: pages that stay empty cost nothing, a copy of all parts at the end would."""

    def __init__(self, level: int, most: int, has_prominence: bool) -> None:
        self._level = level
        self._n_rows = 0
        self._bar = np.empty(most, dtype=np.int64)
        self._known_at = np.empty(most, dtype=np.int64)
        self._price = np.empty(most if level > 1 else 0)
        self._prominence = np.empty(most if has_prominence else 0)

    def add(self, points: Points, prominence: FloatArray | None) -> None:
        part = slice(self._n_rows, self._n_rows + len(points))
        self._bar[part], self._known_at[part] = points.bar, points.known_at
        if self._level > 1:
            self._price[part] = points.price
        if prominence is not None:
            self._prominence[part] = prominence
        self._n_rows = part.stop

    def found(self) -> Found:
        part = slice(self._n_rows)
        return Found(self._level, self._bar[part], self._known_at[part], self._price[part], self._prominence[part])
