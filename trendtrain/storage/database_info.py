"""Summarize a database: its series, its runs, and the sizes of its tables."""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, func, select

from trendtrain.storage.schema import bar_blocks, metadata, runs, series


@dataclass(frozen=True)
class SeriesInfo:
    """The stored bars of a series: open times of the first and the last (ms), numbers of bars, blocks and bytes."""

    symbol: str
    timeframe: str
    first: int
    last: int
    n_bars: int
    n_blocks: int
    n_bytes: int


@dataclass(frozen=True)
class RunInfo:
    """A row of `runs`, without its configuration; times in ms."""

    id: str
    status: str
    step: int
    n_steps: int | None
    started_at: int
    updated_at: int
    total_predictions: int | None


@dataclass(frozen=True)
class DatabaseInfo:
    """The series that have bars, by name; the runs, by their start; the number of rows of each table."""

    series: list[SeriesInfo]
    runs: list[RunInfo]
    n_rows: dict[str, int]


def database_info(engine: Engine) -> DatabaseInfo:
    """Return the summary of a database.

    Example:
        >>> from trendtrain.storage import open_database
        >>> engine = open_database("sqlite://")
        >>> database_info(engine).n_rows["prediction_rows"]
        0
        >>> engine.dispose()
    """
    with engine.connect() as connection:
        n_rows = {
            table.name: connection.scalar(select(func.count()).select_from(table)) or 0
            for table in metadata.sorted_tables
        }
        return DatabaseInfo(_series(connection), _runs(connection), n_rows)


def _series(connection: Connection) -> list[SeriesInfo]:
    blocks, names = bar_blocks.c, (series.c.symbol, series.c.timeframe)
    numbers = (
        func.min(blocks.start_time),
        func.max(blocks.end_time),
        func.sum(blocks.n_bars),
        func.count(),
        func.sum(func.length(blocks.payload)),
    )
    query = select(*names, *numbers).join(bar_blocks).group_by(*names).order_by(*names)
    # PostgreSQL sums to Decimal.
    return [SeriesInfo(symbol, timeframe, *map(int, rest)) for symbol, timeframe, *rest in connection.execute(query)]


def _runs(connection: Connection) -> list[RunInfo]:
    names = ("id", "status", "step", "n_steps", "started_at", "updated_at", "total_predictions")
    query = select(*(runs.c[name] for name in names)).order_by(runs.c.started_at, runs.c.id)
    return [RunInfo(*row) for row in connection.execute(query)]
