"""Predictions and verdicts as arrays, and as rows of the ledger."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from trendtrain.market.bars import FloatArray, IntArray, Series, TimeArray
from trendtrain.market.directions import DOWN, FLAT, UNKNOWN
from trendtrain.validation.outcomes import OUTCOME_NAMES

_KINDS = ("L2H", "L2L", None)


@dataclass(frozen=True, eq=False)
class PredictionRows:
    """Predictions of one model in one step.

    Attributes:
        series: The series that `series_index` points into.
        series_index: Whose bar each prediction is about, shape (n_rows,).
        open_time: Open time of that bar, `datetime64[ms]` UTC, shape (n_rows,).
        direction: Predicted directions, shape (n_rows,).
        confidence: Probability of that direction, 0 to 1, shape (n_rows,).

    Raises:
        ValueError: If shapes differ or a value lies outside its range.
    """

    series: tuple[Series, ...]
    series_index: IntArray
    open_time: TimeArray
    direction: IntArray
    confidence: FloatArray

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_range("series_index", self.series_index, 0, len(self.series) - 1)
        _check_times("open_time", self.open_time)
        _check_range("direction", self.direction, DOWN, FLAT)
        _check_range("confidence", self.confidence, 0, 1)

    def __len__(self) -> int:
        return len(self.open_time)

    def rows(self, series_ids: Sequence[int]) -> Iterable[tuple[object, ...]]:
        """Return (series id, open time, direction, confidence) of each row, times in ms."""
        ids = np.asarray(series_ids, np.int64)[self.series_index]
        columns = (ids, _milliseconds(self.open_time), self.direction, self.confidence)
        return zip(*(column.tolist() for column in columns), strict=True)


@dataclass(frozen=True, eq=False)
class VerdictRows:
    """Verdicts on predictions of one model, reached in one step.

    Attributes:
        series: The series that `series_index` points into.
        series_index: Whose bar the judged prediction is about, shape (n_rows,).
        open_time: Open time of that bar, `datetime64[ms]` UTC, shape (n_rows,).
        outcome: Codes of `trendtrain.validation.outcomes`, shape (n_rows,).
        truth: The directions that came, shape (n_rows,).
        known_at: Close time at which each verdict was certain, `datetime64[ms]` UTC, shape (n_rows,).
        kind: Pivot kind of the judging line, 0 for L2H, 1 for L2L, -1 where there is none, shape (n_rows,).
        first_time, last_time: Open times of the line's pivots, `datetime64[ms]` UTC, NaT where there is none, shape
            (n_rows,).

    Raises:
        ValueError: If shapes differ or a value lies outside its range.
    """

    series: tuple[Series, ...]
    series_index: IntArray
    open_time: TimeArray
    outcome: IntArray
    truth: IntArray
    known_at: TimeArray
    kind: IntArray
    first_time: TimeArray
    last_time: TimeArray

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_range("series_index", self.series_index, 0, len(self.series) - 1)
        _check_times("open_time", self.open_time)
        _check_times("known_at", self.known_at)
        _check_range("outcome", self.outcome, 0, len(OUTCOME_NAMES) - 1)
        _check_range("truth", self.truth, UNKNOWN, FLAT)
        _check_range("kind", self.kind, -1, 1)

    def __len__(self) -> int:
        return len(self.open_time)

    def rows(self, series_ids: Sequence[int]) -> Iterable[tuple[object, ...]]:
        """Return (series id, open time, outcome, truth, known_at, kind, first time, last time) of each row."""
        ids = np.asarray(series_ids, np.int64)[self.series_index]
        columns = (ids, _milliseconds(self.open_time), self.outcome, self.truth, _milliseconds(self.known_at))
        kinds = [_KINDS[kind] for kind in self.kind.tolist()]
        pivots = (_milliseconds(self.first_time).tolist(), _milliseconds(self.last_time).tolist())
        return zip(*(column.tolist() for column in columns), kinds, *pivots, strict=True)


def _check_shapes(rows: PredictionRows | VerdictRows) -> None:
    n_rows = len(rows.open_time)
    for field in fields(rows)[1:]:
        shape = getattr(rows, field.name).shape
        if shape != (n_rows,):
            raise ValueError(f"`{field.name}` must have shape ({n_rows},) like `open_time`, got {shape}.")


def _check_range(name: str, values: IntArray | FloatArray, low: int, high: int) -> None:
    is_bad = ~((values >= low) & (values <= high))
    if is_bad.any():
        row = int(np.argmax(is_bad))
        raise ValueError(f"`{name}` must lie from {low} to {high}, got {values[row]} at row {row}.")


def _check_times(name: str, times: TimeArray) -> None:
    if np.isnat(times).any():
        raise ValueError(f"`{name}` must hold times, got NaT at row {int(np.argmax(np.isnat(times)))}.")


def _milliseconds(times: TimeArray) -> np.typing.NDArray[np.object_]:
    """Return times as Python integers, NaT as None; shape as given."""
    numbers = times.astype("datetime64[ms]").astype(np.int64).astype(object)
    numbers[np.isnat(times)] = None
    return numbers
