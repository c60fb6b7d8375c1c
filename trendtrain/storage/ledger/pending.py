"""How many predictions wait for a verdict, and how sure of themselves they are."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, select

from trendtrain.storage.schema import prediction_rows, tracks, verdict_rows

_BEFORE_ALL = -(2**62)  # ms


@dataclass(frozen=True)
class TrackVerdicts:
    """How many predictions of a track were judged, and the open time of the last of them, ms."""

    n_judged: int = 0
    last: int = _BEFORE_ALL


def pending_confidence(
    connection: Connection, chosen: ColumnElement[bool], verdicts: Mapping[int, TrackVerdicts]
) -> dict[int, tuple[int, float]]:
    """Return how many predictions of each track are pending, and the sum of their confidences.

    Bars are mostly judged in their order, so what is pending follows the last that was judged: a look at the end of
    the table. Where the counts say that it does not, as with labels of a user's own, each prediction is looked up.

    Args:
        connection: Where to read.
        chosen: Which tracks.
        verdicts: What was judged of each track; those without a verdict may be left out.
    """
    track = prediction_rows.c.track_id
    made = select(track, func.count()).join(tracks, tracks.c.id == track).where(chosen).group_by(track)
    nothing, result = TrackVerdicts(), {}
    for number, n_made in connection.execute(made).all():
        judged = verdicts.get(number, nothing)
        found = _sums(connection, number, prediction_rows.c.open_time > judged.last)
        if found[0] != n_made - judged.n_judged:
            is_same = (verdict_rows.c.track_id == track) & (verdict_rows.c.open_time == prediction_rows.c.open_time)
            found = _sums(connection, number, ~select(verdict_rows).where(is_same).exists())
        result[number] = found
    return result


def _sums(connection: Connection, track: int, which: ColumnElement[bool]) -> tuple[int, float]:
    query = select(func.count(), func.coalesce(func.sum(prediction_rows.c.confidence), 0.0))
    n, total = connection.execute(query.where(prediction_rows.c.track_id == track, which)).one()
    return n, float(total)
