"""The blocks of one series, as rows of the database."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

import numpy as np
from sqlalchemy import Connection, delete, func, insert, select

from trendtrain.errors import DamagedDataError
from trendtrain.market.bars import IntArray, Series, TimeArray
from trendtrain.storage.bars.columns import BarColumns, room_for
from trendtrain.storage.bars.packing import pack, unpack
from trendtrain.storage.schema import bar_blocks
from trendtrain.storage.schema import series as series_table

BLOCK_BARS: Final = 4096

_BATCH_BLOCKS: Final = 256  # packed at a time: 50 MB at most


class Blocks(NamedTuple):
    """Stored blocks: all their bars in time order, and the first and the last time of each block, ms."""

    bars: BarColumns
    first: IntArray
    last: IntArray


def read_blocks(connection: Connection, series: Series, series_id: int, first: int, end: int) -> Blocks:
    """Return the blocks of a series that overlap [`first`, `end`), open times in ms, in time order.

    Raises:
        DamagedDataError: If a block is damaged.
    """
    table = bar_blocks.c
    # Blocks never overlap, so of those that start by `first` only the last can reach into the range. Comparing the end
    # of every earlier block instead would make each live bar cost more, the longer the series.
    start = select(func.max(table.start_time)).where(table.series_id == series_id, table.start_time <= first)
    meets = (table.series_id == series_id) & (table.start_time < end) & (table.end_time >= first)
    meets &= table.start_time >= func.coalesce(start.scalar_subquery(), first)
    n_bars = select(func.sum(table.n_bars)).where(meets).scalar_subquery()
    query = select(table.start_time, table.end_time, table.n_bars, table.checksum, table.payload, n_bars)
    query = query.execution_options(is_binary=True)  # hexadecimal digits take twice as long
    return _unpack_all(series, connection.execute(query.where(meets).order_by(table.start_time)))


def replace_blocks(
    connection: Connection, series_id: int, blocks: Blocks, merged: BarColumns, changed: IntArray
) -> None:
    """Rewrite those of the blocks that `changed` overlaps; leave the others.

    Args:
        connection: Where to write.
        series_id: Number of the series.
        blocks: The stored blocks around `changed`.
        merged: What their bars become.
        changed: Open times of the bars that are new, changed or gone, ms, ascending, at least one.
    """
    is_touched = (blocks.first <= changed[-1]) & (blocks.last >= changed[0])
    first = min([int(changed[0]), *blocks.first[is_touched].tolist()])
    last = max([int(changed[-1]), *blocks.last[is_touched].tolist()])
    if is_touched.any():
        delete_blocks(connection, series_id, first, last)
    start, stop = np.searchsorted(merged.time, [first, last + 1])
    insert_blocks(connection, {series_id: merged.take(slice(start, stop))})


def delete_blocks(connection: Connection, series_id: int, first: int, last: int) -> None:
    """Delete the blocks of a series that start in [`first`, `last`], ms."""
    table = bar_blocks.c
    connection.execute(delete(bar_blocks).where(table.series_id == series_id, table.start_time.between(first, last)))


def insert_blocks(connection: Connection, bars: Mapping[int, BarColumns]) -> None:
    """Insert bars, by number of the series, as blocks of up to `BLOCK_BARS`."""
    blocks = (
        _row(series_id, part.take(slice(at, at + BLOCK_BARS)))
        for series_id, part in bars.items()
        for at in range(0, len(part.time), BLOCK_BARS)
    )
    while batch := list(islice(blocks, _BATCH_BLOCKS)):
        connection.execute(insert(bar_blocks), batch)


def newest_times(connection: Connection, series_ids: Sequence[int]) -> dict[int, int]:
    """Return the open time of the last bar, ms, by number of the series; those without bars are left out."""
    table = bar_blocks.c
    newest = (
        select(table.end_time).where(table.series_id == series_table.c.id).order_by(table.start_time.desc()).limit(1)
    )
    query = select(series_table.c.id, newest.scalar_subquery()).where(series_table.c.id.in_(series_ids))
    return {number: time for number, time in connection.execute(query) if time is not None}


def stored_span(connection: Connection, series_id: int) -> TimeArray | None:
    """Return the open times of the first and the last bar, `datetime64[ms]`, shape (2,); None without bars."""
    table = bar_blocks.c
    query = select(table.start_time, table.end_time).where(table.series_id == series_id).limit(1)
    first = connection.execute(query.order_by(table.start_time)).first()
    last = connection.execute(query.order_by(table.start_time.desc())).first()
    return None if first is None or last is None else np.array([first[0], last[1]]).astype("datetime64[ms]")


def _unpack_all(series: Series, rows: Iterable[Any]) -> Blocks:
    """Return the blocks of (start time, end time, bars, checksum, payload, bars of all rows)."""
    bars, filled = room_for(0), 0
    spans: list[tuple[int, int]] = []
    for start, end, n_bars, checksum, payload, n_all in rows:  # each while it is in the cache: twice as fast
        if not spans:
            bars = room_for(n_all)
        _unpack(series, start, payload, checksum, bars.take(slice(filled, filled + n_bars)))
        filled += n_bars
        spans.append((start, end))
    return Blocks(bars, *np.array(spans, np.int64).reshape(-1, 2).T)


def _unpack(series: Series, start_time: int, payload: bytes, checksum: int, target: BarColumns) -> None:
    try:
        unpack(payload, checksum, target)
    except ValueError as error:
        block = f"The stored block of {' '.join(series)} that starts at {np.datetime64(start_time, 'ms')}"
        raise DamagedDataError(f"{block} is damaged: {error}.") from error


def _row(series_id: int, columns: BarColumns) -> dict[str, object]:
    payload = pack(columns)
    return {
        "series_id": series_id,
        "start_time": int(columns.time[0]),
        "end_time": int(columns.time[-1]),
        "n_bars": len(columns.time),
        "checksum": zlib.crc32(payload),
        "payload": payload,
    }
