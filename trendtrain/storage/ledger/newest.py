"""Read the newest predictions of a run, each with its verdict and the line that judged it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, func, select

from trendtrain.market.bars import Series
from trendtrain.storage.schema import lines, prediction_rows, series, tracks, verdict_rows

NO_CODE: Final = -9  # in place of a code, where there is no verdict or no line
_COLUMNS: Final = (
    (prediction_rows.c.open_time, "i8"),
    (prediction_rows.c.direction, "i8"),
    (prediction_rows.c.confidence, "f8"),
    (verdict_rows.c.outcome, "i8"),
    (verdict_rows.c.known_at, "i8"),
    (lines.c.kind, "U3"),
    (lines.c.direction.label("line_direction"), "i8"),
    (lines.c.first_time, "i8"),
    (lines.c.last_time, "i8"),
    (lines.c.first_price, "f8"),
    (lines.c.last_price, "f8"),
)
_DTYPE: Final = np.dtype([(column.name, kind) for column, kind in _COLUMNS])
_NOTHING: Final = {"i8": NO_CODE, "f8": np.nan, "U3": ""}


@dataclass(frozen=True, eq=False)
class NewestPredictions:
    """The newest predictions of a model on a series, in its last pass.

    Attributes:
        series: Symbol and timeframe.
        rows: In order of time, with `open_time` (ms), `direction`, `confidence`; `outcome` and `known_at` (ms) of the
            verdict; `kind`, `line_direction`, `first_time`, `last_time` (ms), `first_price` and `last_price` of the
            line. Without a verdict or a line, codes and times are -9, prices NaN, and the kind is empty.
    """

    series: Series
    rows: npt.NDArray[np.void]


def newest_predictions(connection: Connection, run: str, n: int) -> list[NewestPredictions]:
    """Return the newest `n` predictions of each series of a run, series by name, of its first model by name."""
    model = select(func.min(tracks.c.model)).where(tracks.c.run_id == run).scalar_subquery()
    last = select(func.max(tracks.c["pass"])).where(tracks.c.run_id == run, tracks.c.model == model).scalar_subquery()
    query = select(tracks.c.id, series.c.symbol, series.c.timeframe).join(series, series.c.id == tracks.c.series_id)
    query = query.where(tracks.c.run_id == run, tracks.c.model == model, tracks.c["pass"] == last)
    found = connection.execute(query.order_by(series.c.symbol, series.c.timeframe)).all()
    return [NewestPredictions(Series(*names), _newest(connection, track, n)) for track, *names in found]


def _newest(connection: Connection, track: int, n: int) -> npt.NDArray[np.void]:
    made, judged = prediction_rows.c, verdict_rows.c
    query = select(*(column for column, _ in _COLUMNS)).select_from(prediction_rows)
    is_same = (judged.track_id == made.track_id) & (judged.open_time == made.open_time)
    query = query.outerjoin(verdict_rows, is_same).outerjoin(lines, lines.c.id == judged.line_id)
    query = query.where(made.track_id == track).order_by(made.open_time.desc()).limit(n)
    rows = connection.execute(query).all()
    empty = [_NOTHING[kind] for _, kind in _COLUMNS]
    filled = [tuple(no if cell is None else cell for cell, no in zip(row, empty, strict=True)) for row in rows]
    return np.array(filled[::-1], _DTYPE)
