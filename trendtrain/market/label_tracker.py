"""Label bars that arrive in chunks: which line judges which bars, as soon as it is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trendtrain.errors import InputError, check_number
from trendtrain.market.bars import Bars, IntArray
from trendtrain.market.directions import UNKNOWN
from trendtrain.market.lines import NO_LINES, Lines, lines_between, merge_lines
from trendtrain.market.peaks import Point, Tie
from trendtrain.market.pivot_table import Pivots
from trendtrain.market.pivots import Inside, PivotTracker


@dataclass(frozen=True, eq=False)
class LabelRuns:
    """Labels that bars of one series made known: runs of bars that share one, in order.

    Attributes:
        start, end: Bars labelled, `end` not included; each run starts where the last one ended, shape (n_runs,).
        direction: UP, DOWN, FLAT; UNKNOWN where a hole ended the segment before a line came.
        known_at: The bar at whose close the label is known.
        event: The line that judges, counted from the first line of the series; -1 for none.
        lines: The lines that became known, in that order.
    """

    start: IntArray
    end: IntArray
    direction: IntArray
    known_at: IntArray
    event: IntArray
    lines: Lines


class LabelTracker:
    """Label bars that arrive in chunks; the batch call `label_bars` is one big chunk.

    A line labels every bar before its first pivot that no line labelled before. That is the rule of `label_bars`: had
    an earlier pivot of its kind come after such a bar, the line between the two would have been known first.

    Args:
        strength, tie, inside, max_gap, flat_band: As in `label_bars`.

    Raises:
        InputError: If an option breaks its rule.
    """

    def __init__(
        self,
        strength: Sequence[int] = (1, 1),
        tie: Tie = "plateau",
        inside: Inside = "keep",
        max_gap: int | None = None,
        flat_band: float = 0.0,
    ) -> None:
        check_number("flat_band", flat_band, 0.0)
        self._pivots = PivotTracker(strength, tie, inside, max_gap, lowest=2)
        if len(strength) < 2:
            raise InputError(f"`strength` must have at least two levels for labels, got {tuple(strength)}.")
        self.flat_band = flat_band
        self._last: dict[int, Point] = {}  # the last level-2 pivot of each kind
        self._n_lines = 0
        self._labelled_to = 0  # the first bar without a label

    def update(self, bars: Bars) -> LabelRuns:
        """Return what became known with these bars, the next of the series.

        Raises:
            InputError: If the bars do not follow the last ones, or their timeframe differs.
        """
        segment_start = self._pivots.segment_starts(bars)
        highs, lows = self._pivots.update(bars)
        if not len(segment_start) and not len(highs) and not len(lows):
            return _NO_RUNS  # as after nine live bars in ten
        lines = merge_lines(self._lines_to(highs), self._lines_to(lows))
        event = np.arange(self._n_lines, self._n_lines + len(lines))
        self._n_lines += len(lines)
        end, direction, known_at = lines.first_bar, lines.direction, lines.known_at
        if len(segment_start):
            # A hole labels what is left of its segment at the first bar after it: no line known then comes later.
            hole = np.full(len(segment_start), -1)
            known_at = np.concatenate([segment_start, known_at])
            order = np.argsort(known_at, kind="stable")
            known_at = known_at[order]
            end = np.concatenate([segment_start, end])[order]
            direction = np.concatenate([np.full(len(hole), UNKNOWN), direction])[order]
            event = np.concatenate([hole, event])[order]
        return self._runs(end, direction, known_at, event, lines)

    def state_dict(self) -> dict[str, Any]:
        """Return what the tracker carries from chunk to chunk, in plain types: no history."""
        return {
            "pivots": self._pivots.state_dict(),
            "last": {kind: list(row) for kind, row in self._last.items()},
            "n_lines": self._n_lines,
            "labelled_to": self._labelled_to,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where the tracker of the same options that gave `state` stood."""
        self._pivots.load_state_dict(state["pivots"])
        self._last = {int(kind): tuple(row) for kind, row in state["last"].items()}
        self._n_lines, self._labelled_to = state["n_lines"], state["labelled_to"]

    def _lines_to(self, pivots: Pivots) -> Lines:
        """Return the lines that end in new level-2 pivots."""
        points = pivots.at_level(2)
        last = self._last.get(pivots.kind)
        if len(points):
            self._last[pivots.kind] = points.last_point()
        return lines_between(points if last is None else points.after(last), self.flat_band)

    def _runs(self, end: IntArray, direction: IntArray, known_at: IntArray, event: IntArray, lines: Lines) -> LabelRuns:
        reach = np.maximum.accumulate(np.concatenate([[self._labelled_to], end]))
        is_run = np.flatnonzero(reach[1:] > reach[:-1])
        start, end = reach[is_run], reach[is_run + 1]
        self._labelled_to = int(reach[-1])
        return LabelRuns(start, end, direction[is_run].astype(np.int8), known_at[is_run], event[is_run], lines)


_NOTHING = np.zeros(0, dtype=np.int64)
_NO_RUNS = LabelRuns(_NOTHING, _NOTHING, _NOTHING.astype(np.int8), _NOTHING, _NOTHING, NO_LINES)
