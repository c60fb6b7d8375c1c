"""A database as trendtrain made it before it kept schema versions, frozen."""

import random

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    insert,
)
from sqlalchemy.schema import CreateTable

metadata = MetaData()

series = Table(
    "series",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("symbol", Text, nullable=False),
    Column("timeframe", Text, nullable=False),
    UniqueConstraint("symbol", "timeframe"),
)
bar_blocks = Table(
    "bar_blocks",
    metadata,
    Column("series_id", ForeignKey("series.id"), primary_key=True),
    Column("start_time", BigInteger, primary_key=True, autoincrement=False),
    Column("end_time", BigInteger, nullable=False),
    Column("n_bars", Integer, nullable=False),
    Column("checksum", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)
runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("started_at", BigInteger, nullable=False),
    Column("config", Text, nullable=False),
)
predictions = Table(
    "predictions",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("model", Text, primary_key=True),
    Column("pass", Integer, primary_key=True, autoincrement=False),
    Column("series_id", ForeignKey("series.id"), primary_key=True),
    Column("open_time", BigInteger, primary_key=True, autoincrement=False),
    Column("step", Integer, nullable=False),
    Column("direction", SmallInteger, nullable=False),
    Column("confidence", Float, nullable=False),
)
KEY = ("run_id", "model", "pass", "series_id", "open_time")
verdicts = Table(
    "verdicts",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("pass", Integer, primary_key=True, autoincrement=False),
    Column("series_id", Integer, primary_key=True, autoincrement=False),
    Column("open_time", BigInteger, primary_key=True, autoincrement=False),
    Column("step", Integer, nullable=False),
    Column("outcome", SmallInteger, nullable=False),
    Column("truth", SmallInteger, nullable=False),
    Column("known_at", BigInteger, nullable=False),
    Column("kind", Text),
    Column("first_time", BigInteger),
    Column("last_time", BigInteger),
    ForeignKeyConstraint(KEY, [f"predictions.{name}" for name in KEY], ondelete="CASCADE"),
)


def create(engine: Engine) -> None:
    """Make the tables as `open_database` did."""
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))


def fill(engine: Engine, n_rows: int = 400) -> None:
    """Enter bars, runs, predictions, and verdicts on most of them, drawn with a fixed seed."""
    draw = random.Random(0)
    with engine.begin() as connection:
        names = [{"id": i + 1, "symbol": f"S{i}", "timeframe": "5m"} for i in range(3)]
        connection.execute(insert(series), names)
        block = {"series_id": 1, "start_time": 0, "end_time": 9, "n_bars": 2, "checksum": 1, "payload": b"\0bars"}
        connection.execute(insert(bar_blocks), block)
        connection.execute(insert(runs), [{"id": f"run-{i}", "started_at": i, "config": "{}"} for i in range(3)])
        keys = [_key(draw, i) for i in range(n_rows)]
        _fill_predictions(connection, draw, keys)
        connection.execute(insert(verdicts), [_verdict(draw, key) for key in keys if draw.random() < 0.9])


def _key(draw: random.Random, i: int) -> dict[str, object]:
    names = {"run_id": f"run-{draw.randrange(2)}", "model": draw.choice(["cnn", "dqn"]), "pass": draw.randrange(2)}
    return {**names, "series_id": draw.randrange(1, 3), "open_time": i * 300_000}


def _fill_predictions(connection: Connection, draw: random.Random, keys: list[dict[str, object]]) -> None:
    rows = [{**key, "step": draw.randrange(9), "direction": 1, "confidence": draw.random()} for key in keys]
    connection.execute(insert(predictions), rows)


def _verdict(draw: random.Random, key: dict[str, object]) -> dict[str, object]:
    outcome, line = draw.randrange(4), draw.randrange(20)
    values = {**key, "step": draw.randrange(9, 20), "outcome": outcome, "truth": line % 2, "known_at": 10**9 + line}
    if outcome == 3:
        return {**values, "truth": -1, "kind": None, "first_time": None, "last_time": None}
    pivots = {"first_time": line // 2 % 3 * 1000, "last_time": 10_000 + line // 6 * 1000}
    return {**values, "kind": ("L2H", "L2L")[line % 2], **pivots}
