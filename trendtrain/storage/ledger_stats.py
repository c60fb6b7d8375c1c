"""Count the predictions of runs in SQL."""

import math
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Executable, Subquery, case, func, select, true

from trendtrain.errors import InputError
from trendtrain.storage.schema import prediction_rows, runs, series, tracks, verdict_rows
from trendtrain.validation.outcomes import CORRECT, WRONG
from trendtrain.validation.stats import TrendStats

_IS_VALID = verdict_rows.c.outcome.in_([WRONG, CORRECT])
_IS_CORRECT = case((verdict_rows.c.outcome == CORRECT, 1.0), else_=0.0)


@dataclass(frozen=True)
class LedgerStats:
    """The counts of one model on one series in one run, all passes together.

    Attributes:
        run, model, symbol, timeframe: Whose counts these are.
        stats: The six numbers.
        event_accuracy: Mean over the lines that judged of the share each found correct; NaN where there is none, or
            a verdict names no line (labels of a user's own).
        n_events: How many lines judged; 0 where `event_accuracy` is NaN.
    """

    run: str
    model: str
    symbol: str
    timeframe: str
    stats: TrendStats
    event_accuracy: float = math.nan
    n_events: int = 0

    def as_dict(self) -> dict[str, str | float | None]:
        """Return everything under its public name, NaN as None."""
        names = {"run": self.run, "model": self.model, "symbol": self.symbol, "timeframe": self.timeframe}
        numbers = {**self.stats.as_dict(), "event_accuracy": self.event_accuracy, "n_events": self.n_events}
        return {**names, **{name: None if math.isnan(value) else value for name, value in numbers.items()}}


def count_runs(connection: Connection, run: str | None) -> list[LedgerStats]:
    """Return the counts per run, model, symbol and timeframe, in that order, runs by their start.

    Args:
        connection: Where to read.
        run: A run's name; None for the run started last, `all` for every run.

    Raises:
        InputError: If `run` is unknown.
    """
    known = list(connection.scalars(select(runs.c.id).order_by(runs.c.started_at, runs.c.id)))
    if run not in (None, "all", *known):
        raise InputError(f"`run` must be all or one of {', '.join(known) or 'no runs'}, got {run!r}.")
    if not known:
        return []
    chosen = true() if run == "all" else tracks.c.run_id == (known[-1] if run is None else run)
    return [_stats(*row) for row in connection.execute(_query(chosen))]


def _query(chosen: ColumnElement[bool]) -> Executable:
    """Count by track, which the rows are stored by, and join the passes of a track's names at the end."""
    made, judged, scored = _count_made(chosen), _count_judged(chosen), _score_events(chosen)
    names = (runs.c.id, tracks.c.model, series.c.symbol, series.c.timeframe)
    counts = (made.c.n_made, judged.c.n_judged, judged.c.n_valid, judged.c.n_correct)
    events = (scored.c.n_events, scored.c.total, scored.c.n_valid)
    query = select(*names, *(func.coalesce(func.sum(count), 0) for count in (*counts, *events)))
    query = query.select_from(tracks).join(made, made.c.track_id == tracks.c.id)
    query = query.join(runs, runs.c.id == tracks.c.run_id).join(series, series.c.id == tracks.c.series_id)
    query = query.outerjoin(judged, judged.c.track_id == tracks.c.id)
    query = query.outerjoin(scored, scored.c.track_id == tracks.c.id)
    return query.group_by(runs.c.started_at, *names).order_by(runs.c.started_at, *names)


def _count_made(chosen: ColumnElement[bool]) -> Subquery:
    track = prediction_rows.c.track_id
    return select(track, func.count().label("n_made")).join(tracks).where(chosen).group_by(track).subquery()


def _count_judged(chosen: ColumnElement[bool]) -> Subquery:
    counts = (
        func.count().label("n_judged"),
        func.sum(case((_IS_VALID, 1), else_=0)).label("n_valid"),
        func.sum(_IS_CORRECT).label("n_correct"),
    )
    track = verdict_rows.c.track_id
    return select(track, *counts).join(tracks, tracks.c.id == track).where(chosen).group_by(track).subquery()


def _score_events(chosen: ColumnElement[bool]) -> Subquery:
    track, line = verdict_rows.c.track_id, verdict_rows.c.line_id
    share = (func.avg(_IS_CORRECT).label("share"), func.count().label("n_valid"))
    of_runs = select(track, *share).join(tracks, tracks.c.id == track).where(chosen, _IS_VALID, line.is_not(None))
    events = of_runs.group_by(track, line).subquery()
    totals = (
        func.count().label("n_events"),
        func.sum(events.c.share).label("total"),
        func.sum(events.c.n_valid).label("n_valid"),
    )
    return select(events.c.track_id, *totals).group_by(events.c.track_id).subquery()


def _stats(
    run: str,
    model: str,
    symbol: str,
    timeframe: str,
    made: int,
    judged: int,
    valid: int,
    correct: float,
    n_events: int,
    total: float,
    with_line: int,
) -> LedgerStats:
    # PostgreSQL sums to Decimal.
    validated = int(valid)
    counts = TrendStats(validated, int(correct), void=int(judged) - validated, pending=int(made) - int(judged))
    if validated == 0 or int(with_line) != validated:
        return LedgerStats(run, model, symbol, timeframe, counts)
    return LedgerStats(run, model, symbol, timeframe, counts, float(total) / int(n_events), int(n_events))
