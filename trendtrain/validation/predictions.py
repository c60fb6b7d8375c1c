"""Predictions and verdicts as arrays: what was said at the close of a bar, and what came of it."""

from dataclasses import dataclass, fields

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
        return Predictions(self.row[index], self.probability[index])

    @property
    def direction(self) -> IntArray:
        """The likeliest class, int8, shape (n,); the lower code where two are level."""
        direction: IntArray = self.probability.argmax(axis=1).astype(np.int8)
        return direction

    @property
    def confidence(self) -> FloatArray:
        """The chance given to the direction, shape (n,)."""
        confidence: FloatArray = self.probability.max(axis=1)
        return confidence

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
