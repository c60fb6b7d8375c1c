"""What a prediction would have gained, for reinforcement learning."""

import numpy as np

from trendtrain.errors import InputError
from trendtrain.market.bars import FloatArray
from trendtrain.market.labels import Labels


def line_changes(labels: Labels) -> FloatArray:
    """Return ln(last price / first price) of each line, by event, shape (n_events,).

    Raises:
        InputError: If labels are not judged by trend lines, as those of a user's own rule.
    """
    lines = labels.lines
    if labels.event.max(initial=-1) >= len(lines):
        raise InputError("`data.transitions` must be false where labels have no trend lines, got true.")
    return np.log(lines.last_price / lines.first_price)
