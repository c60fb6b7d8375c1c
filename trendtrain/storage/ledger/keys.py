"""The numbers under which the database knows the tracks and lines of a run."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from trendtrain.market.bars import Series
from trendtrain.market.timeframe import to_milliseconds
from trendtrain.storage.ledger.rows import LineRows
from trendtrain.storage.schema import lines, models, series, tracks
from trendtrain.storage.series import claim_series
from trendtrain.storage.upsert import add_rows


def claim_ids(connection: Connection, names: Sequence[Series]) -> list[int]:
    """Return the number of each series, a new one where the database has none."""
    rows = connection.execute(select(series.c.id, series.c.symbol, series.c.timeframe))
    numbers = {Series(symbol, timeframe): number for number, symbol, timeframe in rows}
    for name in sorted(set(names) - set(numbers)):  # in one order, so that two runs never wait for each other
        numbers[name] = claim_series(connection, name)
    return [numbers[name] for name in names]


def claim_tracks(connection: Connection, run_id: str, model: str, pass_: int, series_ids: Sequence[int]) -> list[int]:
    """Return the number of the track of each series, a new one where the run has none."""
    numbers = _tracks(connection, run_id, model, pass_)
    missing = [series_id for series_id in series_ids if series_id not in numbers]
    if missing:
        add_rows(connection, models, [(run_id, model, None, None)])
        add_rows(connection, tracks, [(run_id, model, pass_, series_id) for series_id in missing])
        numbers = _tracks(connection, run_id, model, pass_)
    return [numbers[series_id] for series_id in series_ids]


def _tracks(connection: Connection, run_id: str, model: str, pass_: int) -> dict[int, int]:
    query = select(tracks.c.series_id, tracks.c.id)
    query = query.where(tracks.c.run_id == run_id, tracks.c.model == model, tracks.c["pass"] == pass_)
    return {row.series_id: row.id for row in connection.execute(query)}


def claim_lines(connection: Connection, run_id: str, series_ids: Sequence[int], rows: LineRows) -> list[int]:
    """Return the number of each line, a new one where the run has none."""
    if len(rows) == 0:
        return []
    values = list(rows.rows(series_ids))
    add_rows(connection, lines, [(run_id, *row) for row in values])
    first, last = (to_milliseconds("first_time", time) for time in (rows.first_time.min(), rows.first_time.max()))
    query = select(lines.c.id, lines.c.series_id, lines.c.first_time, lines.c.last_time, lines.c.kind).where(
        lines.c.run_id == run_id,
        lines.c.series_id.in_({series_ids[i] for i in set(rows.series_index.tolist())}),
        lines.c.first_time.between(first, last),
    )
    numbers = {tuple(key): number for number, *key in connection.execute(query)}
    return [numbers[row[:4]] for row in values]
