"""Pivots, lines and labels by plain loops, written from the rules of the design and not from the code."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from trendtrain.market import Bars

HIGH, LOW = 0, 1
DOWN, UP, FLAT, UNKNOWN = 0, 1, 2, -1


class SlowPivot(NamedTuple):
    kind: int
    level: int
    bar: int
    price: float
    known_at: int
    prominence: float
    segment: int


class SlowLine(NamedTuple):
    kind: int
    first_bar: int
    last_bar: int
    first_price: float
    last_price: float
    known_at: int
    direction: int


class SlowLabel(NamedTuple):
    direction: int
    known_at: int
    line: SlowLine | None


def slow_segments(bars: Bars, max_gap: int | None) -> list[int]:
    numbers: list[int] = []
    for i in range(len(bars)):
        if i == 0:
            numbers.append(0)
            continue
        n_missing = (bars.open_time[i] - bars.open_time[i - 1]) / bars.timeframe - 1
        is_split = max_gap is not None and n_missing > max_gap
        numbers.append(numbers[-1] + is_split)
    return numbers


def slow_pivots(
    bars: Bars, strength: Sequence[int] = (1, 1), tie: str = "plateau", inside: str = "keep", max_gap: int | None = None
) -> list[SlowPivot]:
    """Return the pivots of both kinds and all levels, by kind, then level, then bar."""
    members: dict[int, list[int]] = {}
    for i, number in enumerate(slow_segments(bars, max_gap)):
        members.setdefault(number, []).append(i)
    found = []
    for kind in (HIGH, LOW):
        for number, of_segment in members.items():
            kept: list[int] = []
            for i in of_segment:
                if not (inside == "skip" and kept and _is_inside(bars, i, kept[-1])):
                    kept.append(i)
            found += _climb(bars, kind, number, kept, strength, tie)
    return sorted(found, key=lambda pivot: (pivot.kind, pivot.level, pivot.bar))


def _is_inside(bars: Bars, i: int, last: int) -> bool:
    return bool(bars.high[i] <= bars.high[last] and bars.low[i] >= bars.low[last])


def _climb(bars: Bars, kind: int, segment: int, kept: list[int], strength: Sequence[int], tie: str) -> list[SlowPivot]:
    prices = bars.high if kind == HIGH else bars.low
    found = []
    points = [(bar, prices[bar].item(), bar) for bar in kept]  # where it lies, its price, when it is known
    for level, k in enumerate(strength, start=1):
        if tie == "plateau":
            points = [point for i, point in enumerate(points) if i == 0 or point[1] != points[i - 1][1]]
        pivots = []
        for i in range(k, len(points) - k):
            bar, price, _ = points[i]
            others = [point[1] for point in points[i - k : i] + points[i + 1 : i + 1 + k]]
            if all(price > other if kind == HIGH else price < other for other in others):
                prominence = min(abs(price - points[i - 1][1]), abs(price - points[i + 1][1]))
                pivots.append(SlowPivot(kind, level, bar, price, points[i + k][2], prominence, segment))
        found += pivots
        points = [(pivot.bar, pivot.price, pivot.known_at) for pivot in pivots]
    return found


def slow_lines(pivots: list[SlowPivot], flat_band: float = 0.0) -> list[SlowLine]:
    """Return the lines through level-2 pivots in the order in which they became known."""
    lines = []
    for kind in (HIGH, LOW):
        points = [pivot for pivot in pivots if pivot.kind == kind and pivot.level == 2]
        for first, last in pairwise(points):
            if first.segment == last.segment:
                lines.append(_line(first, last, flat_band))
    return sorted(lines, key=lambda line: (line.known_at, line.last_bar, line.kind))


def _line(first: SlowPivot, last: SlowPivot, flat_band: float) -> SlowLine:
    change = last.price - first.price
    direction = FLAT if abs(change) / first.price <= flat_band else UP if change > 0 else DOWN
    return SlowLine(first.kind, first.bar, last.bar, first.price, last.price, last.known_at, direction)


def slow_labels(bars: Bars, flat_band: float = 0.0, **options: object) -> list[SlowLabel]:
    pivots = slow_pivots(bars, **options)  # type: ignore[arg-type]
    segment = slow_segments(bars, options.get("max_gap"))  # type: ignore[arg-type]
    points = {kind: [pivot for pivot in pivots if pivot.kind == kind and pivot.level == 2] for kind in (HIGH, LOW)}
    places = {kind: [pivot.bar for pivot in points[kind]] for kind in (HIGH, LOW)}
    labels = []
    for t in range(len(bars)):
        candidates = []
        for kind in (HIGH, LOW):
            after = bisect_right(places[kind], t)
            next_two = points[kind][after : after + 2]
            if len(next_two) == 2 and all(pivot.segment == segment[t] for pivot in next_two):
                candidates.append(_line(*next_two, flat_band))
        if candidates:
            line = min(candidates, key=lambda line: (line.known_at, line.last_bar, line.kind))
            labels.append(SlowLabel(line.direction, line.known_at, line))
        else:
            after = bisect_right(segment, segment[t])
            labels.append(SlowLabel(UNKNOWN, after if after < len(bars) else -1, None))
    return labels
