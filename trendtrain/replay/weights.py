"""How often a judged bar is replayed."""

import numpy as np

from trendtrain.errors import check_number
from trendtrain.market.bars import FloatArray
from trendtrain.validation.predictions import Verdicts


def weigh(verdicts: Verdicts, wrong: float = 3.0) -> FloatArray:
    """Return the replay weight of each verdict's bar: `wrong` for a wrong prediction, 1 for any other.

    Args:
        verdicts: Predictions judged, n of them.
        wrong: How much likelier than a right one a wrong one is drawn; 1 draws all alike.

    Returns:
        Shape (n,), positive.

    Raises:
        InputError: If `wrong` is below 0.01, which would hide bars from training.
    """
    check_number("wrong", wrong, 0.01)
    return np.where(verdicts.is_validated & ~verdicts.is_correct, wrong, 1.0)
