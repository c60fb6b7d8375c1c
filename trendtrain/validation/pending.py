"""Predictions that wait until their labels are known, and are judged then."""

import numpy as np

from trendtrain.errors import InputError
from trendtrain.market.bars import IntArray, TimeArray
from trendtrain.market.directions import FLAT, UNKNOWN
from trendtrain.market.labels import Labels, Now
from trendtrain.validation.predictions import CORRECT, VOID_FLAT, VOID_GAP, WRONG, Predictions, Verdicts
from trendtrain.validation.stats import TrendStats


class Pending:
    """Store predictions, judge those whose labels are known, and count.

    Example:
        >>> from trendtrain.market import label_bars, random_walk
        >>> labels, buffer = label_bars(random_walk(200, seed=0)), Pending()
        >>> buffer.add(Predictions(np.arange(100), np.tile([0.4, 0.6], (100, 1))))
        >>> verdicts = buffer.judge(labels, now=60)
        >>> len(verdicts) + buffer.stats.pending == buffer.stats.total == 100
        True
    """

    def __init__(self) -> None:
        self.pending = Predictions.join([])
        self._stats = TrendStats()

    @property
    def stats(self) -> TrendStats:
        """The counts so far."""
        return TrendStats(self._stats.validated, self._stats.correct, self._stats.void, pending=len(self.pending))

    def add(self, predictions: Predictions) -> None:
        """Store predictions until they can be judged.

        Raises:
            InputError: If their number of classes differs from that of the pending ones.
        """
        if not len(self.pending):
            self.pending = predictions
        elif predictions.probability.shape[1] != self.pending.probability.shape[1]:
            classes = self.pending.probability.shape[1]
            raise InputError(f"`probability` must have {classes} columns, got {predictions.probability.shape[1]}.")
        else:
            self.pending = Predictions.join([self.pending, predictions])

    def judge(self, labels: Labels, now: Now) -> Verdicts:
        """Judge and remove every pending prediction whose label is known by `now`.

        Returns:
            The verdicts in the order of their `known_at` time, then event, then row. A FLAT truth voids a prediction
            between two classes.
        """
        is_known = labels.known(now, self.pending.row)
        verdicts = _verdicts(self.pending[is_known], labels)
        validated, correct = int(verdicts.is_validated.sum()), int(verdicts.is_correct.sum())
        self._stats += TrendStats(validated, correct, void=len(verdicts) - validated)
        self.pending = self.pending[~is_known]
        return verdicts

    def state_dict(self) -> dict[str, list[float]]:
        """Return the pending predictions and the counts in plain types."""
        return {
            "row": self.pending.row.tolist(),
            "probability": self.pending.probability.tolist(),
            "counts": [self._stats.validated, self._stats.correct, self._stats.void],
        }

    def load_state_dict(self, state: dict[str, list[float]]) -> None:
        """Restore the state returned by `state_dict()`."""
        row = np.array(state["row"], dtype=np.int64)
        n_classes = -1 if len(row) else 2  # as in `Predictions.join([])`
        self.pending = Predictions(row, np.array(state["probability"], dtype=np.float64).reshape(len(row), n_classes))
        self._stats = TrendStats(*(int(count) for count in state["counts"]))


def _verdicts(predictions: Predictions, labels: Labels) -> Verdicts:
    truth, known_at, event = (values[predictions.row] for values in (labels.direction, labels.known_at, labels.event))
    order = _order(labels.close_time[known_at], event, predictions.row)
    predictions, truth = predictions[order], truth[order]
    outcome = WRONG + (CORRECT - WRONG) * (predictions.direction == truth).astype(np.int8)
    if predictions.probability.shape[1] == 2:
        outcome[truth == FLAT] = VOID_FLAT
    outcome[truth == UNKNOWN] = VOID_GAP
    return Verdicts(predictions, truth, outcome, event[order], known_at[order])


def _order(time: TimeArray, event: IntArray, row: IntArray) -> IntArray | slice:
    """Return the order by time, then event, then row; a slice, which copies nothing, if it is that already."""
    order = np.lexsort((row, event, time))
    return slice(None) if (order[1:] > order[:-1]).all() else order
