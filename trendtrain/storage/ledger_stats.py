"""Count the predictions of runs in SQL."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Executable, Subquery, and_, case, func, select, true

from trendtrain.errors import InputError
from trendtrain.storage.schema import predictions, runs, series, verdicts
from trendtrain.validation.outcomes import CORRECT, WRONG
from trendtrain.validation.stats import TrendStats


@dataclass(frozen=True)
class LedgerStats:
    """The counts of one model on one series in one run, all passes together."""

    run: str
    model: str
    symbol: str
    timeframe: str
    stats: TrendStats


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
    chosen = true() if run == "all" else runs.c.id == (known[-1] if run is None else run)
    return [_stats(*row) for row in connection.execute(_query(chosen))]


def _query(chosen: ColumnElement[bool]) -> Executable:
    made, judged = _count_made(chosen), _count_judged(chosen)
    same = and_(*(judged.c[name] == made.c[name] for name in ("run_id", "model", "series_id")))
    counts = (made.c.n_made, *(func.coalesce(judged.c[name], 0) for name in ("n_judged", "n_validated", "n_correct")))
    names = (runs.c.id, made.c.model, series.c.symbol, series.c.timeframe)
    query = select(*names, *counts).select_from(made).join(runs, runs.c.id == made.c.run_id)
    query = query.join(series, series.c.id == made.c.series_id).outerjoin(judged, same)
    return query.order_by(runs.c.started_at, *names)


def _count_made(chosen: ColumnElement[bool]) -> Subquery:
    keys = (predictions.c.run_id, predictions.c.model, predictions.c.series_id)
    return select(*keys, func.count().label("n_made")).join(runs).where(chosen).group_by(*keys).subquery()


def _count_judged(chosen: ColumnElement[bool]) -> Subquery:
    keys = (verdicts.c.run_id, verdicts.c.model, verdicts.c.series_id)
    is_valid = verdicts.c.outcome.in_([WRONG, CORRECT])
    counts = (
        func.count().label("n_judged"),
        func.sum(case((is_valid, 1), else_=0)).label("n_validated"),
        func.sum(case((verdicts.c.outcome == CORRECT, 1), else_=0)).label("n_correct"),
    )
    of_run = verdicts.join(runs, runs.c.id == verdicts.c.run_id)
    return select(*keys, *counts).select_from(of_run).where(chosen).group_by(*keys).subquery()


def _stats(
    run: str, model: str, symbol: str, timeframe: str, made: int, judged: int, validated: int, correct: int
) -> LedgerStats:
    counts = TrendStats(validated=validated, correct=correct, void=judged - validated, pending=made - judged)
    return LedgerStats(run, model, symbol, timeframe, counts)
