"""Single predictions with their verdicts: in words for people, as arrays for a replay."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from trendtrain.market.directions import DIRECTION_CODES, UP
from trendtrain.market.lines import Lines
from trendtrain.validation.predictions import OUTCOME_NAMES, Predictions, Verdicts

_ABOVE_HALF: Final = float(np.nextafter(0.5, 1.0))  # at 0.5 both are equally likely, and DOWN would count


@dataclass(frozen=True)
class JudgedPrediction:
    """A prediction with its verdict.

    Attributes:
        model_type, symbol, timeframe: The model, and the series it predicted.
        at: Time of the prediction, `datetime64[ms]` UTC.
        direction: The predicted direction, `up` or `down`.
        confidence: The probability of that direction.
        truth: The label: `up`, `down`, `flat`, or `unknown` where a hole in the bars came first.
        outcome: `correct`, `wrong`, `void_flat` or `void_gap`.
        known_at: Close time of the bar that made the label known, `datetime64[ms]` UTC.
        bar, known_bar: The bars of `at` and `known_at`, counted from the first of the series.
        event: The line that labelled the bar, counted from the first of the series; -1 for none. Predictions of the
            same event are one observation.
        line: That line, alone; empty for none.
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
    """Return judged predictions of one series as verdicts, whose rows are its bars, for a replay memory.

    Example:
        >>> to_verdicts([]).is_correct
        array([], dtype=bool)
    """
    up = np.array([probability_of_up(one.direction, one.confidence) for one in judged], dtype=np.float64)
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


def probability_of_up(direction: str, confidence: float) -> float:
    """Return the probability of UP of a direction with a confidence; at 0.5 the direction still counts."""
    confidence = max(confidence, _ABOVE_HALF)
    return confidence if DIRECTION_CODES[direction] == UP else 1.0 - confidence
