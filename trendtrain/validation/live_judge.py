"""Judge predictions that come one by one, from anywhere: a rule, an sklearn model, a remote service."""

from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np

from trendtrain.errors import InputError, check_choice, check_number
from trendtrain.market.bars import Bars, Series, TimeArray
from trendtrain.market.directions import CLASS_WORDS, DIRECTION_WORDS
from trendtrain.market.labels import KnownLabels, LabelTracker
from trendtrain.market.lines import LabelRuns
from trendtrain.market.timeframe import Time, format_timeframe, parse_timeframe, to_milliseconds
from trendtrain.validation.judged_prediction import JudgedPrediction, probability_of_up
from trendtrain.validation.pending import Pending
from trendtrain.validation.predictions import OUTCOME_NAMES, Predictions, Verdicts
from trendtrain.validation.stats import TrendStats


class TrendJudge:
    """Keep predictions until later bars make their labels known, and judge them then.

    The labels are those of `label_bars` and the verdicts those of `Pending`, whatever the chunks in which bars come.
    Memory grows with the pending predictions, not with the bars seen.

    Args:
        rules: Options of the labels, as in `label_bars`.

    Raises:
        InputError: If an option breaks its rule.

    Example:
        >>> from trendtrain.market import random_walk
        >>> bars, judge = random_walk(200, seed=0, timeframe="5m"), TrendJudge()
        >>> verdicts = judge.update("BTCUSDT", "5m", bars[:100])
        >>> judge.store(model_type="rule", symbol="BTCUSDT", timeframe="5m", direction="up", confidence=0.85)
        >>> [(verdict.truth, verdict.outcome) for verdict in judge.update("BTCUSDT", "5m", bars[100:])]
        [('up', 'correct')]
        >>> judge.stats()["validated_predictions"]
        1
    """

    def __init__(self, **rules: Any) -> None:
        LabelTracker(**rules)  # refuses a broken rule before any bar comes
        self.rules = rules
        self._judges: dict[Series, _SeriesJudge] = {}

    def store(
        self,
        *,
        model_type: str,
        symbol: str,
        timeframe: str,
        direction: str,
        confidence: float,
        at: Time | None = None,
    ) -> None:
        """Store a prediction; it replaces one of the same model at the same time.

        Args:
            model_type: Name of the model.
            symbol: Symbol of the series.
            timeframe: Its timeframe, such as `5m`.
            direction: `up` or `down`.
            confidence: The probability of that direction, 0.5 to 1.
            at: Time of the prediction, UTC if it has no offset; it belongs to the last bar that has closed by then,
                whose data may come later. None for the close of the last bar so far.

        Raises:
            InputError: If an argument breaks its rule, or the label is known already.
        """
        if not isinstance(model_type, str) or not model_type:
            raise InputError(f"`model_type` must be a name, got {model_type!r}.")
        check_choice("direction", direction, CLASS_WORDS[:2])
        check_number("confidence", confidence, 0.5, 1.0)
        self._judge_of(symbol, timeframe).store(model_type, direction, float(confidence), at)

    def update(self, symbol: str, timeframe: str, bars: Bars) -> tuple[JudgedPrediction, ...]:
        """Return the predictions that the next bars of a series judge, in order of `known_at`, then model, then time.

        Raises:
            InputError: If the bars do not follow the last ones, or their timeframe differs.
        """
        return self._judge_of(symbol, timeframe).update(bars)

    def stats(
        self, model_type: str | None = None, symbol: str | None = None, timeframe: str | None = None
    ) -> dict[str, float]:
        """Return the six numbers of all predictions, or of those of one model, symbol or timeframe."""
        wanted = None if timeframe is None else format_timeframe(parse_timeframe(timeframe))
        total = TrendStats()
        for series, judge in self._judges.items():
            if symbol in (None, series.symbol) and wanted in (None, series.timeframe):
                total += judge.stats(model_type)
        return total.as_dict()

    def last_close(self, symbol: str, timeframe: str) -> np.datetime64:
        """Return the close of the last bar of a series: the time of a prediction stored without one.

        Raises:
            InputError: If no bar came yet.
        """
        return self._judge_of(symbol, timeframe).last_close()

    def state_dict(self) -> dict[str, Any]:
        """Return the pending predictions, the counts and the state of the labels, in plain types."""
        return {" ".join(series): judge.state_dict() for series, judge in self._judges.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()` of a judge with the same rules."""
        self._judges = {}
        for name, values in state.items():
            self._judge_of(*name.rsplit(" ", 1)).load_state_dict(values)

    def _judge_of(self, symbol: str, timeframe: str) -> "_SeriesJudge":
        if not isinstance(symbol, str) or not symbol:
            raise InputError(f"`symbol` must be a name, got {symbol!r}.")
        series = Series(symbol, format_timeframe(parse_timeframe(timeframe)))
        if series not in self._judges:
            self._judges[series] = _SeriesJudge(series, LabelTracker(**self.rules))
        return self._judges[series]


@dataclass
class _SeriesJudge:
    """The pending predictions of one series, and the close times of its bars that have no label yet."""

    series: Series
    tracker: LabelTracker
    n_labelled: int = 0
    n_lines: int = 0  # known before this chunk
    close_time: TimeArray = field(default_factory=lambda: np.empty(0, "datetime64[ms]"))  # from bar n_labelled on
    waiting: dict[tuple[np.datetime64, str], tuple[str, float]] = field(default_factory=dict)
    counts: dict[str, TrendStats] = field(default_factory=dict)  # of verdicts, by model

    def store(self, model_type: str, direction: str, confidence: float, at: Time | None) -> None:
        time = self.last_close() if at is None else np.datetime64(to_milliseconds("at", at), "ms")
        if self.n_labelled and time < self.close_time[0]:
            rule = "`at` must not lie where labels are known already"
            raise InputError(f"{rule}, before {self.close_time[0]} in {' '.join(self.series)}, got {time}.")
        self.waiting[time, model_type] = (direction, confidence)

    def last_close(self) -> np.datetime64:
        if not len(self.close_time):
            raise InputError(f"`at` must be given before the first bar of {' '.join(self.series)}, got none.")
        time: np.datetime64 = self.close_time[-1]
        return time

    def update(self, bars: Bars) -> tuple[JudgedPrediction, ...]:
        if bars.timeframe != parse_timeframe(self.series.timeframe):
            length = format_timeframe(bars.timeframe)
            raise InputError(f"`bars` must have the timeframe of {' '.join(self.series)}, got {length}.")
        runs = self.tracker.update(bars)
        self.close_time = np.concatenate([self.close_time, bars.close_time])
        judged = self._judge_all(runs) if len(runs.end) else []
        self.n_lines += len(runs.lines)
        return tuple(sorted(judged, key=lambda one: one.known_at))

    def _judge_all(self, runs: LabelRuns) -> list[JudgedPrediction]:
        n_new = int(runs.end[-1]) - self.n_labelled
        due = sorted(key for key in self.waiting if key[0] < self.close_time[n_new])
        known = KnownLabels.of_runs(runs, self.close_time[runs.known_at - self.n_labelled], self.n_lines)
        models = sorted({model for _, model in due})
        judged = [one for model in models for one in self._judge(model, [at for at, of in due if of == model], known)]
        self.close_time, self.n_labelled = self.close_time[n_new:], self.n_labelled + n_new
        return judged

    def _judge(self, model: str, times: list[np.datetime64], known: KnownLabels) -> list[JudgedPrediction]:
        predicted = [self.waiting.pop((at, model)) for at in times]
        # A prediction before the first bar counts as one at it: no pivot lies between.
        bar = np.maximum(np.searchsorted(self.close_time, np.array(times), side="right") - 1, 0)
        up = np.array([probability_of_up(*prediction) for prediction in predicted])
        pending = Pending()
        pending.add(Predictions(self.n_labelled + bar, np.column_stack([1.0 - up, up])))
        verdicts = pending.judge(known)
        assert len(verdicts) == len(times)  # all are due, and come back in the order of time
        self.counts[model] = self.counts.get(model, TrendStats()) + pending.stats
        return [
            self._with_verdict(model, at, prediction, verdicts[np.array([i])])
            for i, (at, prediction) in enumerate(zip(times, predicted, strict=True))
        ]

    def _with_verdict(
        self, model: str, at: np.datetime64, prediction: tuple[str, float], verdict: Verdicts
    ) -> JudgedPrediction:
        return JudgedPrediction(
            model,
            *self.series,
            at,
            *prediction,
            truth=DIRECTION_WORDS[int(verdict.truth[0])],
            outcome=OUTCOME_NAMES[verdict.outcome[0]],
            known_at=verdict.known_time[0],
            bar=int(verdict.row[0]),
            known_bar=int(verdict.known_at[0]),
            event=int(verdict.event[0]),
            line=verdict.lines[verdict.line[verdict.line >= 0]],
        )

    def state_dict(self) -> dict[str, Any]:
        waiting = [[int(at.astype(np.int64)), model, *prediction] for (at, model), prediction in self.waiting.items()]
        return {
            "tracker": self.tracker.state_dict(),
            "n_labelled": self.n_labelled,
            "n_lines": self.n_lines,
            "close_time": self.close_time.astype(np.int64).tolist(),
            "waiting": waiting,
            "counts": {model: astuple(counts) for model, counts in self.counts.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.tracker.load_state_dict(state["tracker"])
        self.n_labelled, self.n_lines = state["n_labelled"], state["n_lines"]
        self.close_time = np.array(state["close_time"], dtype=np.int64).astype("datetime64[ms]")
        self.waiting = {
            (np.datetime64(at, "ms"), model): (direction, confidence)
            for at, model, direction, confidence in state["waiting"]
        }
        self.counts = {model: TrendStats(*counts) for model, counts in state["counts"].items()}

    def stats(self, model_type: str | None) -> TrendStats:
        total = TrendStats(pending=sum(model_type in (None, model) for _, model in self.waiting))
        for model, counts in self.counts.items():
            total += counts if model_type in (None, model) else TrendStats()
        return total
