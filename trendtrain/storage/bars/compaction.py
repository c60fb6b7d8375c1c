"""Merge small blocks, such as those of single live bars."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine, func, select

from trendtrain.market.bars import Series
from trendtrain.storage.bars import blocks
from trendtrain.storage.schema import bar_blocks
from trendtrain.storage.series import find_series, lock_series

_AT_ONCE: Final = 4096  # blocks in one transaction, so that writers wait only briefly


@dataclass(frozen=True)
class Compaction:
    """The number of blocks of a series before and after."""

    series: Series
    before: int
    after: int


def compact_series(engine: Engine, series: Series) -> Compaction:
    """Merge neighbouring blocks of a series that together hold no more than a full block.

    It works in several transactions, each of which leaves the same bars: it may be killed at any time, and others may
    read and write meanwhile.

    Raises:
        DamagedDataError: If a stored block is damaged.
    """
    before = _count(engine, series)
    first: int | None = -(2**63)
    while first is not None:
        with engine.begin() as connection:
            first = _compact_some(connection, series, lock_series(connection, series)[series], first)
    return Compaction(series, before, _count(engine, series))


def _compact_some(connection: Connection, series: Series, series_id: int, first: int) -> int | None:
    """Merge among the next blocks that start at `first` or later; return the next start, None at the end."""
    table = bar_blocks.c
    query = select(table.start_time, table.n_bars).where(table.series_id == series_id, table.start_time >= first)
    rows = connection.execute(query.order_by(table.start_time).limit(_AT_ONCE)).all()
    groups = _group([row.n_bars for row in rows])
    is_all = len(rows) < _AT_ONCE
    if not is_all and len(groups) > 1:
        groups.pop()  # its next blocks are not read yet
    for start, stop in groups:
        if stop - start > 1:
            _merge(connection, series, series_id, rows[start].start_time, rows[stop - 1].start_time)
    return None if is_all else rows[groups[-1][1] - 1].start_time + 1


def _group(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Return the groups of neighbours to merge as (start, stop), in order, each as large as a block allows.

    Example:
        >>> _group([4096, 1, 4000, 95, 1])
        [(0, 1), (1, 4), (4, 5)]
    """
    groups: list[tuple[int, int]] = []
    n_bars = blocks.BLOCK_BARS + 1
    for at, size in enumerate(sizes):
        n_bars += size
        if n_bars > blocks.BLOCK_BARS:
            groups.append((at, at))
            n_bars = size
        groups[-1] = (groups[-1][0], at + 1)
    return groups


def _merge(connection: Connection, series: Series, series_id: int, first: int, last: int) -> None:
    bars = blocks.read_blocks(connection, series, series_id, first, last + 1).bars
    blocks.delete_blocks(connection, series_id, first, last)
    blocks.insert_blocks(connection, {series_id: bars})


def _count(engine: Engine, series: Series) -> int:
    with engine.connect() as connection:
        query = select(func.count()).where(bar_blocks.c.series_id == find_series(connection, series))
        return connection.scalar(query) or 0
