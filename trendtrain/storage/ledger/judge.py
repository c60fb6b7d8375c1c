"""Keep what a judge hears and says in the ledger, so that nothing is lost when the process dies."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sqlalchemy import and_, select

from trendtrain.market.bars import Bars, Series
from trendtrain.market.directions import DIRECTION_CODES, DIRECTION_WORDS
from trendtrain.market.lines import Lines
from trendtrain.market.timeframe import Time, format_timeframe, parse_timeframe, to_milliseconds
from trendtrain.storage.ledger.ledger import Ledger
from trendtrain.storage.ledger.rows import LineRows, PredictionRows, VerdictRows
from trendtrain.storage.schema import prediction_rows, runs, series, tracks, verdict_rows
from trendtrain.validation.judged import JudgedPrediction
from trendtrain.validation.live_judge import TrendJudge
from trendtrain.validation.predictions import OUTCOME_NAMES
from trendtrain.validation.stats import TrendStats

_NO_STATS = TrendStats()


class LedgerJudge:
    """A `TrendJudge` whose predictions and verdicts are rows of a run in the ledger as soon as they are there.

    After a restart it takes up what the ledger says is pending. Feed the bars of each series from its first one again
    (a `BarStore` has them): what they judge that is not yet in the ledger comes as verdicts then, the rest does not.

    Args:
        ledger: Where to write.
        run_id: Name of the run; the same name goes on with it.
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
        """Keep a prediction, as `TrendJudge.store` does, and write it.

        Raises:
            InputError: If an argument breaks its rule, or the label is known already.
        """
        moment = (
            self.judge.last_close(symbol, timeframe) if at is None else np.datetime64(to_milliseconds("at", at), "ms")
        )
        said = {"model_type": model_type, "symbol": symbol, "timeframe": timeframe, "direction": direction}
        self.judge.store(**said, confidence=confidence, at=moment)
        if model_type not in self._models:
            self.ledger.describe_model(self.run_id, model_type, model_type, "")
            self._models.add(model_type)
        rows = PredictionRows(
            series=(_series(symbol, timeframe),),
            series_index=np.zeros(1, dtype=np.int64),
            open_time=np.array([moment - parse_timeframe(timeframe)]),
            direction=np.array([DIRECTION_CODES[direction]]),
            confidence=np.array([confidence]),
        )
        self.ledger.record(self.run_id, model_type, self._step, rows, None)

    def update(self, symbol: str, timeframe: str, bars: Bars) -> tuple[JudgedPrediction, ...]:
        """Return what the next bars of a series judge, and write it, model by model.

        Raises:
            InputError: If the bars do not follow the last ones, or their timeframe differs.
        """
        judged = self.judge.update(symbol, timeframe, bars)
        if judged:
            self._step += 1
        for model in dict.fromkeys(one.model_type for one in judged):
            rows = _verdict_rows([one for one in judged if one.model_type == model], _series(symbol, timeframe))
            self.ledger.record(self.run_id, model, self._step, None, rows)
        return judged

    def stats(
        self, model_type: str | None = None, symbol: str | None = None, timeframe: str | None = None
    ) -> dict[str, float]:
        """Return the six numbers of the run, from the ledger; of all, or of one model, symbol or timeframe."""
        wanted = None if timeframe is None else format_timeframe(parse_timeframe(timeframe))
        rows = [
            row.stats
            for row in self.ledger.stats(self.run_id)
            if model_type in (None, row.model) and symbol in (None, row.symbol) and wanted in (None, row.timeframe)
        ]
        return sum(rows, start=_NO_STATS).as_dict()

    def _recover(self) -> None:
        columns = (series.c.symbol, series.c.timeframe, tracks.c.model)
        said = (prediction_rows.c.open_time, prediction_rows.c.direction, prediction_rows.c.confidence)
        same = and_(
            verdict_rows.c.track_id == prediction_rows.c.track_id,
            verdict_rows.c.open_time == prediction_rows.c.open_time,
        )
        query = select(*columns, *said).join(tracks, tracks.c.id == prediction_rows.c.track_id)
        query = query.join(series, series.c.id == tracks.c.series_id).outerjoin(verdict_rows, same)
        query = query.where(tracks.c.run_id == self.run_id, verdict_rows.c.track_id.is_(None))
        with self.ledger.engine.connect() as connection:
            self._step: int = connection.execute(select(runs.c.step).where(runs.c.id == self.run_id)).scalar_one() + 1
            for symbol, timeframe, model, open_time, direction, confidence in connection.execute(query):
                self.judge.store(
                    model_type=model,
                    symbol=symbol,
                    timeframe=timeframe,
                    direction=DIRECTION_WORDS[direction],
                    confidence=confidence,
                    at=np.datetime64(open_time, "ms") + parse_timeframe(timeframe),
                )


def _series(symbol: str, timeframe: str) -> Series:
    return Series(symbol, format_timeframe(parse_timeframe(timeframe)))


def _verdict_rows(judged: list[JudgedPrediction], name: Series) -> VerdictRows:
    events, line = np.unique([one.event for one in judged if one.event >= 0], return_inverse=True)
    by_event = {one.event: one for one in judged}
    lines = np.full(len(judged), -1)
    lines[[one.event >= 0 for one in judged]] = line
    return VerdictRows(
        series=(name,),
        series_index=np.zeros(len(judged), dtype=np.int64),
        open_time=np.array([one.at - parse_timeframe(name.timeframe) for one in judged]),
        outcome=np.array([OUTCOME_NAMES.index(one.outcome) for one in judged]),
        truth=np.array([DIRECTION_CODES[one.truth] for one in judged]),
        known_at=np.array([one.known_at for one in judged]),
        line=lines,
        lines=_line_rows([by_event[event] for event in events.tolist()]),
    )


def _line_rows(judged: list[JudgedPrediction]) -> LineRows:
    """Describe the lines of one verdict an event."""

    def joined(get: Callable[[Lines], Any], kind: str) -> Any:
        return np.concatenate([np.zeros(0, kind), *(get(one.line) for one in judged)])

    return LineRows(
        series_index=np.zeros(len(judged), dtype=np.int64),
        first_time=joined(lambda line: line.start_time, "datetime64[ms]"),
        last_time=joined(lambda line: line.end_time, "datetime64[ms]"),
        kind=joined(lambda line: line.kind, "int64"),
        direction=joined(lambda line: line.direction, "int64"),
        known_at=np.array([one.known_at for one in judged], dtype="datetime64[ms]"),
        first_price=joined(lambda line: line.first_price, "float64"),
        last_price=joined(lambda line: line.last_price, "float64"),
        slope=joined(lambda line: line.slope, "float64"),
    )
