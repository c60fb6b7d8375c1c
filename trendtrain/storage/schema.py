"""The tables and views of the database, column by column.

Every time is an integer: milliseconds since 1970-01-01 UTC. Codes of directions and outcomes are those of
`trendtrain.market.directions` and `trendtrain.validation.predictions`. Rows of predictions and verdicts hold one
number, their track, in place of four names: they are half as large, and quicker to write and to count. The views add
the names. Names of tables, views and columns never change. Any change here needs a new revision in
`trendtrain.storage.migrations`.
"""

from typing import Final

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    event,
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
    Column("payload", LargeBinary, nullable=False, comment="The bars, as trendtrain.storage.bars.packing packs them."),
    comment="Bars in blocks; the blocks of a series never overlap.",
)
# PostgreSQL would spend most of a write on packing what is packed already.
_store_plain = DDL("ALTER TABLE bar_blocks ALTER COLUMN payload SET STORAGE EXTERNAL")  # type: ignore[no-untyped-call]
event.listen(bar_blocks, "after_create", _store_plain.execute_if(dialect="postgresql"))

bar_revisions = Table(
    "bar_revisions",
    metadata,
    Column("series_id", ForeignKey("series.id"), primary_key=True, comment="Whose bar it is."),
    Column("open_time", BigInteger, primary_key=True, autoincrement=False, comment="Open time, ms."),
    Column("revision", Integer, primary_key=True, autoincrement=False, comment="0 as first taken in, then 1."),
    Column("arrived_at", BigInteger, comment="When the correction came, ms; null as first taken in."),
    Column("open", Float, nullable=False, comment="Open price."),
    Column("high", Float, nullable=False, comment="High price."),
    Column("low", Float, nullable=False, comment="Low price."),
    Column("close", Float, nullable=False, comment="Close price."),
    Column("volume", Float, comment="Volume; null where the source supplies none."),
    comment="Every version of the bars that were corrected; the last one is in bar_blocks too.",
)

import_reports = Table(
    "import_reports",
    metadata,
    Column("id", Integer, primary_key=True, comment="Number of the report."),
    Column("imported_at", BigInteger, nullable=False, comment="When the file was imported, ms."),
    Column("file", Text, nullable=False, comment="The file, as it was named."),
    Column("series_id", ForeignKey("series.id"), comment="Whose bars it held; null if it was refused."),
    Column("report", Text, nullable=False, comment="What was found in it, as JSON."),
    comment="What each import found in a file.",
)

runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True, comment="Name of the run, kept when it is resumed."),
    Column("started_at", BigInteger, nullable=False, comment="When the run was first started, ms."),
    Column("config", Text, nullable=False, comment="The resolved configuration it was started with."),
    Column(
        "status",
        Text,
        nullable=False,
        server_default="running",
        comment="running (also after a kill), finished, stopped, partial, interrupted, failed.",
    ),
    Column("updated_at", BigInteger, nullable=False, server_default="0", comment="When it last wrote, ms."),
    Column("step", Integer, nullable=False, server_default="-1", comment="Last step written; -1 before the first."),
    Column("n_steps", Integer, comment="How many steps there are; null if unknown."),
    Column("total_predictions", Integer, comment="Predictions up to that step; this and the next null if unknown."),
    Column("validated_predictions", Integer, comment="How many of them were judged correct or wrong."),
    Column("correct_predictions", Integer, comment="How many were correct."),
    Column("void_predictions", Integer, comment="How many were void."),
    comment="One training run each.",
)

models = Table(
    "models",
    metadata,
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, comment="The run it predicts in."),
    Column("name", Text, primary_key=True, comment="Name of the model in the run."),
    Column("model_type", Text, comment="Class of the net, or of the module; null if unknown."),
    Column("class_path", Text, comment="That class with its module; null if unknown."),
    comment="The models of each run.",
)

