"""Predictions made at the close of bars, and the verdicts on them, as arrays."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import reduce
from itertools import accumulate
from typing import Final

import numpy as np

from trendtrain.market.bars import AnyArray, BoolArray, FloatArray, IntArray, TimeArray, make_read_only
from trendtrain.market.lines import NO_LINES, Lines

WRONG: Final = 0
CORRECT: Final = 1
VOID_FLAT: Final = 2
VOID_GAP: Final = 3
OUTCOME_NAMES: Final = ("wrong", "correct", "void_flat", "void_gap")

_UNSET: Final[AnyArray] = np.zeros(0)


def _unset() -> AnyArray:
    return _UNSET


def _fill(value: object, **defaults: Callable[[], AnyArray]) -> None:
    """Set the fields of a frozen dataclass that were left out."""
    for name, default in defaults.items():
        if getattr(value, name) is _UNSET:
            object.__setattr__(value, name, default())


def _no_times(n: int) -> TimeArray:
    return np.full(n, "NaT", "datetime64[ms]")


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions made at the close of bars.

    Attributes:
        row: The bar of each, shape (n,).
        probability: The probability of each class (DOWN, UP, and FLAT where there are three), shape (n, C).
        series: The number of its series, int64, shape (n,); 0 if left out.
        close_time: The close of its bar, `datetime64[ms]`, shape (n,); NaT if left out.
        baselines: The direction that each baseline predicts there, int8, shape (n, n_rules); none if left out.
        temperature: What its logits were divided by, shape (n,); 1 if left out.
    """

    row: IntArray
    probability: FloatArray
    series: IntArray = field(default_factory=_unset)
    close_time: TimeArray = field(default_factory=_unset)
    baselines: IntArray = field(default_factory=_unset)
    temperature: FloatArray = field(default_factory=_unset)

    def __post_init__(self) -> None:
        n = len(self.row)
        _fill(
            self,
            series=lambda: np.zeros(n, np.int64),
            close_time=lambda: _no_times(n),
            baselines=lambda: np.zeros((n, 0), np.int8),
            temperature=lambda: np.ones(n),
        )
        make_read_only(self)

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, index: IntArray | BoolArray | slice) -> "Predictions":
        here = _positions(index)
        arrays = (getattr(self, column.name) for column in fields(self))
        if isinstance(here, slice):
            return Predictions(*(array[here] for array in arrays))
        return Predictions(*(np.take(array, here, axis=0) for array in arrays))  # faster than by brackets

    @property
    def direction(self) -> IntArray:
        """The likeliest class, int8, shape (n,); of equally likely ones the lower code."""
        direction = np.zeros(len(self), dtype=np.int8)
        columns = self.probability.T  # by columns: numpy's argmax of short rows is slow
        for code, (column, best) in enumerate(zip(columns[1:], accumulate(columns, np.maximum), strict=False), start=1):
            np.maximum(direction, np.int8(code) * (column > best), out=direction)
        return direction

    @property
    def confidence(self) -> FloatArray:
        """The probability of the direction, shape (n,)."""
        return reduce(np.maximum, self.probability.T)

    @staticmethod
    def join(parts: list["Predictions"]) -> "Predictions":
        """Return all parts as one, in their order; of no parts, none."""
        if not parts:
            return Predictions(np.zeros(0, dtype=np.int64), np.zeros((0, 2)))
        return Predictions(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Predictions)))


@dataclass(frozen=True, eq=False)
class Verdicts:
    """Judged predictions, in the order in which their labels became known.

    Attributes:
        predictions: The predictions.
        truth: The label of each, UNKNOWN where a hole ended the segment, shape (n,).
        outcome: WRONG, CORRECT, VOID_FLAT or VOID_GAP, shape (n,).
        event: What judged it, -1 for none, shape (n,).
        known_at: The row at whose close the verdict could be known, shape (n,).
        known_time: That close, `datetime64[ms]`, shape (n,); NaT if left out.
        line: The line that judged it, an index into `lines`, shape (n,); -1 for none, and if left out.
        lines: The lines that judged; bars in them are rows.
    """

    predictions: Predictions
    truth: IntArray
    outcome: IntArray
    event: IntArray
    known_at: IntArray
    known_time: TimeArray = field(default_factory=_unset)
    line: IntArray = field(default_factory=_unset)
    lines: Lines = NO_LINES

    def __post_init__(self) -> None:
        n = len(self)
        _fill(self, known_time=lambda: _no_times(n), line=lambda: np.full(n, -1))
        make_read_only(self)

    def __len__(self) -> int:
        return len(self.outcome)

    def __getitem__(self, index: IntArray | BoolArray | slice) -> "Verdicts":
        here = _positions(index)
        names = ("truth", "outcome", "event", "known_at", "known_time", "line")
        arrays = {name: getattr(self, name)[here] for name in names}
        return Verdicts(self.predictions[here], **arrays, lines=self.lines)

    @property
    def row(self) -> IntArray:
        """The bar of each prediction, shape (n,)."""
        return self.predictions.row

    @property
    def is_validated(self) -> BoolArray:
        """Whether each is correct or wrong, and not void."""
        is_validated: BoolArray = (self.outcome == CORRECT) | (self.outcome == WRONG)
        return is_validated

    @property
    def is_correct(self) -> BoolArray:
        """Whether each is correct."""
        is_correct: BoolArray = self.outcome == CORRECT
        return is_correct


def _positions(index: IntArray | BoolArray | slice) -> IntArray | slice:
    """Return positions, or those at which a mask is true, as a slice if they are contiguous: a slice copies nothing."""
    if isinstance(index, slice):
        return index
    here: IntArray = np.flatnonzero(index) if index.dtype == bool else index  # type: ignore[assignment]
    is_contiguous = len(here) > 0 and here[-1] - here[0] == len(here) - 1 and (np.diff(here) == 1).all()
    return slice(here[0], here[-1] + 1) if is_contiguous else here
