"""Bars that were corrected after they had been taken in: each version, in order of arrival."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sqlalchemy import Connection, func, insert, select

from trendtrain.market.bars import Bars, Series
from trendtrain.market.timeframe import parse_timeframe
from trendtrain.storage.bars.columns import VALUES, BarColumns, bars_of, columns_of
from trendtrain.storage.schema import bar_revisions


class BarVersion(NamedTuple):
    """A version of a bar that was corrected.

    Attributes:
        bar: One bar.
        revision: 0 as it was first taken in, then 1 and so on; a bar that came after later ones has no 0.
        arrived: When the correction came, `datetime64[ms]`; None for the first version.
    """

    bar: Bars
    revision: int
    arrived: np.datetime64 | None


def add_version(
    connection: Connection, series_id: int, before: BarColumns, bar: BarColumns, arrived: np.datetime64
) -> None:
    """Add a correction, and before the first one of a bar what it was.

    Args:
        connection: Where to write.
        series_id: Number of the series.
        before: The stored bar; empty where there is none.
        bar: The correction, one bar.
        arrived: When it came.
    """
    table = bar_revisions.c
    time = int(bar.time[0])
    of_bar = (table.series_id == series_id) & (table.open_time == time)
    newest = connection.scalar(select(func.max(table.revision)).where(of_bar))
    rows = [] if newest is not None else [_row(series_id, time, 0, None, part) for part in before.values.T.tolist()]
    number = 1 if newest is None else newest + 1
    arrived_at = int(arrived.astype("datetime64[ms]").astype(np.int64))
    rows.append(_row(series_id, time, number, arrived_at, bar.values[:, 0].tolist()))
    connection.execute(insert(bar_revisions), rows)


def read_versions(connection: Connection, series: Series, series_id: int | None) -> list[BarVersion]:
    """Return all versions of the bars of a series that were corrected: first versions by time, then by arrival."""
    table = bar_revisions.c
    query = select(table.open_time, table.revision, table.arrived_at, *(table[name] for name in VALUES))
    query = query.where(table.series_id == series_id)
    query = query.order_by(func.coalesce(table.arrived_at, -(2**63)), table.open_time, table.revision)
    timeframe = parse_timeframe(series.timeframe)
    versions = []
    for time, revision, arrived, *values in connection.execute(query):
        columns = BarColumns(np.array([time]), np.array([[math.nan if one is None else one] for one in values]))
        when = None if arrived is None else np.datetime64(arrived, "ms")
        versions.append(BarVersion(bars_of(columns, timeframe), revision, when))
    return versions


def bars_as_of(bars: Bars, versions: Sequence[BarVersion], time: np.datetime64) -> Bars:
    """Return stored bars as they were known at a time, and those that were first taken in later as they were then.

    Args:
        bars: Of a series, as they are now.
        versions: Of those that were corrected.
        time: Corrections that arrived later are undone; a bar that came after later ones, by such a correction, is left
            out.
    """
    known: dict[int, BarVersion | None] = {}
    for version in versions:  # in order of arrival
        opened = int(version.bar.open_time[0].astype(np.int64))
        if version.arrived is None or version.arrived <= time:
            known[opened] = version
        else:
            known.setdefault(opened, None)
    columns = columns_of(bars)
    values, is_kept = columns.values.copy(), np.ones(len(bars), dtype=bool)
    for opened, then in known.items():
        at = int(np.searchsorted(columns.time, opened))
        if at < len(bars) and columns.time[at] == opened:
            is_kept[at] = then is not None
            if then is not None:
                values[:, at] = columns_of(then.bar).values[:, 0]
    return bars_of(BarColumns(columns.time, values).take(is_kept), bars.timeframe)


def _row(series_id: int, time: int, revision: int, arrived: int | None, values: list[float]) -> dict[str, object]:
    named = {name: None if math.isnan(value) else value for name, value in zip(VALUES, values, strict=True)}
    return {"series_id": series_id, "open_time": time, "revision": revision, "arrived_at": arrived, **named}
