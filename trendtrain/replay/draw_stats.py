"""What was drawn in a walk step, in numbers for a chart."""

import numpy as np

from trendtrain.market.bars import BoolArray, FloatArray, IntArray


class DrawStats:
    """Sum up the draws of a step."""

    def __init__(self) -> None:
        self._draws = np.zeros(3)  # batches, effective size, mean age
        self._wrong = np.zeros(4)  # answers, wrong ones; the same, each weighted as the memory holds it

    def add_draw(self, weight: FloatArray, age: IntArray) -> None:
        """Take in a batch: the importance weights and the ages in events of its rows, shape (B,)."""
        effective = weight.sum() ** 2 / (weight**2).sum()
        self._draws += (1.0, effective, age.mean())

    def add_answers(self, is_wrong: BoolArray, weight: FloatArray) -> None:
        """Take in whether the model errs on drawn rows, and the weights by which they had been drawn, shape (B,)."""
        share = 1.0 / weight
        self._wrong += (len(is_wrong), is_wrong.sum(), share.sum(), share[is_wrong].sum())

    def take(self) -> dict[str, float]:
        """Return the step's means, by TensorBoard name without `replay/`, and start a new step; NaN of nothing.

        `wrong_in_memory` is estimated from the draws: each counts by one over the weight it was drawn with.
        """
        n, effective, age = self._draws.tolist()
        n_answers, n_wrong, mass, wrong_mass = self._wrong.tolist()
        self._draws[:] = self._wrong[:] = 0.0
        return {
            "effective_size": _ratio(effective, n),
            "age_events": _ratio(age, n),
            "wrong_in_draws": _ratio(n_wrong, n_answers),
            "wrong_in_memory": _ratio(wrong_mass, mass),
        }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
