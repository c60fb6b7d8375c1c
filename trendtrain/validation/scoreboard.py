"""The scores of a run: per event, per series, beside those of the baselines."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from trendtrain.market.bars import AnyArray, FloatArray, IntArray, Series
from trendtrain.validation.breakdown import Breakdown, ScoredEvents
from trendtrain.validation.predictions import CORRECT, OUTCOME_NAMES, WRONG, Predictions, Verdicts
from trendtrain.validation.score import (
    N_CALIBRATION_BINS,
    SHARES,
    Estimate,
    Scores,
    best_baseline,
    calibration_bins,
    estimate,
    expected_calibration_error,
    fade,
    group,
    negative_log_likelihood,
    paired_scores,
)
from trendtrain.validation.stats import TrendStats

_BLOCK: Final = 32_768  # verdicts scored at once: temporary arrays of more cost a third of the time in page faults


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
        self._fading = (0.0, 0.0)
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
        """Add new verdicts; void ones are counted and have no score."""
        self._count(verdicts)
        for part in _blocks(verdicts[verdicts.is_validated]):
            self._add(part)

    def _add(self, verdicts: Verdicts) -> None:
        made, events = verdicts.predictions, group(verdicts.event)
        means = np.stack([events.means(column) for column in _scores(verdicts)], axis=-1)
        self._events.append(ScoredEvents.of(verdicts, events, means))
        self._sums += means.sum(axis=0)
        self._fading = fade(means[:, 0], self._fading)
        self.n_events += len(means)
        weight = (1.0 / events.counts)[events.inverse]
        confidence = made.confidence.astype(np.float32)
        bins = calibration_bins(confidence, verdicts.is_correct, weight, made.series, len(self.series))
        self._bins += bins.reshape(self._bins.shape)
        delay = verdicts.known_at - verdicts.row
        self._delays = _padded(self._delays, len(self.series), int(delay.max()) + 1)
        np.add.at(self._delays.reshape(-1), made.series * self._delays.shape[1] + delay, 1)

    def stats(self, pending: Predictions) -> dict[Series, TrendStats]:
        """Return the six numbers of each series, given the pending predictions."""
        n_pending = np.bincount(pending.series, minlength=len(self.series))
        rows = np.column_stack([self._counts, n_pending]).tolist()
        return {series: TrendStats(*row) for series, row in zip(self.series, rows, strict=True)}

    def _count(self, verdicts: Verdicts) -> None:
        n_series, n_outcomes = len(self.series), len(OUTCOME_NAMES)
        code = verdicts.predictions.series * n_outcomes + verdicts.outcome
        counts = np.bincount(code, minlength=n_series * n_outcomes).reshape(n_series, n_outcomes)
        validated = counts[:, WRONG] + counts[:, CORRECT]
        self._counts += np.column_stack([validated, counts[:, CORRECT], counts.sum(axis=1) - validated])

    def metrics(self, pending: Predictions | None = None) -> dict[str, float]:
        """Return the running scores under their TensorBoard names, without `trend/`; NaN before the first event.

        `expected_accuracy` is the mean confidence of pending predictions; NaN if there are none.
        """
        mean = self._sums / self.n_events if self.n_events else np.full(len(self._sums), np.nan)
        total, count = self._fading
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
        events = self._scored()
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
        events, bins = self._scored(series), self._bins_of(series)
        scores = self._scores_of(events.values, events.block, bins, self.delays(series))
        scores["expected_accuracy"]["pending"] = self._expected(pending, series)
        return scores

    def _expected(self, pending: Predictions | None, series: int | None = None) -> float:
        """Return the mean confidence of pending predictions, of one series or of all; NaN if there are none."""
        if pending is not None and series is not None:
            pending = pending[pending.series == series]
        return float(pending.confidence.mean()) if pending else float("nan")

    def _scores_of(self, values: FloatArray, block: IntArray, bins: FloatArray, delays: IntArray) -> Scores:
        model = estimate(values[:, 0], block, SHARES)
        columns = zip(self.baselines, values[:, 2:].T, strict=True)
        baselines = {name: paired_scores(values[:, 0], column, block) for name, column in columns}
        return {
            "event_accuracy": model.mean,
            "n_events": model.n_events,
            "accuracy_se": model.se,
            "accuracy_ci95": list(model.ci95),
            "nll": float(values[:, 1].mean()) if len(values) else float("nan"),
            "ece": expected_calibration_error(bins),
            "expected_accuracy": {"judged": _mean_confidence(bins)},
            "baselines": baselines,
            "best_baseline": best_baseline(baselines),
            "label_delay_bars": {"p50": delay_quantile(delays, 0.5), "p95": delay_quantile(delays, 0.95)},
        }

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
        return self._scored(series).breakdown(self.series, self._bins_of(series))

    def delays(self, series: int | None = None) -> IntArray:
        """Return how many predictions, of one series or of all, waited 0, 1, 2, ... bars for their verdict."""
        delays: IntArray = self._delays.sum(axis=0) if series is None else self._delays[series].copy()
        return delays

    def _bins_of(self, series: int | None) -> FloatArray:
        bins: FloatArray = self._bins.sum(axis=0) if series is None else self._bins[series]
        return bins

    def _scored(self, series: int | None = None) -> ScoredEvents:
        """Return the events so far, of one series or of all."""
        self._events = [ScoredEvents.join(self._events)]
        return self._events[0] if series is None else self._events[0].of_series(series)

    def state_dict(self) -> dict[str, Any]:
        """Return the scores so far: numbers, and arrays of them."""
        return {
            "events": self._scored().state_dict(),
            "sums": self._sums.copy(),
            "fading": list(self._fading),
            "counts": self._counts.copy(),
            "bins": self._bins.copy(),
            "delays": self._delays.copy(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()` of a board with the same series and baselines."""
        self._events = [ScoredEvents.from_state(state["events"])]
        self.n_events = len(self._events[0])
        self._sums = state["sums"].copy()
        self._fading = (state["fading"][0], state["fading"][1])
        self._counts = state["counts"].copy()
        self._bins = state["bins"].copy()
        self._delays = state["delays"].copy()


def _blocks(verdicts: Verdicts) -> Iterator[Verdicts]:
    """Cut verdicts, whose events lie together, between events into parts that stay in the processor's cache."""
    n, start = len(verdicts), np.flatnonzero(np.diff(verdicts.event)) + 1
    cuts = np.append(start, n)[np.searchsorted(start, np.arange(_BLOCK, n, _BLOCK))]
    for first, last in pairwise([0, *np.unique(cuts).tolist(), n]):
        if first < last:
            yield verdicts[first:last]


def _scores(verdicts: Verdicts) -> list[AnyArray]:
    """Return of each verdict: whether it is correct, its nll, and whether each baseline was right."""
    nll = negative_log_likelihood(verdicts.predictions.probability, verdicts.truth)
    right = (verdicts.predictions.baselines == verdicts.truth[:, None]).T
    return [verdicts.is_correct, nll, *right]


def _padded(values: AnyArray, n: int, width: int = 0) -> AnyArray:
    """Return an array with at least `n` rows and `width` columns, the new ones 0."""
    shape = (max(n, len(values)), max(width, values.shape[1]), *values.shape[2:])
    if shape == values.shape:
        return values
    padded = np.zeros(shape, values.dtype)
    padded[: len(values), : values.shape[1]] = values
    return padded


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


def _mean_confidence(bins: FloatArray) -> float:
    total = bins[:, 0].sum()
    return float(bins[:, 1].sum() / total) if total else float("nan")
