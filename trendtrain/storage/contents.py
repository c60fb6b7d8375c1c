"""What a database holds, in a few numbers."""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, func, select

from trendtrain.storage.schema import bar_blocks, metadata, runs, series


@dataclass(frozen=True)
class SeriesContent:
    """The stored bars of a series: open times of the first and the last in ms, how many, and what they take."""

    symbol: str
    timeframe: str
    first: int
    last: int
    n_bars: int
    n_blocks: int
    n_bytes: int


@dataclass(frozen=True)
class RunContent:
    """A row of `runs`, without its configuration; times in ms."""

    id: str
    status: str
    step: int
    n_steps: int | None
    started_at: int
    updated_at: int
    total_predictions: int | None


@dataclass(frozen=True)
class Contents:
    """The series that have bars, by name; the runs, by their start; how many rows each table has."""

    series: list[SeriesContent]
    runs: list[RunContent]
    n_rows: dict[str, int]


def contents_of(engine: Engine) -> Contents:
    """Return what a database holds.

    Example:
        >>> from trendtrain.storage import open_database
        >>> engine = open_database("sqlite://")
        >>> contents_of(engine).n_rows["prediction_rows"]
        0
        >>> engine.dispose()
    """
    with engine.connect() as connection:
        n_rows = {
            table.name: connection.scalar(select(func.count()).select_from(table)) or 0
            for table in metadata.sorted_tables
        }
        return Contents(_series(connection), _runs(connection), n_rows)


def _series(connection: Connection) -> list[SeriesContent]:
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
    return [SeriesContent(symbol, timeframe, *map(int, rest)) for symbol, timeframe, *rest in connection.execute(query)]


def _runs(connection: Connection) -> list[RunContent]:
    names = ("id", "status", "step", "n_steps", "started_at", "updated_at", "total_predictions")
    query = select(*(runs.c[name] for name in names)).order_by(runs.c.started_at, runs.c.id)
    return [RunContent(*row) for row in connection.execute(query)]
