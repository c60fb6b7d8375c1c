"""The one clock of a run: which rows the stream brings next, and what time it is."""

import numpy as np

from trendtrain.errors import InputError
from trendtrain.market.bars import BoolArray, IntArray
from trendtrain.market.labels import Labels
from trendtrain.market.timeframe import parse_timeframe
from trendtrain.stream.walk import Walk, step_bounds


class StreamClock:
    """Walk through rows in order of their close time, step by step.

    Rows that close at the same time come in order of symbol, then timeframe.

    Args:
        labels: Labels of all series; their rows, names and close times.
        is_ready: Which rows have a whole window behind them, shape (n_rows,).
        walk: Where to start and how far to step.

    Attributes:
        step: Steps completed.
        warmup: Training epochs still to come before the first step: until then no rows come, and time stands still.
        now: All bars that closed by this time have been seen.

    Raises:
        InputError: If no ready row lies after the start.
    """

    def __init__(self, labels: Labels, is_ready: BoolArray, walk: Walk) -> None:
        timeframes = np.array([parse_timeframe(series.timeframe) for series in labels.series])
        opens = [labels.close_time[i] - t for i, t in zip(labels.offset[:-1], timeframes, strict=True)]
        last = labels.close_time.max()
        self.start = walk.start_time(min(opens), last)
        rows = np.flatnonzero(is_ready & (labels.close_time > self.start))
        if not len(rows):
            raise InputError(f"`walk.start` must leave bars to predict, got {walk.start} ({self.start} of {last}).")
        rank = np.empty(len(labels.series), dtype=np.int64)
        rank[sorted(range(len(rank)), key=lambda i: (labels.series[i].symbol, timeframes[i]))] = np.arange(len(rank))
        self._rows = rows[np.lexsort((rank[labels.series_index[rows]], labels.close_time[rows]))]
        close_time = labels.close_time[self._rows]
        bounds, ends = step_bounds(close_time, self.start, walk.length(timeframes.min()))
        self._bounds = bounds[: None if walk.steps is None else walk.steps + 1]
        self._ends = np.minimum(ends, last)
        if self.n_steps == len(ends):
            self._ends[-1] = last  # bars without a window may follow the last row; what they make known counts
        self.step = 0
        self.warmup = 0

    @property
    def n_steps(self) -> int:
        """How many steps there are."""
        return len(self._bounds) - 1

    @property
    def is_done(self) -> bool:
        """Whether all steps are completed."""
        return self.step >= self.n_steps

    @property
    def now(self) -> np.datetime64:
        """The end of the last completed step; before the first, the start."""
        now: np.datetime64 = self._ends[self.step - 1] if self.step else self.start
        return now

    @property
    def rows(self) -> IntArray:
        """The rows of the step under way, in order of close time; none in the warm-up and when done."""
        if self.warmup or self.is_done:
            return self._rows[:0]
        return self._rows[self._bounds[self.step] : self._bounds[self.step + 1]]

    @property
    def most_rows(self) -> int:
        """The rows of the largest step."""
        return int(np.diff(self._bounds).max())

    def advance(self) -> np.datetime64:
        """Complete the step, or the epoch of warm-up, under way and return the new `now`."""
        if self.warmup:
            self.warmup -= 1
        else:
            self.step += 1
        return self.now
