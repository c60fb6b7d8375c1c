"""Find the peaks of a sequence of points that arrives in parts: one level of one kind of pivot."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from trendtrain.market.bars import FloatArray, IntArray

HIGH = 0
LOW = 1

Tie = Literal["plateau", "strict"]
Point = tuple[int, float, int, int, int]  # bar, price, known_at, open time in ms, segment


@dataclass(frozen=True, eq=False)
class Points:
    """What a level reads: points in order, each with the bar at which it is known; a `range` for bars in a row."""

    price: FloatArray
    bar: IntArray | range
    known_at: IntArray | range
    segment: IntArray | None  # None where nothing splits the series

    def __len__(self) -> int:
        return len(self.price)

    @classmethod
    def of(cls, points: list[Point], has_segments: bool) -> "Points":
        """Return points given one by one."""
        bar, price, known_at, _, segment = zip(*points, strict=True) if points else [()] * 5
        bars, known, numbers = (np.array(values, dtype=np.int64) for values in (bar, known_at, segment))
        return cls(np.array(price, dtype=np.float64), bars, known, numbers if has_segments else None)


@dataclass(frozen=True)
class PeakRule:
    """What makes a point a peak: a high strictly above, a low strictly below its neighbours.

    Attributes:
        kind: HIGH or LOW.
        strength: How many points on either side it must exceed.
        tie: Whether a run of equal prices is one point, at its first bar.
    """

    kind: int
    strength: int
    tie: Tie

    def beyond(self, price: FloatArray, other: FloatArray) -> np.typing.NDArray[np.bool_]:
        """Say where a price lies beyond another: above for highs, below for lows."""
        return price > other if self.kind == HIGH else price < other


@dataclass(frozen=True, eq=False)
class Peaks:
    """Peaks among points, by position: where each lies, the next point that differs, and the one that made it certain.

    Attributes:
        price: Prices of all points, the tail included, shape (n_points,).
        at, after, confirm: Positions in `price`, ascending, shape (n_peaks,).
    """

    price: FloatArray
    at: IntArray
    after: IntArray
    confirm: IntArray

    @property
    def prominence(self) -> FloatArray:
        """The smaller price distance to the neighbours, shape (n_peaks,)."""
        top = self.price[self.at]
        smaller: FloatArray = np.minimum(abs(top - self.price[self.at - 1]), abs(top - self.price[self.after]))
        return smaller


def next_peaks(rule: PeakRule, tail: Points, points: Points) -> tuple[Points, Peaks, Points]:
    """Return the peaks that `points` make certain, how they lie, and the tail to give with the next points.

    Args:
        rule: What makes a peak.
        tail: The points still undecided, as the last call returned them.
        points: The next points of the sequence.
    """
    price = np.concatenate([tail.price, points.price]) if len(tail) else points.price
    segment = None if points.segment is None or tail.segment is None else np.append(tail.segment, points.segment)
    if rule.strength == 1 and rule.tie == "plateau" and segment is None:
        peaks = _turns(rule, price)
    else:
        peaks = _peaks(rule, price, segment)
    last = _last_points(rule, price, segment)
    found = Points(price.take(peaks.at), *_picked(tail, points, peaks.at, peaks.confirm), _numbers(segment, peaks.at))
    return found, peaks, Points(price[last], *_picked(tail, points, last, last), _numbers(segment, last))


def push_point(rule: PeakRule, tail: list[Point], point: Point) -> tuple[Point, float] | None:
    """Do what `next_peaks` does for one point, in plain numbers: a live bar costs microseconds, arrays a hundred.

    `tail` takes the point. Returns the peak that it makes certain and its prominence, or None.
    """
    reach, sign = rule.strength, 1.0 if rule.kind == HIGH else -1.0
    _, price, known_at, _, segment = point
    if rule.tie == "plateau" and tail and tail[-1][1] == price and tail[-1][4] == segment:
        return None
    tail.append(point)
    if len(tail) <= 2 * reach:
        return None
    first, middle = tail[0], tail[reach]
    del tail[0]
    neighbours = (first, *tail[: reach - 1], *tail[reach:])
    if first[4] != segment or any(sign * other[1] >= sign * middle[1] for other in neighbours):
        return None
    before = tail[reach - 2] if reach > 1 else first
    distance = min(abs(middle[1] - before[1]), abs(middle[1] - tail[reach][1]))
    return (middle[0], middle[1], known_at, middle[3], middle[4]), distance


def _turns(rule: PeakRule, price: FloatArray) -> Peaks:
    """Return peaks of strength 1: where a move beyond is followed by a move back, whatever stands still between."""
    is_beyond, is_move = rule.beyond(price[1:], price[:-1]), price[1:] != price[:-1]
    if is_move.all():
        at = np.flatnonzero(is_beyond[:-1] > is_beyond[1:]) + 1
        after = at + 1
        return Peaks(price, at, after, after)
    moves = np.flatnonzero(is_move)
    is_beyond = is_beyond.take(moves, mode="wrap")  # wrap: no bounds to check, a fifth faster
    turn = np.flatnonzero(is_beyond[:-1] > is_beyond[1:])
    confirm = moves.take(turn + 1) + 1
    return Peaks(price, moves.take(turn) + 1, confirm, confirm)


def _peaks(rule: PeakRule, price: FloatArray, segment: IntArray | None) -> Peaks:
    """Return the points beyond `strength` neighbours on either side, all of them in one segment."""
    every = _run_starts(price, segment) if rule.tie == "plateau" else np.arange(len(price))
    reach, level = rule.strength, price[every]
    middle = level[reach : max(reach, len(level) - reach)]
    peak = np.arange(reach, reach + len(middle))
    for shift in (-1, 1, *range(-reach, -1), *range(2, reach + 1)):
        peak = peak[rule.beyond(level[peak], level[peak + shift])]
    if segment is not None:
        numbers = segment[every]
        peak = peak[numbers[peak - reach] == numbers[peak + reach]]
    return Peaks(price, every[peak], every[peak + 1], every[peak + reach])


def _run_starts(price: FloatArray, segment: IntArray | None) -> IntArray:
    """Return where runs of equal prices start."""
    is_new = np.ones(len(price), dtype=np.bool_)
    np.not_equal(price[1:], price[:-1], out=is_new[1:])
    if segment is not None:
        is_new[1:] |= segment[1:] != segment[:-1]
    return np.flatnonzero(is_new)


def _last_points(rule: PeakRule, price: FloatArray, segment: IntArray | None) -> IntArray:
    """Return the last points that count, twice the strength: no other can be decided later."""
    n_last = 2 * rule.strength
    if rule.tie == "strict":
        return np.arange(max(0, len(price) - n_last), len(price))
    n_read = 4 * n_last
    while True:
        start = max(0, len(price) - n_read)
        last = _run_starts(price[start:], None if segment is None else segment[start:])[-n_last:] + start
        if start == 0 or last[0] > start:  # the run that `start` cuts may begin before it
            return last
        n_read *= 8


def _picked(tail: Points, points: Points, at: IntArray, confirm: IntArray) -> tuple[IntArray, IntArray]:
    """Return the bars of the points at `at`, and when those at `confirm` are known."""
    return _pick(tail.bar, points.bar, at), _pick(tail.known_at, points.known_at, confirm)


def _pick(tail: IntArray | range, values: IntArray | range, at: IntArray) -> IntArray:
    """Return what stands at ascending positions `at` of tail and values in a row."""
    if not isinstance(values, range):
        return np.append(tail, values)[at] if len(tail) else values[at]
    picked = at + (values.start - len(tail))
    if len(tail):
        n_early = int(np.searchsorted(at, len(tail)))
        picked[:n_early] = np.asarray(tail)[at[:n_early]]
    return picked


def _numbers(segment: IntArray | None, at: IntArray) -> IntArray | None:
    return None if segment is None else segment[at]
