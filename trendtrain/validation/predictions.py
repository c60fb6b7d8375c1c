"""Predictions and verdicts as arrays: what was said at the close of a bar, and what came of it."""

from dataclasses import dataclass, fields
from functools import reduce

import numpy as np

from trendtrain.market.bars import BoolArray, FloatArray, IntArray
from trendtrain.validation.outcomes import CORRECT, WRONG


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions made at the close of bars.

    Attributes:
        row: The bar each was made at, shape (n,).
        probability: The chance given to each class (DOWN, UP, and FLAT where there are three), shape (n, C).
    """

    row: IntArray
    probability: FloatArray

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, index: IntArray | BoolArray) -> "Predictions":
        if index.dtype == bool:  # taking whole rows is several times as fast as choosing them by a mask
            index = np.flatnonzero(index)
        return Predictions(self.row[index], np.take(self.probability, index, axis=0))

    @property
    def direction(self) -> IntArray:
        """The likeliest class, int8, shape (n,); the lower code where two are level."""
        direction, best = np.zeros(len(self), dtype=np.int8), self.probability[:, 0]
        for code in range(1, self.probability.shape[1]):  # by columns: numpy's argmax of short rows is slow
            direction[self.probability[:, code] > best] = code
            best = np.maximum(best, self.probability[:, code])
        return direction

    @property
    def confidence(self) -> FloatArray:
        """The chance given to the direction, shape (n,)."""
        return reduce(np.maximum, self.probability.T)

    @staticmethod
    def join(parts: list["Predictions"]) -> "Predictions":
        """Return all parts as one, in their order; of no parts, none."""
        if not parts:
            return Predictions(np.zeros(0, dtype=np.int64), np.zeros((0, 2)))
        return Predictions(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Predictions)))


@dataclass(frozen=True, eq=False)
class Verdicts:
    """Predictions judged, in the order in which their labels became known.

    Attributes:
        predictions: What was predicted.
        truth: The direction that came, UNKNOWN where a hole ended the segment, shape (n,).
        outcome: WRONG, CORRECT, VOID_FLAT or VOID_GAP, shape (n,).
        event: The line that judged, -1 for none, shape (n,).
        known_at: The row at whose close the verdict could be known, shape (n,).
    """

    predictions: Predictions
    truth: IntArray
    outcome: IntArray
    event: IntArray
    known_at: IntArray

    def __len__(self) -> int:
        return len(self.outcome)

    def __getitem__(self, index: IntArray | BoolArray) -> "Verdicts":
        arrays = (getattr(self, name)[index] for name in ("truth", "outcome", "event", "known_at"))
        return Verdicts(self.predictions[index], *arrays)

    @property
    def row(self) -> IntArray:
        """The bar each prediction was made at, shape (n,)."""
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
