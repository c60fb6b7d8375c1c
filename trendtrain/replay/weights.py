"""Replay weights from verdicts: how often a judged bar is drawn."""

import numpy as np

from trendtrain.errors import check_number
from trendtrain.market.bars import FloatArray
from trendtrain.validation.predictions import Verdicts


def weigh(verdicts: Verdicts, wrong: float = 3.0) -> FloatArray:
    """Return the replay weight of each verdict's bar: `wrong` for a wrong prediction, 1 for any other.

    Args:
        verdicts: The verdicts, n of them.
        wrong: How much likelier a wrong prediction is drawn than a correct one; 1 draws all alike.

    Returns:
        Shape (n,), positive.

    Raises:
        InputError: If `wrong` is below 0.01, which would keep bars out of training.
    """
    check_number("wrong", wrong, 0.01)
    return np.where(verdicts.is_validated & ~verdicts.is_correct, wrong, 1.0)


def weigh_by_gradient(verdicts: Verdicts, floor: float = 0.1) -> FloatArray:
    """Return `floor` + |p - y|: the more confident a wrong prediction, the likelier its bar is drawn.

    p is the probability given to the true class and y = 1: this is the size of the gradient of the cross-entropy by
    the logit (Katharopoulos & Fleuret 2018, arXiv 1803.00942). A void prediction weighs as one with p = 0.5.

    Args:
        verdicts: The verdicts, n of them.
        floor: The weight of a perfect prediction, so that every known bar keeps a chance of being drawn.

    Returns:
        Shape (n,), from `floor` to `floor` + 1.

    Raises:
        InputError: If `floor` is below 0.01.
    """
    check_number("floor", floor, 0.01)
    truth = np.where(verdicts.is_validated, verdicts.truth, 0)[:, None]
    missed = 1.0 - np.take_along_axis(verdicts.predictions.probability, truth, axis=1)[:, 0]
    return floor + np.where(verdicts.is_validated, missed, 0.5)
