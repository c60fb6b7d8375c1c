"""Count the predictions of runs in SQL."""

import math
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Executable, Subquery, case, func, select, true

from trendtrain.errors import InputError
from trendtrain.storage.schema import prediction_rows, runs, series, tracks, verdict_rows
from trendtrain.validation.outcomes import CORRECT, WRONG
from trendtrain.validation.stats import TrendStats


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
    made, judged = _count_made(chosen), _count_judged(chosen)
    names = (runs.c.id, tracks.c.model, series.c.symbol, series.c.timeframe)
    sums = (func.coalesce(func.sum(count), 0) for count in (made.c.n_made, *judged.c[1:]))
    query = select(*names, *sums).select_from(tracks).join(made, made.c.track_id == tracks.c.id)
    query = query.join(runs, runs.c.id == tracks.c.run_id).join(series, series.c.id == tracks.c.series_id)
    query = query.outerjoin(judged, judged.c.track_id == tracks.c.id)
    return query.group_by(runs.c.started_at, *names).order_by(runs.c.started_at, *names)


def _count_made(chosen: ColumnElement[bool]) -> Subquery:
    track = prediction_rows.c.track_id
    return select(track, func.count().label("n_made")).join(tracks).where(chosen).group_by(track).subquery()


def _count_judged(chosen: ColumnElement[bool]) -> Subquery:
    """Count the verdicts of each track, and sum what share of its predictions each line found correct."""
    by_line = _count_by_line(chosen)
    is_event = by_line.c.line_id.is_not(None) & (by_line.c.n_valid > 0)
    totals = {
        "n_judged": func.sum(by_line.c.n_judged),
        "n_valid": func.sum(by_line.c.n_valid),
        "n_correct": func.sum(by_line.c.n_correct),
        "n_events": func.sum(case((is_event, 1), else_=0)),
        "n_in_events": func.sum(case((is_event, by_line.c.n_valid), else_=0)),
        "total_share": func.sum(case((is_event, 1.0 * by_line.c.n_correct / by_line.c.n_valid), else_=0.0)),
    }
    track = by_line.c.track_id
    return select(track, *(total.label(name) for name, total in totals.items())).group_by(track).subquery()


def _count_by_line(chosen: ColumnElement[bool]) -> Subquery:
    keys = (verdict_rows.c.track_id, verdict_rows.c.line_id)
    counts = (
        func.count().label("n_judged"),
        func.sum(case((verdict_rows.c.outcome.in_([WRONG, CORRECT]), 1), else_=0)).label("n_valid"),
        func.sum(case((verdict_rows.c.outcome == CORRECT, 1), else_=0)).label("n_correct"),
    )
    of_runs = select(*keys, *counts).join(tracks, tracks.c.id == verdict_rows.c.track_id).where(chosen)
    return of_runs.group_by(*keys).subquery()


def _stats(run: str, model: str, symbol: str, timeframe: str, *sums: float) -> LedgerStats:
    made, judged, validated, correct, n_events, n_in_events = map(int, sums[:6])  # PostgreSQL sums to Decimal
    counts = TrendStats(validated, correct, void=judged - validated, pending=made - judged)
    if n_events == 0 or n_in_events != validated:
        return LedgerStats(run, model, symbol, timeframe, counts)
    return LedgerStats(run, model, symbol, timeframe, counts, float(sums[6]) / n_events, n_events)
