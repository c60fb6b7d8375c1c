"""Delete runs by age or count."""

from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, delete, select

from trendtrain.errors import InputError, check_at_least
from trendtrain.storage.schema import lines, prediction_rows, runs, tracks, verdict_rows

_DAY_MS: Final = 86_400_000


def check_rule(older_than: timedelta | None, keep_runs: int | None) -> None:
    """Refuse to delete runs by no rule, or by one that makes no sense.

    Raises:
        InputError: If neither is given, or one is negative.
    """
    if older_than is None and keep_runs is None:
        raise InputError("`older_than` or `keep_runs` must say which runs to delete, got neither.")
    if older_than is not None and older_than < timedelta(0):
        raise InputError(f"`older_than` must be at least 0, got {older_than}.")
    if keep_runs is not None:
        check_at_least("keep_runs", keep_runs, 0)


def prune(connection: Connection, older_than: timedelta | None, keep_runs: int | None, now: int) -> list[str]:
    """Delete the runs that are older and are not among those to keep, and return their names, by their start.

    A run that says it is running is taken for dead, and may go, when it has not written for a day.

    Args:
        connection: Where to delete.
        older_than: Since its last write; None for any age.
        keep_runs: How many of those started last stay; None for none.
        now: What age is counted from, ms.
    """
    rows = connection.execute(
        select(runs.c.id, runs.c.status, runs.c.updated_at).order_by(runs.c.started_at, runs.c.id).with_for_update()
    ).all()
    older = rows[: len(rows) - (keep_runs or 0)] if (keep_runs or 0) < len(rows) else []
    latest = now if older_than is None else now - older_than // timedelta(milliseconds=1)
    chosen = [
        run_id
        for run_id, status, updated_at in older
        if updated_at <= latest and not (status == "running" and updated_at > now - _DAY_MS)
    ]
    _delete_runs(connection, chosen)
    return chosen


def _delete_runs(connection: Connection, run_ids: list[str]) -> None:
    # Whole tables at a time, children first: row by row, as a cascade goes, takes several times as long.
    for run_id in run_ids:
        own_tracks = select(tracks.c.id).where(tracks.c.run_id == run_id)
        for table in (verdict_rows, prediction_rows):
            connection.execute(delete(table).where(table.c.track_id.in_(own_tracks)))
        connection.execute(delete(lines).where(lines.c.run_id == run_id))
        connection.execute(delete(runs).where(runs.c.id == run_id))
