"""Judge predictions that come one by one, from anywhere: a rule, an sklearn model, a remote service."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from trendtrain.errors import InputError, check_choice, check_number
from trendtrain.market.bars import Bars, Series, TimeArray
from trendtrain.market.directions import DOWN, FLAT, UNKNOWN, UP
from trendtrain.market.label_tracker import LabelRuns, LabelTracker
from trendtrain.market.labels import Labels
from trendtrain.market.timeframe import format_timeframe, parse_timeframe
from trendtrain.validation.buffer import ValidationBuffer
from trendtrain.validation.outcomes import OUTCOME_NAMES
from trendtrain.validation.predictions import Predictions
from trendtrain.validation.stats import TrendStats

Moment = np.datetime64 | datetime | str

_CODES: Final = {"down": DOWN, "up": UP}
_WORDS: Final = {DOWN: "down", UP: "up", FLAT: "flat", UNKNOWN: "unknown"}
_ABOVE_HALF: Final = float(np.nextafter(0.5, 1.0))  # at a half both directions are level, and DOWN would count


@dataclass(frozen=True)
class JudgedPrediction:
    """A prediction and what came of it.

    Attributes:
        model_type, symbol, timeframe: Who said it of what.
        at: When it was made, `datetime64[ms]` UTC.
        direction: `up` or `down`.
        confidence: The chance it gave that direction.
        truth: What came: `up`, `down`, `flat`, or `unknown` where a hole in the bars came first.
        outcome: `correct`, `wrong`, `void_flat` or `void_gap`.
        known_at: Close time of the bar that made it certain, `datetime64[ms]` UTC.
    """

    model_type: str
    symbol: str
    timeframe: str
    at: np.datetime64
    direction: str
    confidence: float
    truth: str
    outcome: str
    known_at: np.datetime64


class TrendJudge:
    """Keep predictions until the bars that follow make their labels known, and judge them then.

    The labels are those of `label_bars` and the verdicts those of `ValidationBuffer`, whatever the chunks in which
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
        check_choice("direction", direction, tuple(_CODES))
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
    close_time: TimeArray = field(default_factory=lambda: np.empty(0, "datetime64[ms]"))  # from bar n_labelled on
    waiting: dict[tuple[np.datetime64, str], tuple[str, float]] = field(default_factory=dict)
    buffers: dict[str, ValidationBuffer] = field(default_factory=dict)

    def store(self, model_type: str, direction: str, confidence: float, at: Moment | None) -> None:
        if at is None and not len(self.close_time):
            raise InputError(f"`at` must be given before the first bar of {' '.join(self.series)}, got none.")
        moment = self.close_time[-1] if at is None else _read_moment(at)
        if self.n_labelled and moment < self.close_time[0]:
            rule = "`at` must not lie where labels are known already"
            raise InputError(f"{rule}, before {self.close_time[0]} in {' '.join(self.series)}, got {moment}.")
        self.waiting[moment, model_type] = (direction, confidence)

    def update(self, bars: Bars) -> tuple[JudgedPrediction, ...]:
        if bars.timeframe != parse_timeframe(self.series.timeframe):
            length = format_timeframe(bars.timeframe)
            raise InputError(f"`bars` must have the timeframe of {' '.join(self.series)}, got {length}.")
        runs = self.tracker.update(bars)
        self.close_time = np.concatenate([self.close_time, bars.close_time])
        if not len(runs.end):
            return ()
        n_new = int(runs.end[-1]) - self.n_labelled
        due = sorted(key for key in self.waiting if key[0] < self.close_time[n_new])
        labels = _labels(runs, self.close_time, self.n_labelled, self.series)
        judged = [
            verdict
            for model in sorted({model for _, model in due})
            for verdict in self._judge(model, [at for at, who in due if who == model], labels)
        ]
        self.close_time, self.n_labelled = self.close_time[n_new:], self.n_labelled + n_new
        return tuple(sorted(judged, key=lambda one: one.known_at))

    def _judge(self, model: str, moments: list[np.datetime64], labels: Labels) -> list[JudgedPrediction]:
        said = [self.waiting.pop((at, model)) for at in moments]
        # Before the first bar is like at it: no pivot lies there.
        row = np.maximum(np.searchsorted(labels.close_time, np.array(moments), side="right") - 1, 0)
        up = np.array([_chance_of_up(*words) for words in said])
        buffer = self.buffers.setdefault(model, ValidationBuffer())
        buffer.add(Predictions(row, np.column_stack([1.0 - up, up])))
        verdicts = buffer.judge(labels, now=len(labels) - 1)
        assert (verdicts.row == row).all()  # all are due, and come back in the order of time
        rows = zip(moments, said, verdicts.truth, verdicts.outcome, labels.close_time[verdicts.known_at], strict=True)
        return [
            JudgedPrediction(model, *self.series, at, *words, _WORDS[int(truth)], OUTCOME_NAMES[outcome], known_at)
            for at, words, truth, outcome, known_at in rows
        ]

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


def _chance_of_up(direction: str, confidence: float) -> float:
    confidence = max(confidence, _ABOVE_HALF)
    return confidence if _CODES[direction] == UP else 1.0 - confidence


def _read_moment(at: Moment) -> np.datetime64:
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
