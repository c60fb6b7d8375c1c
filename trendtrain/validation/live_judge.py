"""Judge predictions that come one by one, from anywhere: a rule, an sklearn model, a remote service."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from trendtrain.errors import InputError, check_choice, check_number
from trendtrain.market.bars import Bars, Series, TimeArray
from trendtrain.market.directions import CLASS_WORDS, DIRECTION_WORDS, UNKNOWN
from trendtrain.market.label_tracker import LabelRuns, LabelTracker
from trendtrain.market.labels import Labels
from trendtrain.market.timeframe import format_timeframe, parse_timeframe
from trendtrain.validation.judged import JudgedPrediction, chance_of_up
from trendtrain.validation.outcomes import OUTCOME_NAMES
from trendtrain.validation.pending import Pending
from trendtrain.validation.predictions import Predictions, Verdicts
from trendtrain.validation.stats import TrendStats

Moment = np.datetime64 | datetime | str


class TrendJudge:
    """Keep predictions until the bars that follow make their labels known, and judge them then.

    The labels are those of `label_bars` and the verdicts those of `Pending`, whatever the chunks in which
    bars come. What is kept grows with the predictions that wait, not with the bars gone by.

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
        LabelTracker(**rules)  # a broken rule is told before any bar comes
        self.rules = rules
        self._streams: dict[Series, _Stream] = {}

    def store(
        self,
        *,
        model_type: str,
        symbol: str,
        timeframe: str,
        direction: str,
        confidence: float,
        at: Moment | None = None,
    ) -> None:
        """Keep a prediction; one by the same model at the same moment is replaced.

        Args:
            model_type: Who predicts.
            symbol: Symbol of the series.
            timeframe: Its timeframe, such as `5m`.
            direction: `up` or `down`.
            confidence: The chance of that direction, 0.5 to 1.
            at: When it was made, without an offset UTC; it belongs to the last bar that had closed by then, which may
                come later than the prediction. None for the close of the last bar so far.

        Raises:
            InputError: If an argument breaks its rule, or the label is known already.
        """
        if not isinstance(model_type, str) or not model_type:
            raise InputError(f"`model_type` must be a name, got {model_type!r}.")
        check_choice("direction", direction, CLASS_WORDS[:2])
        check_number("confidence", confidence, 0.5, 1.0)
        self._stream(symbol, timeframe).store(model_type, direction, float(confidence), at)

    def update(self, symbol: str, timeframe: str, bars: Bars) -> tuple[JudgedPrediction, ...]:
        """Return what the next bars of a series judge, in the order in which it became known, model by model.

        Raises:
            InputError: If the bars do not follow the last ones, or their timeframe differs.
        """
        return self._stream(symbol, timeframe).update(bars)

    def stats(
        self, model_type: str | None = None, symbol: str | None = None, timeframe: str | None = None
    ) -> dict[str, float]:
        """Return the six numbers; of all, or of one model, symbol or timeframe."""
        wanted = None if timeframe is None else format_timeframe(parse_timeframe(timeframe))
        total = TrendStats()
        for series, stream in self._streams.items():
            if symbol in (None, series.symbol) and wanted in (None, series.timeframe):
                total += stream.stats(model_type)
        return total.as_dict()

    def last_close(self, symbol: str, timeframe: str) -> np.datetime64:
        """Return the close of the last bar of a series: when a prediction without a time is made.

        Raises:
            InputError: If no bar came yet.
        """
        return self._stream(symbol, timeframe).last_close()

    def state_dict(self) -> dict[str, Any]:
        """Return what waits, the counts and what the labels need, in plain types."""
        return {" ".join(series): stream.state_dict() for series, stream in self._streams.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where the judge of the same rules that gave `state` stood."""
        self._streams = {}
        for name, values in state.items():
            self._stream(*name.rsplit(" ", 1)).load_state_dict(values)

    def _stream(self, symbol: str, timeframe: str) -> "_Stream":
        if not isinstance(symbol, str) or not symbol:
            raise InputError(f"`symbol` must be a name, got {symbol!r}.")
        series = Series(symbol, format_timeframe(parse_timeframe(timeframe)))
        if series not in self._streams:
            self._streams[series] = _Stream(series, LabelTracker(**self.rules))
        return self._streams[series]


@dataclass
class _Stream:
    """One series: its bars without a label, and the predictions that wait for one."""

    series: Series
    tracker: LabelTracker
    n_labelled: int = 0
    n_lines: int = 0  # known before this chunk
    close_time: TimeArray = field(default_factory=lambda: np.empty(0, "datetime64[ms]"))  # from bar n_labelled on
    waiting: dict[tuple[np.datetime64, str], tuple[str, float]] = field(default_factory=dict)
    buffers: dict[str, Pending] = field(default_factory=dict)

    def store(self, model_type: str, direction: str, confidence: float, at: Moment | None) -> None:
        moment = self.last_close() if at is None else read_moment(at)
        if self.n_labelled and moment < self.close_time[0]:
            rule = "`at` must not lie where labels are known already"
            raise InputError(f"{rule}, before {self.close_time[0]} in {' '.join(self.series)}, got {moment}.")
        self.waiting[moment, model_type] = (direction, confidence)

    def last_close(self) -> np.datetime64:
        if not len(self.close_time):
            raise InputError(f"`at` must be given before the first bar of {' '.join(self.series)}, got none.")
        moment: np.datetime64 = self.close_time[-1]
        return moment

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
        labels = _labels(runs, self.close_time, self.n_labelled, self.series)
        judged = [
            verdict
            for model in sorted({model for _, model in due})
            for verdict in self._judge(model, [at for at, who in due if who == model], labels)
        ]
        self.close_time, self.n_labelled = self.close_time[n_new:], self.n_labelled + n_new
        return judged

    def _judge(self, model: str, moments: list[np.datetime64], labels: Labels) -> list[JudgedPrediction]:
        said = [self.waiting.pop((at, model)) for at in moments]
        # Before the first bar is like at it: no pivot lies there.
        row = np.maximum(np.searchsorted(labels.close_time, np.array(moments), side="right") - 1, 0)
        up = np.array([chance_of_up(*words) for words in said])
        buffer = self.buffers.setdefault(model, Pending())
        buffer.add(Predictions(row, np.column_stack([1.0 - up, up])))
        verdicts = buffer.judge(labels, now=len(labels) - 1)
        assert (verdicts.row == row).all()  # all are due, and come back in the order of time
        return [
            self._told(model, at, words, labels, verdicts[np.array([i])])
            for i, (at, words) in enumerate(zip(moments, said, strict=True))
        ]

    def _told(
        self, model: str, at: np.datetime64, words: tuple[str, float], labels: Labels, verdict: Verdicts
    ) -> JudgedPrediction:
        known_bar, event = int(verdict.known_at[0]), int(verdict.event[0])
        return JudgedPrediction(
            model,
            *self.series,
            at,
            *words,
            truth=DIRECTION_WORDS[int(verdict.truth[0])],
            outcome=OUTCOME_NAMES[verdict.outcome[0]],
            known_at=labels.close_time[known_bar],
            bar=int(verdict.row[0]) + self.n_labelled,
            known_bar=known_bar + self.n_labelled,
            event=event,
            line=labels.lines[np.array([event - self.n_lines] if event >= 0 else [], dtype=np.int64)],
        )

    def state_dict(self) -> dict[str, Any]:
        waiting = [[int(at.astype(np.int64)), model, *words] for (at, model), words in self.waiting.items()]
        return {
            "tracker": self.tracker.state_dict(),
            "n_labelled": self.n_labelled,
            "n_lines": self.n_lines,
            "close_time": self.close_time.astype(np.int64).tolist(),
            "waiting": waiting,
            "buffers": {model: buffer.state_dict() for model, buffer in self.buffers.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.tracker.load_state_dict(state["tracker"])
        self.n_labelled, self.n_lines = state["n_labelled"], state["n_lines"]
        self.close_time = np.array(state["close_time"], dtype=np.int64).astype("datetime64[ms]")
        self.waiting = {
            (np.datetime64(at, "ms"), model): (direction, confidence)
            for at, model, direction, confidence in state["waiting"]
        }
        for model, counts in state["buffers"].items():
            self.buffers[model] = Pending()
            self.buffers[model].load_state_dict(counts)

    def stats(self, model_type: str | None) -> TrendStats:
        total = TrendStats(pending=sum(model_type in (None, model) for _, model in self.waiting))
        for model, buffer in self.buffers.items():
            total += buffer.stats if model_type in (None, model) else TrendStats()
        return total


def _labels(runs: LabelRuns, close_time: TimeArray, first: int, series: Series) -> Labels:
    """Return new labels as those of a series that begins at bar `first`; later bars have none yet."""
    n_labelled = int(runs.end[-1]) - first
    return Labels(
        close_time=close_time,
        start=np.append(runs.start - first, n_labelled),
        run_direction=np.append(runs.direction, UNKNOWN),
        run_known_at=np.append(runs.known_at - first, -1),
        run_event=np.append(runs.event, -1),
        lines=runs.lines,
        series=(series,),
        offset=np.array([0, len(close_time)]),
    )


def read_moment(at: Moment) -> np.datetime64:
    """Return a time as `datetime64[ms]`; without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    except ValueError as error:
        raise InputError(f"`at` must be a time such as 2024-01-31T12:00, got {at!r}.") from error
    if isinstance(moment, datetime):
        moment = np.datetime64(moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment)
    if not isinstance(moment, np.datetime64) or np.isnat(moment):
        raise InputError(f"`at` must be a time such as 2024-01-31T12:00, got {at!r}.")
    milliseconds: np.datetime64 = moment.astype("datetime64[ms]")
    return milliseconds
