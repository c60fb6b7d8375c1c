"""Delayed labels: the direction each bar's prediction will be judged by, and when that is known."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from trendtrain.errors import InputError
from trendtrain.market.bars import Bars, BoolArray, IntArray, Series, TimeArray, check_bars, make_read_only
from trendtrain.market.codes import LARGEST_EVENT, whole_numbers
from trendtrain.market.directions import DIRECTION_MEANING, FLAT, UNKNOWN
from trendtrain.market.lines import NO_LINES, NO_RUNS, LabelRuns, Lines, LineTracker
from trendtrain.market.pivots import PivotTracker
from trendtrain.market.rules import PivotRules, rules_from

Now = int | np.integer | np.datetime64


@dataclass(frozen=True, eq=False)
class KnownLabels:
    """Labels that became known, as runs of rows that share one, in order of time, then event, then row.

    Attributes:
        start: First row of each run, int64, shape (n_runs,).
        end: The row after its last.
        direction: UP, DOWN, FLAT, or UNKNOWN where a hole ended the segment, int8.
        known_at: The row at whose close the label is known.
        known_time: That close, `datetime64[ms]`.
        event: What judges the run; -1 for none.
        line: The line that judges, an index into `lines`; -1 for none.
        lines: The lines that judge; bars in them are rows.
    """

    start: IntArray
    end: IntArray
    direction: IntArray
    known_at: IntArray
    known_time: TimeArray
    event: IntArray
    line: IntArray
    lines: Lines

    def __post_init__(self) -> None:
        make_read_only(self)

    def __len__(self) -> int:
        return len(self.start)

    @classmethod
    def of_runs(cls, runs: LabelRuns, known_time: TimeArray, n_lines: int) -> "KnownLabels":
        """Wrap what a tracker found in one chunk; its bars are the rows.

        Args:
            runs: What became known.
            known_time: The close of `known_at` of each run.
            n_lines: How many lines of the series were known before.
        """
        line = np.where(runs.event < 0, -1, runs.event - n_lines)
        return cls(runs.start, runs.end, runs.direction, runs.known_at, known_time, runs.event, line, runs.lines)

    @classmethod
    def join(cls, parts: list["KnownLabels"]) -> "KnownLabels":
        """Return all parts as one, in order of time, then event, then row; of no parts, none."""
        parts = parts or [cls.of_runs(NO_RUNS, np.zeros(0, "datetime64[ms]"), 0)]
        offset = np.cumsum([0, *(len(part.lines) for part in parts)])
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
        moved = [_moved(part.line, by) for part, by in zip(parts, offset.tolist(), strict=False)]
        columns["line"] = np.concatenate(moved)
        order = np.lexsort((columns["start"], columns["event"], columns["known_time"]))
        arrays = {name: column[order] for name, column in columns.items()}
        return cls(**arrays, lines=Lines.join([part.lines for part in parts]))


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of one or more series, kept as runs of bars that share one.

    With several series, bars, lines and `known_at` count on from one series to the next: a bar is then a *row*.

    Attributes:
        close_time: When each bar is known, `datetime64[ms]`, shape (n_bars,).
        start: First bar of each run, ascending from 0, shape (n_runs,).
        run_direction: UP, DOWN, FLAT, or UNKNOWN, of each run.
        run_known_at: The bar at whose close the run's label is known; -1 for not yet. A known UNKNOWN is void: a hole
            in the series ended its segment.
        run_event: The line that judges the run, an index into `lines`; -1 for none.
        lines: All lines, in the order they became known (in each series).
        series: Name of each series.
        offset: First bar of each series and the end of the last, shape (n_series + 1,).
    """

    close_time: TimeArray
    start: IntArray
    run_direction: IntArray
    run_known_at: IntArray
    run_event: IntArray
    lines: Lines
    series: tuple[Series, ...]
    offset: IntArray

    def __post_init__(self) -> None:
        make_read_only(self)

    def __len__(self) -> int:
        return int(self.offset[-1])

    def _per_bar(self, run_values: IntArray) -> IntArray:
        values = np.repeat(run_values, np.diff(self.start, append=len(self)))
        values.flags.writeable = False  # kept by a cached property
        return values

    @cached_property
    def direction(self) -> IntArray:
        """UP, DOWN, FLAT or UNKNOWN of each bar, int8, shape (n_bars,)."""
        return self._per_bar(self.run_direction)

    @cached_property
    def known_at(self) -> IntArray:
        """The bar at whose close each bar's label is known, or -1, shape (n_bars,)."""
        return self._per_bar(self.run_known_at)

    @cached_property
    def event(self) -> IntArray:
        """The line that judges each bar's prediction, or -1, shape (n_bars,)."""
        return self._per_bar(self.run_event)

    @cached_property
    def series_index(self) -> IntArray:
        """Which of `series` each bar belongs to, shape (n_bars,)."""
        index = np.repeat(np.arange(len(self.series)), np.diff(self.offset))
        index.flags.writeable = False
        return index

    @cached_property
    def events(self) -> tuple[IntArray, IntArray]:
        """When each event that judges any bar is known (its bar) and its direction, in order of the event."""
        is_judged = self.run_event >= 0
        _, first = np.unique(self.run_event[is_judged], return_index=True)
        return self.run_known_at[is_judged][first], self.run_direction[is_judged][first]

    def known(self, now: Now, bars: IntArray | None = None) -> BoolArray:
        """Return which labels are known by `now`; only here is a fact compared with `now`.

        Args:
            now: The last closed bar of the only series, or its close time.
            bars: Which bars to ask about; None for all.

        Returns:
            A mask, shape (n_bars,) or that of `bars`.
        """
        known_at = self.known_at if bars is None else self.known_at[bars]
        if isinstance(now, np.datetime64):
            is_known: BoolArray = (known_at >= 0) & (self.close_time[known_at] <= now)
            return is_known
        self._check_bar(now)
        return (known_at >= 0) & (known_at <= now)

    def newly_known(self, after: np.datetime64 | None, now: np.datetime64) -> IntArray:
        """Return the bars whose labels became known after `after` (None: ever) and by `now`, in that order.

        Costs O(log n_bars) and the bars returned, so that a clock's steps cost no more than its bars.
        """
        known = self.known_labels(now, after)
        return ranges(known.start, known.end)

    def known_labels(self, now: Now, after: np.datetime64 | None = None, rows: IntArray | None = None) -> KnownLabels:
        """Return the labels that became known after `after` (None: ever) and by `now`.

        Costs O(log n_runs) and the runs returned.

        Args:
            now: The last closed bar of the only series, or its close time.
            after: A close time.
            rows: The bars to ask about, None for all; to find few costs less. Others may be returned too.
        """
        if rows is None or len(rows) >= len(self.start):
            runs, known_time = self._arrivals
        else:
            runs, known_time = self._in_order(np.unique(np.searchsorted(self.start, rows, side="right") - 1))
        if not isinstance(now, np.datetime64):
            self._check_bar(now)
            now = self.close_time[now] if now >= 0 else _BEFORE_ALL
        first = 0 if after is None else int(np.searchsorted(known_time, after, side="right"))
        part = slice(first, int(np.searchsorted(known_time, now, side="right")))
        runs, event = runs[part], self.run_event[runs[part]]
        line, has_line = np.full(len(event), -1), (event >= 0) & (event < len(self.lines))  # a user's own have none
        judging, line[has_line] = np.unique(event[has_line], return_inverse=True)
        return KnownLabels(
            start=self.start[runs],
            end=self._end[runs],
            direction=self.run_direction[runs],
            known_at=self.run_known_at[runs],
            known_time=known_time[part],
            event=event,
            line=line,
            lines=self.lines[judging],
        )

    @cached_property
    def _end(self) -> IntArray:
        return np.append(self.start[1:], len(self))

    @cached_property
    def _arrivals(self) -> tuple[IntArray, TimeArray]:
        return self._in_order(np.arange(len(self.start)))

    def _in_order(self, runs: IntArray) -> tuple[IntArray, TimeArray]:
        """Return those runs whose label is ever known, in order of time, then event, then row, and the times."""
        runs = runs[self.run_known_at[runs] >= 0]
        known_time = self.close_time[self.run_known_at[runs]]
        order = np.lexsort((runs, self.run_event[runs], known_time))
        return runs[order], known_time[order]

    def _check_bar(self, now: int | np.integer) -> None:
        if len(self.series) > 1:
            raise InputError(f"`now` must be a time where labels span {len(self.series)} series, got bar {now}.")

    @classmethod
    def of_bars(cls, bars: Bars, direction: IntArray, known_at: IntArray, event: IntArray) -> "Labels":
        """Wrap the labels of a user's own rule, one a bar.

        Args:
            bars: The bars labelled.
            direction: UP (1), DOWN (0), FLAT (2) or UNKNOWN (-1) of each, shape (n_bars,).
            known_at: The bar at whose close each label is known, -1 for not yet.
            event: What judges it: bars that share an event count as one observation; -1 for none, as where the
                direction is UNKNOWN.

        Raises:
            InputError: If a shape differs, a value is no whole number or lies outside its range, an UNKNOWN has an
                event, a label is known before its bar, or bars of an event disagree.
        """
        n = len(bars)
        direction = whole_numbers("direction", direction, UNKNOWN, FLAT, DIRECTION_MEANING, n)
        known_at = whole_numbers("known_at", known_at, -1, n - 1, ", a bar, or -1 for not yet", n)
        event = whole_numbers("event", event, -1, LARGEST_EVENT, ", or -1 for none", n)
        every = np.arange(n)
        if ((direction == UNKNOWN) & (event >= 0)).any():
            bar = int(np.argmax((direction == UNKNOWN) & (event >= 0)))
            rule = "must be -1 where `direction` is -1, unknown (if -1 means down: down is 0, up 1)"
            raise InputError(f"`event` {rule}, got {event[bar]} for bar {bar}.")
        if ((direction != UNKNOWN) & (event < 0)).any():
            bar = int(np.argmax((direction != UNKNOWN) & (event < 0)))
            raise InputError(f"`event` must name what judges each bar that has a direction, got -1 for bar {bar}.")
        if ((known_at >= 0) & (known_at <= every)).any():
            bar = int(np.argmax((known_at >= 0) & (known_at <= every)))
            raise InputError(f"`known_at` must lie after the bar labelled, got {known_at[bar]} for bar {bar}.")
        _check_events(direction, known_at, event)
        columns = np.column_stack([direction, known_at, event])
        start = np.flatnonzero(np.append(True, (columns[1:] != columns[:-1]).any(axis=1))[:n])
        return cls(
            bars.close_time,
            start,
            direction[start].astype(np.int8),
            known_at[start],
            event[start],
            NO_LINES,
            _UNNAMED,
            np.array([0, n]),
        )

    @classmethod
    def stack(cls, parts: dict[Series, "Labels"]) -> "Labels":
        """Join the labels of several series; bars, events and `known_at` count on."""
        offset = np.cumsum([0, *(len(part) for part in parts.values())])
        n_events = [max(len(part.lines), int(part.run_event.max(initial=-1)) + 1) for part in parts.values()]
        event_offset = np.cumsum([0, *n_events])
        shifted = [
            part._shifted(by, event_by)
            for part, by, event_by in zip(parts.values(), offset.tolist(), event_offset.tolist(), strict=False)
        ]
        names = ("close_time", "start", "run_direction", "run_known_at", "run_event")
        arrays = {name: np.concatenate([getattr(part, name) for part in shifted]) for name in names}
        lines = Lines.join([part.lines for part in shifted])
        return cls(**arrays, lines=lines, series=tuple(parts), offset=offset)

    def _shifted(self, by: int, event_by: int) -> "Labels":
        bars = {name: getattr(self.lines, name) + by for name in ("first_bar", "last_bar", "known_at")}
        known_at, event = _moved(self.run_known_at, by), _moved(self.run_event, event_by)
        lines = replace(self.lines, **bars)
        return replace(self, start=self.start + by, run_known_at=known_at, run_event=event, lines=lines)


