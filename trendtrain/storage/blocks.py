"""The blocks of one series, as rows of the database."""

import zlib
from itertools import pairwise
from typing import Final

import numpy as np
from sqlalchemy import Connection, delete, func, insert, select

from trendtrain.errors import InputError
from trendtrain.market.bars import Series, TimeArray
from trendtrain.storage.payload import BarColumns, pack, unpack
from trendtrain.storage.schema import bar_blocks

BLOCK_BARS: Final = 4096


def read_blocks(connection: Connection, series: Series, series_id: int, first: int, end: int) -> list[BarColumns]:
    """Return the blocks with a span that meets [`first`, `end`), in time order.

    Args:
        connection: Where to read.
        series: The series, for the error message.
        series_id: Its number in the database.
        first: Open time, ms.
        end: Open time, ms.

    Raises:
        InputError: If a block is damaged.
    """
    table = bar_blocks.c
    query = select(table.start_time, table.payload, table.n_bars, table.checksum)
    query = query.where(table.series_id == series_id, table.start_time < end, table.end_time >= first)
    rows = connection.execute(query.order_by(table.start_time))
    return [_unpack(series, *row) for row in rows]


def replace_blocks(
    connection: Connection, series_id: int, blocks: list[BarColumns], merged: BarColumns, fresh: BarColumns
) -> None:
    """Write the blocks that `fresh` touches anew; leave the others.

    Args:
        connection: Where to write.
        series_id: Number of the series.
        blocks: The stored blocks around `fresh`.
        merged: The bars of `blocks` and `fresh`.
        fresh: The new and changed bars, at least one.
    """
    first, last = int(fresh.time[0]), int(fresh.time[-1])
    touched = [block for block in blocks if block.time[0] <= last and block.time[-1] >= first]
    first = min([first, *(int(block.time[0]) for block in touched)])
    last = max([last, *(int(block.time[-1]) for block in touched)])
    is_touched = (bar_blocks.c.series_id == series_id) & bar_blocks.c.start_time.between(first, last)
    connection.execute(delete(bar_blocks).where(is_touched))
    part = merged.take((merged.time >= first) & (merged.time <= last))
    edges = [*range(0, len(part.time), BLOCK_BARS), len(part.time)]
    connection.execute(insert(bar_blocks), [_row(series_id, part.take(slice(*edge))) for edge in pairwise(edges)])


def stored_span(connection: Connection, series_id: int) -> TimeArray | None:
    """Return the open times of the first and the last bar, `datetime64[ms]`, shape (2,); None without bars."""
    query = select(func.min(bar_blocks.c.start_time), func.max(bar_blocks.c.end_time))
    first, last = connection.execute(query.where(bar_blocks.c.series_id == series_id)).one()
    return None if first is None else np.array([first, last]).astype("datetime64[ms]")


def _unpack(series: Series, start_time: int, payload: bytes, n_bars: int, checksum: int) -> BarColumns:
    try:
        return unpack(payload, n_bars, checksum)
    except ValueError as error:
        block = f"The stored block of {' '.join(series)} that starts at {np.datetime64(start_time, 'ms')}"
        raise InputError(f"{block} is damaged: {error}.") from error


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