tracks = Table(
    "tracks",
    metadata,
    Column("id", Integer, primary_key=True, comment="Number of the track in this database."),
    Column("run_id", Text, nullable=False, comment="The run."),
    Column("model", Text, nullable=False, comment="The model that predicts."),
    Column("pass", Integer, nullable=False, comment="Which pass over the stream, from 0."),
    Column("series_id", ForeignKey("series.id"), nullable=False, comment="The series it predicts."),
    UniqueConstraint("run_id", "model", "pass", "series_id"),
    ForeignKeyConstraint(("run_id", "model"), ("models.run_id", "models.name"), ondelete="CASCADE"),
    comment="A model on a series in a pass of a run: one number in each row in place of four names.",
)

prediction_rows = Table(
    "prediction_rows",
    metadata,
    Column("track_id", ForeignKey("tracks.id", ondelete="CASCADE"), primary_key=True, comment="Run, model, series."),
    Column("open_time", BigInteger, primary_key=True, autoincrement=False, comment="Open time of its bar, ms."),
    Column("step", Integer, nullable=False, comment="Walk step in which it was made."),
    Column("direction", SmallInteger, nullable=False, comment="Predicted direction: 0 down, 1 up, 2 flat."),
    Column("confidence", Float, nullable=False, comment="Probability the model gave that direction, 0 to 1."),
    Column("parameters", Integer, comment="Optimizer steps of the parameters that made it; null if unknown."),
    Column("stored_at", BigInteger, comment="What time it was in the market when it was stored, ms; null for history."),
    comment="A direction predicted at the close of a bar; the view predictions names its track.",
    sqlite_with_rowid=False,
)

lines = Table(
    "lines",
    metadata,
    Column("id", Integer, primary_key=True, comment="Number of the line in this database."),
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), nullable=False, comment="The run it is an event of."),
    Column("series_id", ForeignKey("series.id"), nullable=False, comment="The series it lies in."),
    Column("first_time", BigInteger, nullable=False, comment="Open time of its first pivot, ms."),
    Column("last_time", BigInteger, nullable=False, comment="Open time of its second pivot, ms."),
    Column("kind", Text, nullable=False, comment="Kind of its pivots, L2H or L2L."),
    Column("direction", SmallInteger, nullable=False, comment="0 down, 1 up, 2 flat."),
    Column("known_at", BigInteger, nullable=False, comment="Close time at which it was first certain, ms."),
    Column("first_price", Float, comment="Price of its first pivot."),
    Column("last_price", Float, comment="Price of its second pivot."),
    Column("slope", Float, comment="Price change per bar."),
    UniqueConstraint("run_id", "series_id", "first_time", "last_time", "kind"),
    comment="The trend lines by which predictions were judged: the events of event accuracy.",
)

verdict_rows = Table(
    "verdict_rows",
    metadata,
    Column("track_id", Integer, primary_key=True, autoincrement=False, comment="As in prediction_rows."),
    Column("open_time", BigInteger, primary_key=True, autoincrement=False, comment="As in prediction_rows."),
    Column("step", Integer, nullable=False, comment="Walk step in which it was judged."),
    Column("outcome", SmallInteger, nullable=False, comment="0 wrong, 1 correct, 2 void (flat), 3 void (gap)."),
    Column("truth", SmallInteger, nullable=False, comment="The label; -1 for void (gap)."),
    Column("known_at", BigInteger, nullable=False, comment="Close time at which the verdict was first certain, ms."),
    Column("line_id", ForeignKey("lines.id", ondelete="CASCADE"), comment="The line it was judged by; null for none."),
    ForeignKeyConstraint(
        ("track_id", "open_time"), ("prediction_rows.track_id", "prediction_rows.open_time"), ondelete="CASCADE"
    ),
    Index("verdict_rows_line_id", "line_id"),
    comment="A prediction judged; without one, it is pending. The view verdicts names its track and its line.",
    sqlite_with_rowid=False,
)

