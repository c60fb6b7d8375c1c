"""What is known of a live run: its series, its predictions and how late they are, its parameters."""

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from trendtrain.market.bars import Bars, Series
from trendtrain.market.timeframe import parse_timeframe
from trendtrain.stream.walk_step import WalkStep
from trendtrain.validation.predictions import Predictions
from trendtrain.validation.score import Estimate

_N_LAGS: Final = 1000  # newest predictions whose lag is kept
_SECONDS_BETWEEN: Final = 60.0  # estimates of the accuracy: with 100,000 events one takes some 20 ms
_MS: Final = np.timedelta64(1, "ms")


@dataclass
class SeriesFacts:
    """What is known of a series.

    Attributes:
        newest: The close of its newest bar; None before the first.
        n_bars: Bars that came since the start.
        n_missing: Bars that should lie between them, and were never brought.
        lag: Seconds from the close of the bar predicted last to its stored prediction; NaN before the first.
    """

    newest: np.datetime64 | None = None
    n_bars: int = 0
    n_missing: int = 0
    lag: float = math.nan

    def add(self, bars: Bars, timeframe: np.timedelta64) -> None:
        """Count bars that came, in their order."""
        first = bars.open_time[0] if self.newest is None else self.newest
        n_due = int((bars.close_time[-1] - first) // timeframe)
        self.newest = bars.close_time[-1]
        self.n_bars += len(bars)
        self.n_missing += max(n_due - len(bars), 0)


@dataclass
class Facts:
    """What is known of a run; callers say what happens, `as_dict` what came of it.

    Attributes:
        clock: What time it is in the market; None before the first step.
        parameters: How many optimizer steps the parameters have that predict.
        learned_at: When that number last changed, seconds since 1970; None if it never did.
        n_alarms: Changes of the market that were detected since the start.
    """

    series: dict[Series, SeriesFacts] = field(default_factory=dict)
    clock: np.datetime64 | None = None
    parameters: int = 0
    learned_at: float | None = None
    n_alarms: int = 0
    _step: WalkStep | None = None
    _lags: deque[float] = field(default_factory=lambda: deque(maxlen=_N_LAGS))
    _estimate: Estimate | None = None
    _estimated_at: float = -math.inf

    def begin(self, series: Sequence[Series], newest: Sequence[Bars | None], parameters: int) -> None:
        """Note where a run starts or goes on."""
        for one, bars in zip(series, newest, strict=True):
            self.series[one] = SeriesFacts(None if bars is None else bars.close_time[-1])
        self.parameters = parameters

    def add_predictions(
        self, predictions: Predictions, series: Sequence[Series], clock: np.datetime64 | None
    ) -> list[float]:
        """Note that predictions were stored, and return the lag of each, s; none where bars are history."""
        if clock is None:
            return []
        lags: list[float] = ((clock - predictions.close_time) / np.timedelta64(1, "s")).tolist()
        self._lags.extend(lags)
        for number, lag in zip(predictions.series.tolist(), lags, strict=True):
            self.series.setdefault(series[number], SeriesFacts()).lag = lag
        return lags

    def add_step(self, step: WalkStep, parameters: int) -> None:
        """Note what a step brought."""
        self._step, self.clock = step, step.now
        for series, bars in step.bars.items():
            if len(bars):
                self.series.setdefault(series, SeriesFacts()).add(bars, parse_timeframe(series.timeframe))
        if parameters != self.parameters:
            self.parameters, self.learned_at = parameters, time.time()
        if time.monotonic() - self._estimated_at >= _SECONDS_BETWEEN:
            self._estimate, self._estimated_at = step.board.estimate(), time.monotonic()

    def as_dict(self) -> dict[str, Any]:
        """Return all of it in plain types: times in ms since 1970 UTC, NaN as None."""
        step, found = self._step, self._estimate
        interval = (math.nan, math.nan) if found is None else found.ci95
        p50, p99 = np.quantile(self._lags, [0.5, 0.99]).tolist() if self._lags else (math.nan, math.nan)
        accuracy = math.nan if step is None else step.metrics["event_accuracy"]
        return {
            "clock": _milliseconds(self.clock),
            "n_steps": 0 if step is None else step.index + 1,
            "parameters": {"number": self.parameters, "learned_at": self.learned_at},
            "event_accuracy": _or_none(accuracy),
            "accuracy_ci95": [_or_none(edge) for edge in interval],
            "n_events": 0 if step is None else step.board.n_events,
            "stats": {} if step is None else _plain(step.stats.as_dict()),
            "lag_seconds": {"p50": _or_none(p50), "p99": _or_none(p99)},
            "n_alarms": self.n_alarms,
            "series": [self._series(series, one) for series, one in self.series.items()],
        }

    def _series(self, series: Series, one: SeriesFacts) -> dict[str, Any]:
        stats = None if self._step is None else self._step.series_stats.get(series)
        return {
            "symbol": series.symbol,
            "timeframe": series.timeframe,
            "newest": _milliseconds(one.newest),
            "n_bars": one.n_bars,
            "n_missing": one.n_missing,
            "lag_seconds": _or_none(one.lag),
            "stats": {} if stats is None else _plain(stats.as_dict()),
        }


def _plain(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _or_none(value) for name, value in values.items()}


def _milliseconds(time_: np.datetime64 | None) -> int | None:
    return None if time_ is None else int(time_.astype("datetime64[ms]").astype(np.int64))


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
