"""How many predictions wait for a verdict, and how sure of themselves they are."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select

from trendtrain.storage.schema import prediction_rows, tracks, verdict_rows

Sums = dict[int, tuple[int, float]]


def pending_confidence(connection: Connection, chosen: ColumnElement[bool], n_judged: Mapping[int, int]) -> Sums:
    """Return how many predictions of each track are pending, and the sum of their confidences.

    Bars are mostly judged in their order, so what is pending follows the last that was judged: a look at the end of
    the table. Where the counts say that it does not, every prediction is looked up.

    Args:
        connection: Where to read.
        chosen: Which tracks.
        n_judged: How many verdicts each has; a track without any may be left out.
    """
    n_pending = {track: n - n_judged.get(track, 0) for track, n in _count_made(connection, chosen).items()}
    last = (
        select(func.max(verdict_rows.c.open_time))
        .where(verdict_rows.c.track_id == tracks.c.id)
        .scalar_subquery()
        .correlate(tracks)
    )
    found = _sums(connection, _pending(chosen).where(prediction_rows.c.open_time > func.coalesce(last, _BEFORE_ALL)))
    if any(found.get(track, (0, 0.0))[0] != n for track, n in n_pending.items()):
        is_same = (verdict_rows.c.track_id == prediction_rows.c.track_id) & (
            verdict_rows.c.open_time == prediction_rows.c.open_time
        )
        found = _sums(connection, _pending(chosen).where(~select(verdict_rows).where(is_same).exists()))
    return {track: found.get(track, (0, 0.0)) for track in n_pending}


_BEFORE_ALL = -(2**62)


def _count_made(connection: Connection, chosen: ColumnElement[bool]) -> dict[int, int]:
    track = prediction_rows.c.track_id
    query = select(track, func.count()).join(tracks, tracks.c.id == track).where(chosen).group_by(track)
    return {row[0]: row[1] for row in connection.execute(query)}


def _pending(chosen: ColumnElement[bool]) -> Select[Any]:
    sums = (func.count(), func.sum(prediction_rows.c.confidence))
    query = select(tracks.c.id, *sums).select_from(tracks).join(prediction_rows)
    return query.where(chosen).group_by(tracks.c.id)


def _sums(connection: Connection, query: Select[Any]) -> Sums:
    return {track: (n, float(total)) for track, n, total in connection.execute(query)}