alarms = Table(
    "alarms",
    metadata,
    Column("id", Integer, primary_key=True, comment="Number of the alarm in this database."),
    Column("run_id", Text, nullable=False, comment="The run."),
    Column("model", Text, nullable=False, comment="The model whose verdicts changed."),
    Column("series_id", ForeignKey("series.id"), comment="The series they are about; null for all of them."),
    Column("step", Integer, nullable=False, comment="Walk step at whose end it was raised."),
    Column("known_at", BigInteger, nullable=False, comment="Close time at which the change was certain, ms."),
    Column("kind", Text, nullable=False, comment="What detected it."),
    Column("cut", Text, nullable=False, comment="What was cut because of it."),
    ForeignKeyConstraint(("run_id", "model"), ("models.run_id", "models.name"), ondelete="CASCADE"),
    UniqueConstraint("run_id", "model", "step", "kind", "series_id"),
    comment="A change detected in the verdicts.",
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("run_id", Text, primary_key=True, comment="The run."),
    Column("model", Text, primary_key=True, comment="The model."),
    Column("version", Integer, primary_key=True, autoincrement=False, comment="Its number, from 1."),
    Column("checkpoint", Text, comment="Its file in the folder checkpoints of the run; null once it was deleted."),
    Column("parameters", Integer, nullable=False, comment="Optimizer steps of its parameters when it was kept."),
    Column("start_time", BigInteger, nullable=False, comment="Close time from which on it predicted, learning on, ms."),
    Column("end_time", BigInteger, comment="Close time until which it predicted; null while it does."),
    Column("reason", Text, nullable=False, comment="Why it was kept: saved, or rollback to another."),
    ForeignKeyConstraint(("run_id", "model"), ("models.run_id", "models.name"), ondelete="CASCADE"),
    comment="The versions of the models of live runs that were kept.",
)

promotion_tests = Table(
    "promotion_tests",
    metadata,
    Column("id", Integer, primary_key=True, comment="Number of the test in this database."),
    Column("tested_at", BigInteger, nullable=False, comment="When it was made, ms."),
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), nullable=False, comment="The run that is a shadow."),
    Column("against_run_id", ForeignKey("runs.id", ondelete="CASCADE"), nullable=False, comment="The active run."),
    Column("n_events", Integer, nullable=False, comment="Events of both."),
    Column("difference", Float, nullable=False, comment="Event accuracy of the shadow minus that of the active run."),
    Column("low", Float, comment="Lower end of its interval at `level`; null where there are too few events."),
    Column("level", Float, nullable=False, comment="Of the interval; it grows with each test of the same pair."),
    Column("is_promoted", SmallInteger, nullable=False, comment="1 if the shadow became the active run, else 0."),
    comment="Every test of whether a shadow is better than the active run; the last promotion says which is.",
)

_TRACK: Final = "t.run_id, t.model, t.pass, t.series_id"
_NAMES: Final = "JOIN tracks t ON t.id = r.track_id JOIN series s ON s.id = t.series_id"

VIEWS: Final = {
    "predictions": f"""
        SELECT {_TRACK}, r.open_time, r.step, r.direction, r.confidence, s.symbol, s.timeframe, r.parameters,
            r.stored_at
        FROM prediction_rows r {_NAMES}
    """,
    "verdicts": f"""
        SELECT {_TRACK}, r.open_time, r.step, r.outcome, r.truth, r.known_at, l.kind, l.first_time, l.last_time,
            CASE r.outcome WHEN 0 THEN 'high' WHEN 1 THEN 'normal' END AS priority, s.symbol, s.timeframe
        FROM verdict_rows r {_NAMES} LEFT JOIN lines l ON l.id = r.line_id
    """,
    # New verdicts of a model on a series in a walk step, from which the model learns next.
    "training_events": f"""
        SELECT {_TRACK}, r.step, 'trend_validation' AS event_type, 'backpropagation' AS training_type,
            sum(CASE r.outcome WHEN 0 THEN 1 ELSE 0 END) AS n_high,
            sum(CASE r.outcome WHEN 1 THEN 1 ELSE 0 END) AS n_normal,
            sum(CASE WHEN r.outcome > 1 THEN 1 ELSE 0 END) AS n_void,
            s.symbol, s.timeframe
        FROM verdict_rows r {_NAMES} GROUP BY {_TRACK}, r.step, s.symbol, s.timeframe
    """,
}