class LabelTracker:
    """Label bars that arrive in chunks; the batch call `label_bars` is one big chunk.

    Args:
        rules: What makes a pivot, a line and a label; at least two levels. None for the defaults.
        options: Fields of `PivotRules`, in place of `rules`.

    Raises:
        InputError: If a rule is broken.
    """

    def __init__(self, rules: PivotRules | None = None, **options: Any) -> None:
        self.rules = rules_from(rules, options)
        if len(self.rules.strength) < 2:
            raise InputError(f"`strength` must have at least two levels for labels, got {self.rules.strength}.")
        self._pivots = PivotTracker(replace(self.rules, strength=self.rules.strength[:2]), lowest=2)
        self._lines = LineTracker(self.rules.flat_band)

    def update(self, bars: Bars) -> LabelRuns:
        """Return what became known with these bars, the next of the series.

        Raises:
            InputError: If the bars do not follow the last ones, or their timeframe differs.
        """
        rows = self._pivots.update_rows(bars)
        if not rows.n_highs and not rows.n_lows and not len(rows.holes):
            return NO_RUNS  # as after nine live bars in ten
        return self._lines.update(rows)

    def state_dict(self) -> dict[str, Any]:
        """Return the state, in plain types: no history."""
        return {"pivots": self._pivots.state_dict(), "lines": self._lines.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()` of a tracker with the same rules."""
        self._pivots.load_state_dict(state["pivots"])
        self._lines.load_state_dict(state["lines"])


def label_bars(bars: Bars, rules: PivotRules | None = None, **options: Any) -> Labels:
    """Label each bar with the first trend line both of whose level-2 pivots lie after it.

    Of the first such lines through highs and through lows the one known first counts; of two known at the same bar
    the one whose second pivot lies earlier; then highs.

    Args:
        bars: One series.
        rules: What makes a pivot, a line and a label; at least two levels. None for the defaults.
        options: Fields of `PivotRules`, in place of `rules`.

    Raises:
        InputError: If a rule is broken.
    """
    check_bars(bars)
    runs = LabelTracker(rules, **options).update(bars)
    labelled_to = int(runs.end[-1]) if len(runs.end) else 0
    rest = np.full(int(labelled_to < len(bars)), labelled_to)  # bars whose label is not known yet share a run
    none = np.full(len(rest), -1)
    return Labels(
        close_time=bars.close_time,
        start=np.append(runs.start, rest),
        run_direction=np.append(runs.direction, none.astype(np.int8)),
        run_known_at=np.append(runs.known_at, none),
        run_event=np.append(runs.event, none),
        lines=runs.lines,
        series=_UNNAMED,
        offset=np.array([0, len(bars)]),
    )


def _check_events(direction: IntArray, known_at: IntArray, event: IntArray) -> None:
    _, first, inverse = np.unique(event, return_index=True, return_inverse=True)
    for name, values in (("direction", direction), ("known_at", known_at)):
        differs = (event >= 0) & (values != values[first][inverse])
        if differs.any():
            bar = int(np.argmax(differs))
            rule = f"be the same for all bars of an event (event {event[bar]})"
            raise InputError(f"`{name}` must {rule}, got {values[first][inverse][bar]} and {values[bar]} at bar {bar}.")


def _moved(positions: IntArray, by: int) -> IntArray:
    """Shift positions, but for -1, which stands for none."""
    return np.where(positions < 0, positions, positions + by)


def ranges(start: IntArray, end: IntArray) -> IntArray:
    """Return the whole numbers from each start to before its end, one after another.

    Example:
        >>> ranges(np.array([5, 0]), np.array([7, 3]))
        array([5, 6, 0, 1, 2])
    """
    counts = end - start
    return np.repeat(end - np.cumsum(counts), counts) + np.arange(counts.sum())


_UNNAMED = (Series("", ""),)
_COLUMNS = ("start", "end", "direction", "known_at", "known_time", "event")
_BEFORE_ALL = np.datetime64(np.iinfo(np.int64).min + 1, "ms")
