"""The scores of a run: per event, per series, beside those of the baselines."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from trendtrain.market.bars import AnyArray, IntArray, Series
from trendtrain.validation.breakdown import Breakdown, ScoredEvents
from trendtrain.validation.kernel import N_CALIBRATION_BINS
from trendtrain.validation.predictions import Predictions, Verdicts
from trendtrain.validation.score import (
    SHARES,
    Estimate,
    Scores,
    best_baseline,
    estimate,
    expected_calibration_error,
    paired_scores,
)
from trendtrain.validation.stats import TrendStats


class Scoreboard:
    """Keep the scores of each event, whose predictions are all judged at once.

    A step costs what its verdicts cost; what only a summary or a figure needs is computed when it is asked for. State
    grows with events alone: `ScoredEvents` says by how much.

    Args:
        series: The name of each series; predictions hold their number.
        baselines: The name of each baseline, in the order of the predictions' columns.
    """

    def __init__(self, series: Sequence[Series], baselines: Sequence[str]) -> None:
        self.series: tuple[Series, ...] = ()
        self.baselines = tuple(baselines)
        self._events = [ScoredEvents.none(2 + len(self.baselines))]
        self._sums = np.zeros(2 + len(self.baselines))
        self._fading = np.zeros(2)
        self._counts = np.zeros((0, 3), dtype=np.int64)  # of each series: validated, correct, void
        self._bins = np.zeros((0, N_CALIBRATION_BINS, 3))
        self._delays = np.zeros((0, 1), dtype=np.int64)  # of each series: counts of each delay in bars
        self.n_events = 0
        self.add_series(series)

    def add_series(self, series: Sequence[Series]) -> None:
        """Number further series on from the last."""
        self.series = (*self.series, *series)
        self._counts = _padded(self._counts, len(self.series))
        self._bins = _padded(self._bins, len(self.series))
        self._delays = _padded(self._delays, len(self.series))

    def update(self, verdicts: Verdicts) -> None:
        """Add new verdicts, all of an event one after another; void ones are counted and have no score."""
        longest = int((verdicts.known_at - verdicts.row).max(initial=0))
        self._delays = _padded(self._delays, len(self.series), longest + 1)
        bins = np.zeros_like(self._bins)  # of these verdicts alone: fewer small numbers meet large ones
        self._events.append(ScoredEvents.of(verdicts, (self._counts, self._delays, bins, self._fading)))
        self._bins += bins
        self._sums += self._events[-1].values.sum(axis=0)
        self.n_events += len(self._events[-1])

    def stats(self, pending: Predictions) -> dict[Series, TrendStats]:
        """Return the six numbers of each series, given the pending predictions."""
        n_pending = np.bincount(pending.series, minlength=len(self.series))
        rows = np.column_stack([self._counts, n_pending]).tolist()
        return {series: TrendStats(*row) for series, row in zip(self.series, rows, strict=True)}

    def metrics(self, pending: Predictions | None = None) -> dict[str, float]:
        """Return the running scores under their TensorBoard names, without `trend/`; NaN before the first event.

        `expected_accuracy` is the mean confidence of pending predictions; NaN if there are none.
        """
        mean = self._sums / self.n_events if self.n_events else np.full(len(self._sums), np.nan)
        total, count = self._fading.tolist()
        return {
            "event_accuracy": float(mean[0]),
            "accuracy_fading": total / count if count else float("nan"),
            "nll": float(mean[1]),
            "ece": expected_calibration_error(self._bins.sum(axis=0)),
            "expected_accuracy": self._expected(pending),
            "delay_bars": delay_quantile(self.delays(), 0.5),
            **{f"baseline_{name}": float(value) for name, value in zip(self.baselines, mean[2:], strict=True)},
        }

    def estimate(self) -> Estimate:
        """Return the event accuracy so far with its error: what changes least can be asked for most often."""
        events = self.events()
        return estimate(events.values[:, 0], events.block, SHARES)

    def scores(self, series: int | None = None, pending: Predictions | None = None) -> Scores:
        """Return the scores of one series, or of all, under their names in `summary.json`.

        `expected_accuracy` is the accuracy that confidence promises: `judged`, the mean confidence of judged
        predictions, event-weighted, to be compared with `event_accuracy`; `pending`, that of pending ones, by
        prediction, because nobody knows yet which of them will share a line.

        Args:
            series: Its number; None for all.
            pending: The pending predictions.
        """
        events, bins, delays = self.events(series), _sum(self._bins, series), self.delays(series)
        values, total = events.values, bins[:, 0].sum()
        model = estimate(values[:, 0], events.block, SHARES)
        columns = zip(self.baselines, values[:, 2:].T, strict=True)
        baselines = {name: paired_scores(values[:, 0], column, events.block) for name, column in columns}
        judged = float(bins[:, 1].sum() / total) if total else float("nan")
        return {
            "event_accuracy": model.mean,
            "n_events": model.n_events,
            "accuracy_se": model.se,
            "accuracy_ci95": list(model.ci95),
            "nll": float(values[:, 1].mean()) if len(values) else float("nan"),
            "ece": expected_calibration_error(bins),
            "expected_accuracy": {"judged": judged, "pending": self._expected(pending, series)},
            "baselines": baselines,
            "best_baseline": best_baseline(baselines),
            "label_delay_bars": {"p50": delay_quantile(delays, 0.5), "p95": delay_quantile(delays, 0.95)},
        }

    def _expected(self, pending: Predictions | None, series: int | None = None) -> float:
        """Return the mean confidence of pending predictions, of one series or of all; NaN if there are none."""
        if pending is not None and series is not None:
            pending = pending[pending.series == series]
        return float(pending.confidence.mean()) if pending else float("nan")

    def breakdown(self, series: int | None = None) -> Breakdown:
        """Return the scores of groups of predictions, of one series or of all, in plain types; NaN for no value.

        A group of predictions is scored by event accuracy among them: the mean, over the events that judged any of
        them, of the share that was correct. Each has `event_accuracy`, `n_events`, `accuracy_se` and `accuracy_ci95`
        (event-block, NaN below 8 blocks; the blocks are those of all events), `n_predictions` and `accuracy` (of
        predictions). Groups without a prediction are left out.

        Returns:
            `confidence`: groups `all`, `top_20` and `top_5`: the 20 % and 5 % of judged predictions with the highest
            confidence, and all that lie in one of 960 equal bins with the last of them. The threshold is that of the
            whole run, known only in hindsight.
            `direction`: groups `down`, `up`, `flat`, by what was predicted.
            `kind`: groups `L2H`, `L2L`, by the kind of the event's line; empty for labels without lines.
            `delay_bars`: groups `1-8`, `9-16`, `17-32`, `33-64`, `65-128`, `129+`, by bars until the verdict.
            `symbol`, `timeframe`: groups by name; empty for a series without a name.
            `hour`: groups `0` to `23`, by the UTC hour of the close at which the prediction was made.
            `reliability`: lists over 15 equal bins of confidence, event-weighted as ECE is: `low` and `high` edge,
            `share` of the weight, mean `confidence`, `accuracy` and `accuracy_se`, NaN where a bin is empty.
            `confusion`: `classes`, their names, and `share[i][j]`, the share of events (event-weighted, all sum to 1)
            that were class i and predicted as class j.
        """
        return self.events(series).breakdown(self.series, _sum(self._bins, series))

    def delays(self, series: int | None = None) -> IntArray:
        """Return how many predictions, of one series or of all, waited 0, 1, 2, ... bars for their verdict."""
        return _sum(self._delays, series)

    def events(self, series: int | None = None) -> ScoredEvents:
        """Return the events so far, of one series or of all."""
        self._events = [ScoredEvents.join(self._events)]
        return self._events[0] if series is None else self._events[0].of_series(series)

    def state_dict(self) -> dict[str, Any]:
        """Return the scores so far: numbers, and arrays of them."""
        return {
            "events": self.events().columns(),
            "sums": self._sums.copy(),
            "fading": self._fading.tolist(),
            "counts": self._counts.copy(),
            "bins": self._bins.copy(),
            "delays": self._delays.copy(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()` of a board with the same series and baselines."""
        self._events = [ScoredEvents(**state["events"])]
        self.n_events = len(self._events[0])
        self._sums = state["sums"].copy()
        self._fading = np.array(state["fading"])
        self._counts = state["counts"].copy()
        self._bins = state["bins"].copy()
        self._delays = state["delays"].copy()


def _padded(values: AnyArray, n: int, width: int = 0) -> AnyArray:
    """Return an array with at least `n` rows and `width` columns, the new ones 0."""
    shape = (max(n, len(values)), max(width, values.shape[1]), *values.shape[2:])
    if shape == values.shape:
        return values
    padded = np.zeros(shape, values.dtype)
    padded[: len(values), : values.shape[1]] = values
    return padded


def _sum(values: AnyArray, series: int | None) -> AnyArray:
    """Return the row of a series, or the sum of all rows."""
    total: AnyArray = values[slice(None) if series is None else [series]].sum(axis=0)
    return total


def delay_quantile(counts: IntArray, q: float) -> float:
    """Return the q-quantile of delays in bars, given the number of times each occurred; NaN if none did.

    Example:
        >>> delay_quantile(np.array([0, 3, 1]), 0.5)
        1.0
    """
    cumulative = np.cumsum(counts)
    if not len(counts) or cumulative[-1] == 0:
        return float("nan")
    return float(np.searchsorted(cumulative, q * cumulative[-1]))
