"""The tables of the database, column by column.

Every time is an integer: milliseconds since 1970-01-01 UTC. Codes of directions and outcomes are those of
`trendtrain.market.directions` and `trendtrain.validation.outcomes`. Table and column names stay.
"""

from sqlalchemy import (
    BigInteger,
    Column,
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
)

metadata = MetaData()

series = Table(
    "series",
    metadata,
    Column("id", Integer, primary_key=True, comment="Number of the series in this database."),
    Column("symbol", Text, nullable=False, comment="Symbol as its source writes it, such as BTCUSDT."),
    Column("timeframe", Text, nullable=False, comment="Length of a bar, such as 5m."),
    UniqueConstraint("symbol", "timeframe"),
    comment="One symbol at one timeframe.",
)

bar_blocks = Table(
    "bar_blocks",
    metadata,
    Column("series_id", ForeignKey("series.id"), primary_key=True, comment="Whose bars these are."),
    Column("start_time", BigInteger, primary_key=True, autoincrement=False, comment="Open time of the first bar, ms."),
    Column("end_time", BigInteger, nullable=False, comment="Open time of the last bar, ms."),
    Column("n_bars", Integer, nullable=False, comment="How many bars the payload holds."),
    Column("checksum", BigInteger, nullable=False, comment="zlib.crc32 of the payload."),
    Column("payload", LargeBinary, nullable=False, comment="The bars, as trendtrain.storage.payload packs them."),
    comment="Bars in blocks; the blocks of a series never overlap.",
)

runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True, comment="Name of the run, kept when it is resumed."),
    Column("started_at", BigInteger, nullable=False, comment="When the run was first started, ms."),
    Column("config", Text, nullable=False, comment="The resolved configuration it was started with."),
    comment="One training run each.",
)

predictions = Table(
    "predictions",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True, comment="The run that made the prediction."),
    Column("model", Text, primary_key=True, comment="The model that made it."),
    Column("pass", Integer, primary_key=True, autoincrement=False, comment="Which pass over the stream, from 0."),
    Column("series_id", ForeignKey("series.id"), primary_key=True, comment="The series it is about."),
    Column("open_time", BigInteger, primary_key=True, autoincrement=False, comment="Open time of its bar, ms."),
    Column("step", Integer, nullable=False, comment="Walk-forward step in which it was made."),
    Column("direction", SmallInteger, nullable=False, comment="Predicted direction: 0 down, 1 up, 2 flat."),
    Column("confidence", Float, nullable=False, comment="Probability the model gave that direction, 0 to 1."),
    comment="A direction predicted at the close of a bar.",
)

KEY = ("run_id", "model", "pass", "series_id", "open_time")

verdicts = Table(
    "verdicts",
    metadata,
    Column("run_id", Text, primary_key=True, comment="As in predictions."),
    Column("model", Text, primary_key=True, comment="As in predictions."),
    Column("pass", Integer, primary_key=True, autoincrement=False, comment="As in predictions."),
    Column("series_id", Integer, primary_key=True, autoincrement=False, comment="As in predictions."),
    Column("open_time", BigInteger, primary_key=True, autoincrement=False, comment="As in predictions."),
    Column("step", Integer, nullable=False, comment="Walk-forward step in which it was judged."),
    Column("outcome", SmallInteger, nullable=False, comment="0 wrong, 1 correct, 2 void (flat), 3 void (gap)."),
    Column("truth", SmallInteger, nullable=False, comment="The direction it was judged against; -1 where void (gap)."),
    Column("known_at", BigInteger, nullable=False, comment="Close time at which the verdict was first certain, ms."),
    Column("kind", Text, comment="Pivot kind of the judging line, L2H or L2L; null where there is none."),
    Column("first_time", BigInteger, comment="Open time of the line's first pivot, ms; null where there is none."),
    Column("last_time", BigInteger, comment="Open time of the line's second pivot, ms; null where there is none."),
    ForeignKeyConstraint(KEY, [f"predictions.{name}" for name in KEY], ondelete="CASCADE"),
    comment="A prediction judged; without one, a prediction is pending.",
)
