"""Store the predictions and verdicts of a `TrendJudge` in the ledger at once, so that a kill loses none."""

from typing import Any

import numpy as np
from sqlalchemy import select

from trendtrain.errors import InputError
from trendtrain.market.bars import Bars, Series, name_series
from trendtrain.market.directions import DIRECTION_CODES, DIRECTION_WORDS
from trendtrain.market.lines import Lines
from trendtrain.market.timeframe import Time, format_timeframe, parse_timeframe, to_milliseconds
from trendtrain.storage.ledger.ledger import Ledger
from trendtrain.storage.ledger.rows import LineRows, PredictionRows, VerdictRows
from trendtrain.storage.schema import prediction_rows, runs, series, tracks, verdict_rows
from trendtrain.validation.judged_prediction import JudgedPrediction
from trendtrain.validation.live_judge import TrendJudge
from trendtrain.validation.predictions import OUTCOME_NAMES
from trendtrain.validation.stats import TrendStats


class LedgerJudge:
    """A `TrendJudge` that writes each prediction and verdict to a run of the ledger at once.

    After a restart it reads the pending predictions from the ledger. Then feed the bars of each series again (a
    `BarStore` has them), from any bar early enough: verdicts that the ledger does not have are returned and written,
    others are not. Early enough is what has a level-2 high and a level-2 low at or before the bar of the oldest pending
    prediction, as a hundred bars before it nearly always have; with `inside="skip"`, where each bar hangs on those
    before it, start at the first of the series. Bars and events of a verdict count from the bar fed first.

    Args:
        ledger: Where to write.
        run_id: Name of the run; an existing run is continued.
        rules: Options of the labels, as in `label_bars`.

    Example:
        >>> from trendtrain.market import random_walk
        >>> from trendtrain.storage import open_database
        >>> bars, ledger = random_walk(200, seed=0, timeframe="5m"), Ledger(open_database("sqlite://"))
        >>> judge = LedgerJudge(ledger, "live")
        >>> verdicts = judge.update("BTCUSDT", "5m", bars[:100])
        >>> judge.store(model_type="rule", symbol="BTCUSDT", timeframe="5m", direction="up", confidence=0.85)
        >>> restarted = LedgerJudge(ledger, "live")
        >>> [verdict.outcome for verdict in restarted.update("BTCUSDT", "5m", bars)]
        ['correct']
        >>> restarted.stats()["correct_predictions"]
        1
        >>> ledger.engine.dispose()
    """

    def __init__(self, ledger: Ledger, run_id: str, **rules: Any) -> None:
        self.ledger = ledger
        self.run_id = run_id
        self.judge = TrendJudge(**rules)
        ledger.begin(run_id, str(rules), np.datetime64("now", "ms"))
        self._models: set[str] = set()
        self._first: dict[Series, np.datetime64] = {}  # the close of the bar fed first
        self._oldest: dict[Series, np.datetime64] = {}  # pending when the judge started
        self._recover()

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
        """Store a prediction, as `TrendJudge.store` does, and write it.

        Raises:
            InputError: If an argument breaks its rule, the label is known already, or no bar fed is as early.
        """
        last = self.judge.last_close(symbol, timeframe)
        moment = last if at is None else np.datetime64(to_milliseconds("at", at), "ms")
        first = self._first[name_series(symbol, timeframe)]
        if moment < first:
            raise InputError(f"`at` must not lie before the close of the bar fed first, {first}, got {moment}.")
        names = {"model_type": model_type, "symbol": symbol, "timeframe": timeframe, "direction": direction}
        self.judge.store(**names, confidence=confidence, at=moment)
        if model_type not in self._models:
            self.ledger.describe_model(self.run_id, model_type, model_type, "")
            self._models.add(model_type)
        rows = PredictionRows(
            series=(name_series(symbol, timeframe),),
            series_index=np.zeros(1, dtype=np.int64),
            open_time=np.array([moment - parse_timeframe(timeframe)]),
            direction=np.array([DIRECTION_CODES[direction]]),
            confidence=np.array([confidence]),
        )
        self.ledger.record(self.run_id, model_type, self._step, rows, None)

    def update(self, symbol: str, timeframe: str, bars: Bars) -> tuple[JudgedPrediction, ...]:
        """Return the verdicts that the next bars of a series bring, and write them, model by model.

        Raises:
            InputError: If the bars do not follow the last ones, their timeframe differs, or those fed first after a
                restart start after a pending prediction.
        """
        name = name_series(symbol, timeframe)
        first = self._first.get(name) or self._first_close(name, bars)
        judged = self.judge.update(symbol, timeframe, bars)
        if first is not None:
            self._first[name] = first
        if judged:
            self._step += 1
        for model in dict.fromkeys(one.model_type for one in judged):
            rows = _verdict_rows([one for one in judged if one.model_type == model], name)
            self.ledger.record(self.run_id, model, self._step, None, rows)
        return judged

    def stats(
        self, model_type: str | None = None, symbol: str | None = None, timeframe: str | None = None
    ) -> dict[str, float]:
        """Return the six numbers of the run from the ledger: of all, or of one model, symbol or timeframe."""
        wanted = None if timeframe is None else format_timeframe(parse_timeframe(timeframe))
        rows = [
            row.stats
            for row in self.ledger.stats(self.run_id)
            if model_type in (None, row.model) and symbol in (None, row.symbol) and wanted in (None, row.timeframe)
        ]
        return sum(rows, start=TrendStats()).as_dict()

    def _first_close(self, name: Series, bars: Bars) -> np.datetime64 | None:
        """Return the close of the first of the bars fed first, if there is one and it is early enough."""
        first: np.datetime64 | None = bars.close_time[0] if len(bars) else None
        if first is not None and first > self._oldest.get(name, first):
            rule = f"`bars` of {' '.join(name)} must start before its oldest pending prediction, {self._oldest[name]}"
            raise InputError(f"{rule}, early enough for pivots before it, got bars from the close {first} on.")
        return first

    def _recover(self) -> None:
        made, judged = prediction_rows.c, verdict_rows.c
        columns = (series.c.symbol, series.c.timeframe, tracks.c.model, made.open_time, made.direction, made.confidence)
        is_same = (judged.track_id == made.track_id) & (judged.open_time == made.open_time)
        query = select(*columns).join(tracks, tracks.c.id == made.track_id)
        query = query.join(series, series.c.id == tracks.c.series_id).outerjoin(verdict_rows, is_same)
        query = query.where(tracks.c.run_id == self.run_id, judged.track_id.is_(None))
        with self.ledger.engine.connect() as connection:
            self._step: int = connection.execute(select(runs.c.step).where(runs.c.id == self.run_id)).scalar_one() + 1
            for symbol, timeframe, model, open_time, direction, confidence in connection.execute(query):
                name, at = Series(symbol, timeframe), np.datetime64(open_time, "ms") + parse_timeframe(timeframe)
                self._oldest[name] = min(at, self._oldest.get(name, at))
                self.judge.store(
                    model_type=model,
                    symbol=symbol,
                    timeframe=timeframe,
                    direction=DIRECTION_WORDS[direction],
                    confidence=confidence,
                    at=at,
                )


def _verdict_rows(judged: list[JudgedPrediction], name: Series) -> VerdictRows:
    by_event = {one.event: one for one in judged if one.event >= 0}
    line = {event: at for at, event in enumerate(by_event)}
    lines = Lines.join([judged[0].line[:0], *(one.line for one in by_event.values())])  # also where there is none
    known_at = np.array([one.known_at for one in by_event.values()], "datetime64[ms]")
    return VerdictRows(
        series=(name,),
        series_index=np.zeros(len(judged), dtype=np.int64),
        open_time=np.array([one.at - parse_timeframe(name.timeframe) for one in judged]),
        outcome=np.array([OUTCOME_NAMES.index(one.outcome) for one in judged]),
        truth=np.array([DIRECTION_CODES[one.truth] for one in judged]),
        known_at=np.array([one.known_at for one in judged]),
        line=np.array([line.get(one.event, -1) for one in judged]),
        lines=LineRows.of(lines, np.zeros(len(lines), np.int64), known_at),
    )
