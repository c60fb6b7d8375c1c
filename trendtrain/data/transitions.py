"""What follows on a prediction, for reinforcement learning: where it is judged, and what it would have gained."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trendtrain.errors import InputError
from trendtrain.market.bars import FloatArray, IntArray
from trendtrain.market.labels import Labels


class Transitions(NamedTuple):
    """Of each row, shape (n_rows,) both.

    Attributes:
        next_row: The row at whose close its label is known; -1 where none is.
        gain: ln(last price / first price) of the line that judges it, in its volatility units A_t; 0 where none does.
    """

    next_row: IntArray
    gain: npt.NDArray[np.float32]


def transitions_of(labels: Labels, unit: FloatArray) -> Transitions:
    """Return the transitions of rows.

    Args:
        labels: Of all rows.
        unit: The volatility unit of each row, shape (n_rows,).

    Raises:
        InputError: If labels are not judged by trend lines, as those of a user's own rule.
    """
    event, lines = labels.event, labels.lines
    if event.max(initial=-1) >= len(lines):
        raise InputError("`data.transitions` must be false where labels have no trend lines, got true.")
    change = np.append(np.log(lines.last_price / lines.first_price), 0.0)  # the last for event -1
    return Transitions(labels.known_at, (change[event] / unit).astype(np.float32))
