"""What a judge says of single predictions, as words for people and as arrays for a replay."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from trendtrain.market.directions import DIRECTION_CODES, UP
from trendtrain.market.lines import Lines
from trendtrain.validation.outcomes import OUTCOME_NAMES
from trendtrain.validation.predictions import Predictions, Verdicts

_ABOVE_HALF: Final = float(np.nextafter(0.5, 1.0))  # at a half both directions are level, and DOWN would count


@dataclass(frozen=True)
class JudgedPrediction:
    """A prediction and what came of it.

    Attributes:
        model_type, symbol, timeframe: Who said it of what.
        at: When it was made, `datetime64[ms]` UTC.
        direction: `up` or `down`.
        confidence: The chance it gave that direction.
        truth: What came: `up`, `down`, `flat`, or `unknown` where a hole in the bars came first.
        outcome: `correct`, `wrong`, `void_flat` or `void_gap`.
        known_at: Close time of the bar that made it certain, `datetime64[ms]` UTC.
        bar, known_bar: The bars of `at` and `known_at`, counted from the first of the series.
        event: The line that judged, counted from the first of the series, or -1. All it judges is one observation.
        line: That line, alone; of no line, none.
    """

    model_type: str
    symbol: str
    timeframe: str
    at: np.datetime64
    direction: str
    confidence: float
    truth: str
    outcome: str
    known_at: np.datetime64
    bar: int
    known_bar: int
    event: int
    line: Lines = field(repr=False, compare=False)


def to_verdicts(judged: Sequence[JudgedPrediction]) -> Verdicts:
    """Return what was judged of one series as arrays, whose rows are its bars: what a replay memory learns from.

    Example:
        >>> to_verdicts([]).is_correct
        array([], dtype=bool)
    """
    up = np.array([chance_of_up(one.direction, one.confidence) for one in judged], dtype=np.float64)
    columns = (
        [one.bar for one in judged],
        [DIRECTION_CODES[one.truth] for one in judged],
        [OUTCOME_NAMES.index(one.outcome) for one in judged],
        [one.event for one in judged],
        [one.known_bar for one in judged],
    )
    row, truth, outcome, event, known_at = (np.array(column, dtype=np.int64) for column in columns)
    predictions = Predictions(row, np.column_stack([1.0 - up, up]))
    return Verdicts(predictions, truth.astype(np.int8), outcome.astype(np.int8), event, known_at)


def chance_of_up(direction: str, confidence: float) -> float:
    """Return the chance of UP that a direction and its confidence mean; at a half the direction still counts."""
    confidence = max(confidence, _ABOVE_HALF)
    return confidence if DIRECTION_CODES[direction] == UP else 1.0 - confidence
