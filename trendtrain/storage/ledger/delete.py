"""Delete runs, or the steps of a run after a checkpoint, inside a transaction."""

from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, delete, exists, select, update

from trendtrain.errors import InputError, check_at_least
from trendtrain.storage.ledger.rows import Progress
from trendtrain.storage.schema import alarms, lines, prediction_rows, runs, tracks, verdict_rows
from trendtrain.validation.stats import TrendStats

_DAY_MS: Final = 86_400_000


def delete_after(connection: Connection, run_id: str, step: int, keeps_predictions: bool = False) -> None:
    """Delete all a run wrote in steps after `step`, or all but its predictions.

    If there are such steps, its counts are unknown until it writes again.
    """
    unknown = dict.fromkeys(Progress(None, TrendStats()).columns)
    later = (runs.c.id == run_id, runs.c.step > step)
    connection.execute(update(runs).where(*later).values(step=step, **unknown))
    own_tracks = select(tracks.c.id).where(tracks.c.run_id == run_id)
    for table in (verdict_rows,) if keeps_predictions else (verdict_rows, prediction_rows):
        connection.execute(delete(table).where(table.c.track_id.in_(own_tracks), table.c.step > step))
    connection.execute(delete(alarms).where(alarms.c.run_id == run_id, alarms.c.step > step))
    has_verdicts = exists().where(verdict_rows.c.line_id == lines.c.id)
    connection.execute(delete(lines).where(lines.c.run_id == run_id, ~has_verdicts))


def delete_runs(connection: Connection, older_than: timedelta | None, keep_runs: int | None, now: int) -> list[str]:
    """Delete runs as `Ledger.prune` does, `now` in ms, and return their names.

    A run that is `running` stays, unless it has not written for a day: then it was killed.
    """
    if older_than is None and keep_runs is None:
        raise InputError("`older_than` or `keep_runs` must say which runs to delete, got neither.")
    if older_than is not None and older_than < timedelta(0):
        raise InputError(f"`older_than` must be at least 0, got {older_than}.")
    if keep_runs is not None:
        check_at_least("keep_runs", keep_runs, 0)
    columns = (runs.c.id, runs.c.status, runs.c.updated_at)
    rows = connection.execute(select(*columns).order_by(runs.c.started_at, runs.c.id).with_for_update()).all()
    latest = now if older_than is None else now - older_than // timedelta(milliseconds=1)
    chosen = [
        run_id
        for run_id, status, updated_at in rows[: max(len(rows) - (keep_runs or 0), 0)]
        if updated_at <= latest and not (status == "running" and updated_at > now - _DAY_MS)
    ]
    for run_id in chosen:
        delete_run(connection, run_id)
    return chosen


def delete_run(connection: Connection, run_id: str) -> None:
    """Delete all that a run wrote, and its entry."""
    # Whole tables at a time, children first: a cascade goes row by row, which takes several times as long.
    own_tracks = select(tracks.c.id).where(tracks.c.run_id == run_id)
    for table in (verdict_rows, prediction_rows):
        connection.execute(delete(table).where(table.c.track_id.in_(own_tracks)))
    connection.execute(delete(lines).where(lines.c.run_id == run_id))
    connection.execute(delete(runs).where(runs.c.id == run_id))
