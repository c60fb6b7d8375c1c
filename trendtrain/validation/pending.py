"""Predictions that wait until their labels are known, and are judged then."""

from dataclasses import fields

import numpy as np

from trendtrain.errors import InputError
from trendtrain.market.bars import AnyArray, IntArray
from trendtrain.market.directions import FLAT, UNKNOWN
from trendtrain.market.labels import KnownLabels, ranges
from trendtrain.validation.predictions import CORRECT, VOID_FLAT, VOID_GAP, WRONG, Predictions, Verdicts
from trendtrain.validation.stats import TrendStats


class Pending:
    """Store predictions in order of their rows, judge those whose labels are known, and count.

    Example:
        >>> from trendtrain.market import label_bars, random_walk
        >>> labels, buffer = label_bars(random_walk(200, seed=0)), Pending()
        >>> buffer.add(Predictions(np.arange(100), np.tile([0.4, 0.6], (100, 1))))
        >>> verdicts = buffer.judge(labels.known_labels(now=60))
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
        if len(self.pending) and not len(predictions):  # of no outputs nobody knows the classes
            return
        if len(self.pending):
            classes = self.pending.probability.shape[1]
            if predictions.probability.shape[1] != classes:
                raise InputError(f"`probability` must have {classes} columns, got {predictions.probability.shape[1]}.")
            predictions = Predictions.join([self.pending, predictions])
        is_sorted = (predictions.row[1:] >= predictions.row[:-1]).all()
        self.pending = predictions if is_sorted else predictions[np.argsort(predictions.row, kind="stable")]

    def judge(self, known: KnownLabels) -> Verdicts:
        """Judge and remove every pending prediction whose label is known; a run finds its rows by binary search.

        Returns:
            The verdicts in the order of their `known_at` time, then event, then row. A FLAT truth voids a prediction
            between two classes.
        """
        first, last = np.searchsorted(self.pending.row, known.start), np.searchsorted(self.pending.row, known.end)
        due = ranges(first, last)
        verdicts = _verdicts(self.pending[due], known, last - first)
        validated, correct = int(verdicts.is_validated.sum()), int(verdicts.is_correct.sum())
        self._stats += TrendStats(validated, correct, void=len(verdicts) - validated)
        is_left = np.ones(len(self.pending), dtype=bool)
        is_left[due] = False
        self.pending = self.pending[is_left]
        return verdicts

    def state_dict(self) -> dict[str, AnyArray]:
        """Return the pending predictions and the counts as arrays; times are milliseconds."""
        columns = {column.name: getattr(self.pending, column.name) for column in fields(Predictions)}
        counts = np.array([self._stats.validated, self._stats.correct, self._stats.void])
        return {**columns, "close_time": self.pending.close_time.astype(np.int64), "counts": counts}

    def load_state_dict(self, state: dict[str, AnyArray]) -> None:
        """Restore the state returned by `state_dict()`."""
        columns = {column.name: state[column.name] for column in fields(Predictions)}
        self.pending = Predictions(**{**columns, "close_time": state["close_time"].astype("datetime64[ms]")})
        self._stats = TrendStats(*state["counts"].tolist())


def _verdicts(predictions: Predictions, known: KnownLabels, counts: IntArray) -> Verdicts:
    """Return the verdicts on predictions, of which each run of `known` labels so many, one run after another."""
    truth = np.repeat(known.direction, counts)
    outcome = WRONG + (CORRECT - WRONG) * (predictions.direction == truth).astype(np.int8)
    if predictions.probability.shape[1] == 2:
        outcome[truth == FLAT] = VOID_FLAT
    outcome[truth == UNKNOWN] = VOID_GAP
    columns = {name: np.repeat(getattr(known, name), counts) for name in ("event", "known_at", "known_time", "line")}
    return Verdicts(predictions, truth, outcome, **columns, lines=known.lines)
