"""Gather verdicts into the numbers a run reports: per event, per series, beside the baselines."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from trendtrain.market.bars import FloatArray, IntArray, Series
from trendtrain.market.labels import Labels
from trendtrain.validation.predictions import Predictions, Verdicts
from trendtrain.validation.score import (
    N_CALIBRATION_BINS,
    calendar_blocks,
    calibration_bins,
    estimate,
    expected_calibration_error,
    fade,
    group,
    negative_log_likelihood,
)
from trendtrain.validation.stats import TrendStats

Scores = dict[str, Any]


class Scoreboard:
    """Keep one line an event (an event's predictions are all judged at once) and what the calibration needs.

    Args:
        labels: The labels that judge; they say which series an event belongs to.
        baselines: What each baseline answers at each row, shape (n_rows,) each.
    """

    def __init__(self, labels: Labels, baselines: Mapping[str, IntArray]) -> None:
        self.labels = labels
        self.baselines = baselines
        n_series = len(labels.series)
        self._known_at: list[IntArray] = []  # of each event: the row at whose close it was known
        self._values: list[FloatArray] = []  # of each event: correct, nll, and whether each baseline was right
        self._sums = np.zeros(2 + len(baselines))
        self._fading = (0.0, 0.0)
        self._counts = np.zeros((n_series, 3), dtype=np.int64)  # of each series: validated, correct, void
        self._bins = np.zeros((n_series, N_CALIBRATION_BINS, 3))
        self._delays: list[IntArray] = [
            np.zeros(0, dtype=np.int64) for _ in range(n_series)
        ]  # counts of each delay in bars
        self.n_events = 0

    def update(self, verdicts: Verdicts) -> None:
        """Take new verdicts in; void ones are counted and do not score."""
        series = self.labels.series_index[verdicts.row]
        for column, is_one in enumerate((verdicts.is_validated, verdicts.is_correct, ~verdicts.is_validated)):
            self._counts[:, column] += np.bincount(series[is_one], minlength=len(self._counts))
        verdicts = verdicts[verdicts.is_validated]
        if not len(verdicts):
            return
        events = group(verdicts.event)
        means = events.means(self._scores(verdicts))
        self._known_at.append(verdicts.known_at[events.first])
        self._values.append(means)
        self._sums += means.sum(axis=0)
        self._fading = fade(means[:, 0], self._fading)
        self.n_events += len(means)
        self._count_by_series(verdicts, 1.0 / events.counts[events.inverse])

    def stats(self, pending: Predictions) -> dict[Series, TrendStats]:
        """Return the six numbers of each series, given what is still waiting."""
        n_pending = np.bincount(self.labels.series_index[pending.row], minlength=len(self.labels.series))
        rows = np.column_stack([self._counts, n_pending]).tolist()
        return {series: TrendStats(*row) for series, row in zip(self.labels.series, rows, strict=True)}

    def _scores(self, verdicts: Verdicts) -> FloatArray:
        predictions, truth = verdicts.predictions, verdicts.truth
        nll = negative_log_likelihood(predictions.probability, truth)
        right = [self.baselines[name][verdicts.row] == truth for name in self.baselines]
        return np.column_stack([verdicts.is_correct, nll, *right]).astype(np.float64)

    def _count_by_series(self, verdicts: Verdicts, weight: FloatArray) -> None:
        series = self.labels.series_index[verdicts.row]
        delay = verdicts.known_at - verdicts.row
        correct = verdicts.is_correct.astype(np.float64)
        for one in np.flatnonzero(np.bincount(series)).tolist():
            part = series == one
            self._bins[one] += calibration_bins(verdicts.predictions.confidence[part], correct[part], weight[part])
            self._delays[one] = _add_counts(self._delays[one], np.bincount(delay[part]))

    def metrics(self) -> dict[str, float]:
        """Return the running scores under their TensorBoard names, without `trend/`; NaN before the first event."""
        mean = self._sums / self.n_events if self.n_events else np.full(len(self._sums), np.nan)
        total, count = self._fading
        return {
            "event_accuracy": float(mean[0]),
            "accuracy_fading": total / count if count else float("nan"),
            "nll": float(mean[1]),
            "ece": expected_calibration_error(self._bins.sum(axis=0)),
            "delay_bars": delay_quantile(self._all_delays(), 0.5),
            **{f"baseline_{name}": float(value) for name, value in zip(self.baselines, mean[2:], strict=True)},
        }

    def scores(self, series: int | None = None) -> Scores:
        """Return the scores of one series, or of all, under their names in `summary.json`."""
        known_at, values = self._table()
        event_series = self.labels.series_index[known_at]
        block = calendar_blocks(self.labels.close_time[known_at], event_series)
        if series is not None:
            part = event_series == series
            known_at, values = known_at[part], values[part]
            block = calendar_blocks(self.labels.close_time[known_at], event_series[part])
        return self._scored(values, block, series)

    def _scored(self, values: FloatArray, block: IntArray, series: int | None) -> Scores:
        model = estimate(values[:, 0], block)
        bins = self._bins.sum(axis=0) if series is None else self._bins[series]
        delays = self._all_delays() if series is None else self._delays[series]
        return {
            "event_accuracy": model.mean,
            "n_events": model.n_events,
            "accuracy_se": model.se,
            "accuracy_ci95": list(model.ci95),
            "nll": float(values[:, 1].mean()) if len(values) else float("nan"),
            "ece": expected_calibration_error(bins),
            "baselines": {
                name: _against(values[:, 0], values[:, 2 + i], block) for i, name in enumerate(self.baselines)
            },
            "label_delay_bars": {"p50": delay_quantile(delays, 0.5), "p95": delay_quantile(delays, 0.95)},
        }

    def _table(self) -> tuple[IntArray, FloatArray]:
        if not self._values:
            return np.zeros(0, dtype=np.int64), np.zeros((0, len(self._sums)))
        return np.concatenate(self._known_at), np.concatenate(self._values)

    def _all_delays(self) -> IntArray:
        total: IntArray = np.zeros(0, dtype=np.int64)
        for delays in self._delays:
            total = _add_counts(total, delays)
        return total

    def state_dict(self) -> dict[str, Any]:
        """Return everything gathered, in plain types."""
        known_at, values = self._table()
        return {
            "known_at": known_at.tolist(),
            "values": values.tolist(),
            "sums": self._sums.tolist(),
            "fading": list(self._fading),
            "counts": self._counts.tolist(),
            "bins": self._bins.tolist(),
            "delays": [delays.tolist() for delays in self._delays],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where the scoreboard that gave `state` stood."""
        self.n_events = len(state["known_at"])
        self._known_at = [np.array(state["known_at"], dtype=np.int64)]
        self._values = [np.array(state["values"]).reshape(self.n_events, len(self._sums))]
        self._sums = np.array(state["sums"])
        self._fading = (state["fading"][0], state["fading"][1])
        self._counts = np.array(state["counts"], dtype=np.int64)
        self._bins = np.array(state["bins"])
        self._delays = [np.array(delays, dtype=np.int64) for delays in state["delays"]]


def delay_quantile(counts: IntArray, q: float) -> float:
    """Return the q-quantile of delays in bars from how often each occurred; NaN where none did.

    Example:
        >>> delay_quantile(np.array([0, 3, 1]), 0.5)
        1.0
    """
    cumulative = np.cumsum(counts)
    if not len(counts) or cumulative[-1] == 0:
        return float("nan")
    return float(np.searchsorted(cumulative, q * cumulative[-1]))


def _against(model: FloatArray, baseline: FloatArray, block: IntArray) -> dict[str, float]:
    paired = estimate(model - baseline, block)
    mean = float(baseline.mean()) if len(baseline) else float("nan")
    return {"event_accuracy": mean, "difference": paired.mean, "difference_se": paired.se}


def _add_counts(a: IntArray, b: IntArray) -> IntArray:
    total = np.zeros(max(len(a), len(b)), dtype=np.int64)
    total[: len(a)] += a
    total[: len(b)] += b
    return total
