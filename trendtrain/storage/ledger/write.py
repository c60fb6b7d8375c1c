"""Write predictions, verdicts and lines of a run inside a transaction."""

from collections.abc import Mapping, Sequence
from functools import cache

from sqlalchemy import ColumnElement, Connection, func, select

from trendtrain.market.bars import Series
from trendtrain.market.timeframe import to_milliseconds
from trendtrain.storage.ledger.rows import LineRows, PredictionRows, StepRows
from trendtrain.storage.schema import lines, models, prediction_rows, series, tracks, verdict_rows
from trendtrain.storage.series import find_or_add_series
from trendtrain.storage.upsert import add_rows, replace_rows


def write_steps(connection: Connection, run_id: str, model: str, steps: Sequence[StepRows]) -> None:
    """Write the predictions and verdicts of steps, and the lines of the verdicts."""

    @cache  # the same in most steps
    def numbers_of(names: tuple[Series, ...], pass_: int) -> tuple[list[int], list[int]]:
        series_ids = find_or_add_series(connection, names)
        return series_ids, find_or_add_tracks(connection, run_id, model, pass_, series_ids)

    for one in steps:
        if one.predictions is not None and len(one.predictions) > 0:
            _, track_ids = numbers_of(one.predictions.series, one.pass_)
            replace_rows(connection, prediction_rows, one.predictions.rows(track_ids, one.step))
        if one.verdicts is not None and len(one.verdicts) > 0:
            series_ids, track_ids = numbers_of(one.verdicts.series, one.pass_)
            line_ids = find_or_add_lines(connection, run_id, series_ids, one.verdicts.lines)
            replace_rows(connection, verdict_rows, one.verdicts.rows(track_ids, one.step, line_ids))


def write_missing(connection: Connection, run_id: str, model: str, step: int, predictions: PredictionRows) -> None:
    """Write predictions of a stream; those that are stored stay as they are."""
    series_ids = find_or_add_series(connection, predictions.series)
    track_ids = find_or_add_tracks(connection, run_id, model, 0, series_ids)
    add_rows(connection, prediction_rows, predictions.rows(track_ids, step))


def read_predictions(
    connection: Connection, run_id: str, model: str, after: Mapping[Series, int | None]
) -> dict[tuple[Series, int], tuple[int, float]]:
    """Return the predictions of bars that open after a time, ms: direction and confidence by series and open time.

    Args:
        connection: The connection.
        run_id: The run.
        model: Its model.
        after: The time by series, None for all bars; of a series that is not there, none.
    """
    rows = prediction_rows.c
    found: dict[tuple[Series, int], tuple[int, float]] = {}
    for name, number in read_tracks(connection, run_id, model).items():
        query = select(rows.open_time, rows.direction, rows.confidence).where(rows.track_id == number)
        if name in after and (time := after[name]) is not None:
            query = query.where(rows.open_time > time)
        if name in after:
            found |= {(name, one.open_time): (one.direction, one.confidence) for one in connection.execute(query)}
    return found


def read_newest(connection: Connection, run_id: str, model: str) -> dict[Series, int]:
    """Return when the newest bar of each series opened that a model of a run has predicted, ms."""
    rows = prediction_rows.c
    newest = select(func.max(rows.open_time)).where(rows.track_id == tracks.c.id).scalar_subquery()
    found = _by_series(connection, run_id, model, newest)
    return {name: time for name, time in found.items() if time is not None}


def read_tracks(connection: Connection, run_id: str, model: str) -> dict[Series, int]:
    """Return the number of the track of each series that a model of a run predicts in its stream."""
    return _by_series(connection, run_id, model, tracks.c.id)


def _by_series(connection: Connection, run_id: str, model: str, column: ColumnElement[int]) -> dict[Series, int]:
    query = select(series.c.symbol, series.c.timeframe, column).join(tracks, series.c.id == tracks.c.series_id)
    query = query.where(tracks.c.run_id == run_id, tracks.c.model == model, tracks.c["pass"] == 0)
    return {Series(symbol, timeframe): value for symbol, timeframe, value in connection.execute(query)}


def find_or_add_tracks(
    connection: Connection, run_id: str, model: str, pass_: int, series_ids: Sequence[int]
) -> list[int]:
    """Return the number of the track of each series; add those that the run does not have."""
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


def find_or_add_lines(connection: Connection, run_id: str, series_ids: Sequence[int], rows: LineRows) -> list[int]:
    """Return the number of each line; add those that the run does not have."""
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
