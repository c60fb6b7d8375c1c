"""Notice when verdicts get worse: the market has changed, and what was learned before it no longer holds."""

import numpy as np

from trendtrain.errors import check_at_least
from trendtrain.market.bars import FloatArray, IntArray

_FEWEST_NEW, _FEWEST_OLD, _FEWEST = 40, 100, 200  # events
_BLOCK = 25  # events whose mean is one block
_FEWEST_BLOCKS = 8
_SMALLEST_VARIANCE = 0.02
_N_ERRORS = 4.0


class ChangeDetector:
    """Remember the accuracy of each event since the last change, and alarm when the newest are worse.

    Args:
        longest: Events remembered at most; it bounds the cost of a step, and no slower change is noticed.
        fewest: Events after a change at least: what a memory must keep to learn from.

    Example:
        >>> detector = ChangeDetector()
        >>> detector.update(np.tile([1.0, 0.5], 200)), detector.update(np.zeros(50))
        (None, 60)
    """

    def __init__(self, longest: int = 10_000, fewest: int = 60) -> None:
        check_at_least("detector.longest", longest, _FEWEST)
        check_at_least("detector.fewest", fewest, 1)
        self.longest = longest
        self.fewest = fewest
        self._accuracy: FloatArray = np.zeros(0)

    def update(self, accuracy: FloatArray) -> int | None:
        """Take new events in and test once.

        Args:
            accuracy: Share of correct predictions of each new event, in the order they became known, shape (n,).

        Returns:
            On alarm, how many of the newest events follow the change; otherwise None.
        """
        self._accuracy = np.concatenate([self._accuracy, accuracy])[-self.longest :]
        n_new = events_since_drop(self._accuracy)
        if n_new is None:
            return None
        n_new = max(n_new, self.fewest)
        self._accuracy = self._accuracy[-n_new:]
        return n_new

    def state_dict(self) -> dict[str, list[float]]:
        """Return the events since the last change."""
        return {"accuracy": self._accuracy.tolist()}

    def load_state_dict(self, state: dict[str, list[float]]) -> None:
        """Take up where the detector that gave `state` stood."""
        self._accuracy = np.array(state["accuracy"], dtype=np.float64)


def events_since_drop(accuracy: FloatArray) -> int | None:
    """Return how many of the newest events are clearly worse than all before them; None where no number of them is.

    A simplified ADWIN (Bifet & Gavalda 2007): for n1 = 40, 53, 69, ... newest events against the n0 older ones, alarm
    if mean(old) - mean(new) > 4 sqrt(v (1 / n1 + 1 / n0)). Events that follow each other are alike, so v comes from
    blocks of 25 events: 1.2 max(var(old), 25 var(block means of old), 0.02), or, with fewer than 8 blocks,
    1.5 max(var(all), 0.02). The plain variance alarms 4 to 8 times as often on such streams.

    Args:
        accuracy: Of each event, in order, shape (n,); up to 200 events never alarm.
    """
    n = len(accuracy)
    if n <= _FEWEST:
        return None
    n_new = _candidates(n)
    n_old = n - n_new
    total, squares = _sums(accuracy), _sums(accuracy**2)
    old = total[n_old] / n_old
    drop = old - (total[n] - total[n_old]) / n_new
    variance = _variance(accuracy, squares[n_old] / n_old - old**2, n_old // _BLOCK)
    is_drop = drop > _N_ERRORS * np.sqrt(variance * (1.0 / n_new + 1.0 / n_old))
    return int(n_new[np.argmax(is_drop)]) if is_drop.any() else None


def _candidates(n: int) -> IntArray:
    """Return the numbers of newest events to try: each 1.3 times the one before."""
    numbers = [_FEWEST_NEW]
    while (following := int(1.3 * numbers[-1]) + 1) < n - _FEWEST_OLD:
        numbers.append(following)
    return np.array(numbers)


def _variance(accuracy: FloatArray, of_old: FloatArray, n_blocks: IntArray) -> FloatArray:
    """Return the variance to expect where the older events are `n_blocks` blocks with variance `of_old`."""
    n_whole = len(accuracy) // _BLOCK
    means = accuracy[: n_whole * _BLOCK].reshape(n_whole, _BLOCK).mean(axis=1)
    total, squares, count = _sums(means)[n_blocks], _sums(means**2)[n_blocks], np.maximum(n_blocks, 1)
    of_blocks = _BLOCK * (squares / count - (total / count) ** 2)
    long = 1.2 * np.maximum(np.maximum(of_old, of_blocks), _SMALLEST_VARIANCE)
    return np.where(n_blocks >= _FEWEST_BLOCKS, long, 1.5 * max(float(accuracy.var()), _SMALLEST_VARIANCE))


def _sums(values: FloatArray) -> FloatArray:
    """Return the sum of the first i values, i = 0 to n."""
    return np.concatenate([[0.0], np.cumsum(values)])
