"""Predictions, lines and verdicts of a step as arrays, and as rows of the ledger."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import repeat

import numpy as np

from trendtrain.market.bars import FloatArray, IntArray, Series, TimeArray
from trendtrain.market.directions import DOWN, FLAT, UNKNOWN
from trendtrain.market.lines import KIND_NAMES, Lines
from trendtrain.storage.upsert import Row
from trendtrain.validation.predictions import OUTCOME_NAMES
from trendtrain.validation.stats import TrendStats


@dataclass(frozen=True, eq=False)
class PredictionRows:
    """Predictions of one model in one step.

    Attributes:
        series: The series that `series_index` points into.
        series_index: Whose bar each prediction is about, shape (n_rows,).
        open_time: Open time of that bar, `datetime64[ms]` UTC, shape (n_rows,).
        direction: Predicted directions, shape (n_rows,).
        confidence: Probability of that direction, 0 to 1, shape (n_rows,).
        parameters: How many optimizer steps the parameters had that made them; None if unknown.
        stored_at: What time it was in the market when their commit began, ms; None for history.

    Raises:
        ValueError: If shapes differ or a value lies outside its range.
    """

    series: tuple[Series, ...]
    series_index: IntArray
    open_time: TimeArray
    direction: IntArray
    confidence: FloatArray
    parameters: int | None = None
    stored_at: int | None = None

    def __post_init__(self) -> None:
        _check_shapes(self, "open_time")
        _check_range("series_index", self.series_index, 0, len(self.series) - 1)
        _check_times("open_time", self.open_time)
        _check_range("direction", self.direction, DOWN, FLAT)
        _check_range("confidence", self.confidence, 0, 1)

    def __len__(self) -> int:
        return len(self.open_time)

    def rows(self, tracks: Sequence[int], step: int) -> Iterable[Row]:
        """Return the rows of `prediction_rows`, given the track of each series."""
        track = np.asarray(tracks, np.int64)[self.series_index]
        columns = (track, _milliseconds(self.open_time), self.direction, self.confidence)
        ids, times, *rest = (column.tolist() for column in columns)
        return zip(ids, times, repeat(step), *rest, repeat(self.parameters), repeat(self.stored_at), strict=False)


@dataclass(frozen=True, eq=False)
class LineRows:
    """Trend lines: the events of verdicts.

    Attributes:
        series_index: Which series each lies in, shape (n_lines,).
        first_time, last_time: Open times of its pivots, `datetime64[ms]` UTC, shape (n_lines,).
        kind: Kind of its pivots, 0 for L2H, 1 for L2L, shape (n_lines,).
        direction: Its direction, shape (n_lines,).
        known_at: Close time at which it was certain, `datetime64[ms]` UTC, shape (n_lines,).
        first_price, last_price: Prices of its pivots, shape (n_lines,).
        slope: Price change per bar, shape (n_lines,).

    Raises:
        ValueError: If shapes differ or a value lies outside its range.
    """

    series_index: IntArray
    first_time: TimeArray
    last_time: TimeArray
    kind: IntArray
    direction: IntArray
    known_at: TimeArray
    first_price: FloatArray
    last_price: FloatArray
    slope: FloatArray

    def __post_init__(self) -> None:
        _check_shapes(self, "series_index")
        for name in ("first_time", "last_time", "known_at"):
            _check_times(name, getattr(self, name))
        _check_range("kind", self.kind, 0, len(KIND_NAMES) - 1)
        _check_range("direction", self.direction, DOWN, FLAT)

    def __len__(self) -> int:
        return len(self.series_index)

    @classmethod
    def of(cls, lines: Lines, series_index: IntArray, known_at: TimeArray) -> "LineRows":
        """Return the rows of `lines`, given the series and the close time at which each was certain."""
        times, prices = (lines.start_time, lines.end_time), (lines.first_price, lines.last_price)
        return cls(series_index, *times, lines.kind, lines.direction, known_at, *prices, lines.slope)

    def rows(self, series_ids: Sequence[int]) -> Iterable[Row]:
        """Return the rows of `lines` without the run, given the number of each series."""
        ids = np.asarray(series_ids, np.int64)[self.series_index]
        first, last, known_at = (_milliseconds(time) for time in (self.first_time, self.last_time, self.known_at))
        kinds = [KIND_NAMES[kind] for kind in self.kind.tolist()]
        times = (column.tolist() for column in (ids, first, last))
        rest = (self.direction, known_at, self.first_price, self.last_price, self.slope)
        return zip(*times, kinds, *(column.tolist() for column in rest), strict=True)


@dataclass(frozen=True, eq=False)
class VerdictRows:
    """Verdicts on predictions of one model, reached in one step.

    Attributes:
        series: The series that `series_index` points into, here and in `lines`.
        series_index: Whose bar the judged prediction is about, shape (n_rows,).
        open_time: Open time of that bar, `datetime64[ms]` UTC, shape (n_rows,).
        outcome: Codes of `trendtrain.validation.predictions`, shape (n_rows,).
        truth: The labels, shape (n_rows,).
        known_at: Close time at which each verdict was certain, `datetime64[ms]` UTC, shape (n_rows,).
        line: The line that is the event of each, an index into `lines`, -1 for none, shape (n_rows,).
        lines: The lines.

    Raises:
        ValueError: If shapes differ or a value lies outside its range.
    """

    series: tuple[Series, ...]
    series_index: IntArray
    open_time: TimeArray
    outcome: IntArray
    truth: IntArray
    known_at: TimeArray
    line: IntArray
    lines: LineRows

    def __post_init__(self) -> None:
        _check_shapes(self, "open_time")
        _check_range("series_index", self.series_index, 0, len(self.series) - 1)
        _check_range("lines.series_index", self.lines.series_index, 0, len(self.series) - 1)
        _check_times("open_time", self.open_time)
        _check_times("known_at", self.known_at)
        _check_range("outcome", self.outcome, 0, len(OUTCOME_NAMES) - 1)
        _check_range("truth", self.truth, UNKNOWN, FLAT)
        _check_range("line", self.line, -1, len(self.lines) - 1)

    def __len__(self) -> int:
        return len(self.open_time)

    def rows(self, tracks: Sequence[int], step: int, line_ids: Sequence[int]) -> Iterable[Row]:
        """Return the rows of `verdict_rows`, given the track of each series and the number of each line."""
        track = np.asarray(tracks, np.int64)[self.series_index]
        line = np.array([*line_ids, None], object)[self.line]  # -1 is the last
        columns = (track, _milliseconds(self.open_time), self.outcome, self.truth, _milliseconds(self.known_at), line)
        ids, times, *rest = (column.tolist() for column in columns)
        return zip(ids, times, repeat(step), *rest, strict=False)


@dataclass(frozen=True)
class Progress:
    """How far a run is: how many steps there are (None if unknown), and its counts so far."""

    n_steps: int | None
    stats: TrendStats

    @property
    def columns(self) -> dict[str, int | None]:
        """The columns of `runs` that hold it."""
        names = ("total_predictions", "validated_predictions", "correct_predictions", "void_predictions")
        numbers = (self.stats.total, self.stats.validated, self.stats.correct, self.stats.void)
        return {"n_steps": self.n_steps, **dict(zip(names, numbers, strict=True))}


@dataclass(frozen=True, eq=False)
class StepRows:
    """The predictions and verdicts of a step.

    Attributes:
        step: Walk step.
        predictions: Made in this step; None for none.
        verdicts: Reached in this step, on predictions of this step or earlier ones; None for none.
        pass_: Which pass over the stream, from 0.
        progress: How far the run is after the step; None leaves the run's counts as they are.
    """

    step: int
    predictions: PredictionRows | None
    verdicts: VerdictRows | None
    pass_: int = 0
    progress: Progress | None = None

    @property
    def run_columns(self) -> dict[str, int | None]:
        """The columns of `runs` after the step."""
        return {"step": self.step, **({} if self.progress is None else self.progress.columns)}


def _check_shapes(rows: PredictionRows | LineRows | VerdictRows, like: str) -> None:
    shape = getattr(rows, like).shape
    for field in fields(rows):
        value = getattr(rows, field.name)
        if isinstance(value, np.ndarray) and value.shape != shape:
            raise ValueError(f"`{field.name}` must have shape {shape} like `{like}`, got {value.shape}.")


def _check_range(name: str, values: IntArray | FloatArray, low: int, high: int) -> None:
    is_bad = ~((values >= low) & (values <= high))
    if is_bad.any():
        row = int(np.argmax(is_bad))
        raise ValueError(f"`{name}` must lie from {low} to {high}, got {values[row]} at row {row}.")


def _check_times(name: str, times: TimeArray) -> None:
    if np.isnat(times).any():
        raise ValueError(f"`{name}` must hold times, got NaT at row {int(np.argmax(np.isnat(times)))}.")


def _milliseconds(times: TimeArray) -> IntArray:
    milliseconds: IntArray = times.astype("datetime64[ms]").astype(np.int64)
    return milliseconds
