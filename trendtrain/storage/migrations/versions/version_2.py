"""Version 2: narrow rows for predictions and verdicts, lines, models, training events, alarms, import reports."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"

_TRACK = ("run_id", "model", "pass", "series_id")


def upgrade() -> None:
    """Create the new tables, move every prediction and verdict into them, and put views in the old ones' place."""
    _create_tables()
    _extend_runs()
    if op.get_bind().dialect.name == "postgresql":  # what is packed already is not packed again
        op.execute("ALTER TABLE bar_blocks ALTER COLUMN payload SET STORAGE EXTERNAL")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE bar_blocks ALTER COLUMN payload SET STORAGE EXTERNAL")
    for statement in _MOVES:
        op.execute(statement)
    for name in ("verdicts", "predictions"):
        op.drop_table(name)
    for name, query in _VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query}")


def _create_tables() -> None:
    _create_import_reports()
    _create_models()
    _create_tracks()
    _create_prediction_rows()
    _create_lines()
    _create_verdict_rows()
    _create_training_events()
    _create_alarms()


def _create_import_reports() -> None:
    op.create_table(
        "import_reports",
        sa.Column("id", sa.Integer, primary_key=True, comment="Number of the report."),
        sa.Column("imported_at", sa.BigInteger, nullable=False, comment="When the file was imported, ms."),
        sa.Column("file", sa.Text, nullable=False, comment="The file, as it was named."),
        sa.Column(
            "series_id",
            sa.Integer,
            sa.ForeignKey("series.id"),
            comment="Whose bars it held; null where it was refused.",
        ),
        sa.Column("report", sa.Text, nullable=False, comment="What was found in it, as JSON."),
        comment="What each import found in a file.",
    )


def _create_models() -> None:
    op.create_table(
        "models",
        sa.Column(
            "run_id",
            sa.Text,
            sa.ForeignKey("runs.id", ondelete="CASCADE"),
            primary_key=True,
            comment="The run it predicts in.",
        ),
        sa.Column("name", sa.Text, primary_key=True, comment="What the run calls it."),
        sa.Column("model_type", sa.Text, comment="Class of the net, or of the module; null if not told."),
        sa.Column("class_path", sa.Text, comment="That class with its module; null if not told."),
        comment="The models of each run.",
    )


def _create_tracks() -> None:
    op.create_table(
        "tracks",
        sa.Column("id", sa.Integer, primary_key=True, comment="Number of the track in this database."),
        sa.Column("run_id", sa.Text, nullable=False, comment="The run."),
        sa.Column("model", sa.Text, nullable=False, comment="The model that predicts."),
        sa.Column("pass", sa.Integer, nullable=False, comment="Which pass over the stream, from 0."),
        sa.Column(
            "series_id", sa.Integer, sa.ForeignKey("series.id"), nullable=False, comment="The series it predicts."
        ),
        sa.UniqueConstraint("run_id", "model", "pass", "series_id"),
        sa.ForeignKeyConstraint(("run_id", "model"), ("models.run_id", "models.name"), ondelete="CASCADE"),
        comment="A model on a series in a pass of a run: one number in each row in place of four names.",
    )


def _create_prediction_rows() -> None:
    op.create_table(
        "prediction_rows",
        sa.Column(
            "track_id",
            sa.Integer,
            sa.ForeignKey("tracks.id", ondelete="CASCADE"),
            primary_key=True,
            comment="Run, model, series.",
        ),
        sa.Column(
            "open_time", sa.BigInteger, primary_key=True, autoincrement=False, comment="Open time of its bar, ms."
        ),
        sa.Column("step", sa.Integer, nullable=False, comment="Walk-forward step in which it was made."),
        sa.Column("direction", sa.SmallInteger, nullable=False, comment="Predicted direction: 0 down, 1 up, 2 flat."),
        sa.Column("confidence", sa.Float, nullable=False, comment="Probability the model gave that direction, 0 to 1."),
        comment="A direction predicted at the close of a bar; the view predictions names its track.",
        sqlite_with_rowid=False,
    )


def _create_lines() -> None:
    op.create_table(
        "lines",
        sa.Column("id", sa.Integer, primary_key=True, comment="Number of the line in this database."),
        sa.Column(
            "run_id",
            sa.Text,
            sa.ForeignKey("runs.id", ondelete="CASCADE"),
            nullable=False,
            comment="The run it judged in.",
        ),
        sa.Column(
            "series_id", sa.Integer, sa.ForeignKey("series.id"), nullable=False, comment="The series it lies in."
        ),
        sa.Column("first_time", sa.BigInteger, nullable=False, comment="Open time of its first pivot, ms."),
        sa.Column("last_time", sa.BigInteger, nullable=False, comment="Open time of its second pivot, ms."),
        sa.Column("kind", sa.Text, nullable=False, comment="Kind of its pivots, L2H or L2L."),
        sa.Column("direction", sa.SmallInteger, nullable=False, comment="0 down, 1 up, 2 flat."),
        sa.Column("known_at", sa.BigInteger, nullable=False, comment="Close time at which it was first certain, ms."),
        sa.Column(
            "first_price", sa.Float, comment="Price of its first pivot; this and the next null before schema version 2."
        ),
        sa.Column("last_price", sa.Float, comment="Price of its second pivot."),
        sa.Column("slope", sa.Float, comment="Price change per bar."),
        sa.UniqueConstraint("run_id", "series_id", "first_time", "last_time", "kind"),
        comment="The trend lines that judged predictions: the events of event accuracy.",
    )


def _create_verdict_rows() -> None:
    op.create_table(
        "verdict_rows",
        sa.Column("track_id", sa.Integer, primary_key=True, autoincrement=False, comment="As in prediction_rows."),
        sa.Column("open_time", sa.BigInteger, primary_key=True, autoincrement=False, comment="As in prediction_rows."),
        sa.Column("step", sa.Integer, nullable=False, comment="Walk-forward step in which it was judged."),
        sa.Column(
            "outcome", sa.SmallInteger, nullable=False, comment="0 wrong, 1 correct, 2 void (flat), 3 void (gap)."
        ),
        sa.Column(
            "truth",
            sa.SmallInteger,
            nullable=False,
            comment="The direction it was judged against; -1 where void (gap).",
        ),
        sa.Column(
            "known_at", sa.BigInteger, nullable=False, comment="Close time at which the verdict was first certain, ms."
        ),
        sa.Column(
            "line_id",
            sa.Integer,
            sa.ForeignKey("lines.id", ondelete="CASCADE"),
            comment="The judging line; null where none is.",
        ),
        sa.ForeignKeyConstraint(
            ("track_id", "open_time"), ("prediction_rows.track_id", "prediction_rows.open_time"), ondelete="CASCADE"
        ),
        sa.Index("verdict_rows_line_id", "line_id"),
        comment="A prediction judged; without one, it is pending. The view verdicts names its track and its line.",
        sqlite_with_rowid=False,
    )


def _create_training_events() -> None:
    op.create_table(
        "training_events",
        sa.Column("run_id", sa.Text, primary_key=True, comment="As in tracks."),
        sa.Column("model", sa.Text, primary_key=True, comment="As in tracks."),
        sa.Column("pass", sa.Integer, primary_key=True, autoincrement=False, comment="As in tracks."),
        sa.Column("series_id", sa.Integer, primary_key=True, autoincrement=False, comment="As in tracks."),
        sa.Column("step", sa.Integer, primary_key=True, autoincrement=False, comment="Step of its verdicts."),
        sa.Column("event_type", sa.Text, nullable=False, comment="trend_validation."),
        sa.Column("training_type", sa.Text, nullable=False, comment="backpropagation."),
        sa.Column("n_high", sa.Integer, nullable=False, comment="Verdicts of high priority: wrong predictions."),
        sa.Column("n_normal", sa.Integer, nullable=False, comment="Verdicts of normal priority: correct predictions."),
        sa.Column("n_void", sa.Integer, nullable=False, comment="Verdicts that only void a prediction."),
        sa.ForeignKeyConstraint(_TRACK, [f"tracks.{name}" for name in _TRACK], ondelete="CASCADE"),
        comment="New verdicts of a model on a series in a step, to learn from next; verdicts has the priority of each.",
    )


def _create_alarms() -> None:
    op.create_table(
        "alarms",
        sa.Column("id", sa.Integer, primary_key=True, comment="Number of the alarm in this database."),
        sa.Column("run_id", sa.Text, nullable=False, comment="The run."),
        sa.Column("model", sa.Text, nullable=False, comment="The model whose verdicts changed."),
        sa.Column(
            "series_id",
            sa.Integer,
            sa.ForeignKey("series.id"),
            comment="The series they are about; null for all of them.",
        ),
        sa.Column("step", sa.Integer, nullable=False, comment="Walk-forward step at whose end it was raised."),
        sa.Column("known_at", sa.BigInteger, nullable=False, comment="Close time at which the change was certain, ms."),
        sa.Column("kind", sa.Text, nullable=False, comment="What detected it."),
        sa.Column("cut", sa.Text, nullable=False, comment="What was cut because of it."),
        sa.ForeignKeyConstraint(("run_id", "model"), ("models.run_id", "models.name"), ondelete="CASCADE"),
        sa.UniqueConstraint("run_id", "model", "step", "kind", "series_id"),
        comment="A change detected in the verdicts.",
    )


def _extend_runs() -> None:
    columns = (
        sa.Column(
            "status",
            sa.Text,
            nullable=False,
            server_default="running",
            comment="running (where killed, for ever), finished, interrupted, failed; unknown before schema version 2.",
        ),
        sa.Column("updated_at", sa.BigInteger, nullable=False, server_default="0", comment="When it last wrote, ms."),
        sa.Column(
            "step", sa.Integer, nullable=False, server_default="-1", comment="Last step written; -1 before the first."
        ),
        sa.Column("n_steps", sa.Integer, comment="How many steps there are; null where nobody knows."),
        sa.Column(
            "total_predictions", sa.Integer, comment="Predictions up to that step; this and the next null if not told."
        ),
        sa.Column("validated_predictions", sa.Integer, comment="How many of them were judged correct or wrong."),
        sa.Column("correct_predictions", sa.Integer, comment="How many were correct."),
        sa.Column("void_predictions", sa.Integer, comment="How many were void."),
    )
    for column in columns:
        op.add_column("runs", column)


_SAME_TRACK = " AND ".join(f"t.{name} = v.{name}" for name in _TRACK)

_MOVES = (
    """
    UPDATE runs SET
        status = 'unknown',
        updated_at = started_at,
        step = coalesce((SELECT max(step) FROM predictions WHERE run_id = runs.id), -1),
        total_predictions = (SELECT count(*) FROM predictions WHERE run_id = runs.id),
        validated_predictions = (SELECT count(*) FROM verdicts WHERE run_id = runs.id AND outcome IN (0, 1)),
        correct_predictions = (SELECT count(*) FROM verdicts WHERE run_id = runs.id AND outcome = 1),
        void_predictions = (SELECT count(*) FROM verdicts WHERE run_id = runs.id AND outcome IN (2, 3))
    """,
    "INSERT INTO models (run_id, name) SELECT DISTINCT run_id, model FROM predictions",
    """
    INSERT INTO tracks (run_id, model, pass, series_id)
    SELECT DISTINCT run_id, model, pass, series_id FROM predictions ORDER BY run_id, model, pass, series_id
    """,
    f"""
    INSERT INTO prediction_rows (track_id, open_time, step, direction, confidence)
    SELECT t.id, v.open_time, v.step, v.direction, v.confidence
    FROM predictions v JOIN tracks t ON {_SAME_TRACK} ORDER BY t.id, v.open_time
    """,
    """
    INSERT INTO lines (run_id, series_id, first_time, last_time, kind, direction, known_at)
    SELECT run_id, series_id, first_time, last_time, kind, min(truth), min(known_at) FROM verdicts
    WHERE kind IS NOT NULL AND first_time IS NOT NULL AND last_time IS NOT NULL
    GROUP BY run_id, series_id, first_time, last_time, kind ORDER BY run_id, min(known_at), series_id, kind
    """,
    f"""
    INSERT INTO verdict_rows (track_id, open_time, step, outcome, truth, known_at, line_id)
    SELECT t.id, v.open_time, v.step, v.outcome, v.truth, v.known_at, l.id
    FROM verdicts v JOIN tracks t ON {_SAME_TRACK}
    LEFT JOIN lines l ON l.run_id = v.run_id AND l.series_id = v.series_id
        AND l.first_time = v.first_time AND l.last_time = v.last_time AND l.kind = v.kind
    ORDER BY t.id, v.open_time
    """,
    """
    INSERT INTO training_events
        (run_id, model, pass, series_id, step, event_type, training_type, n_high, n_normal, n_void)
    SELECT run_id, model, pass, series_id, step, 'trend_validation', 'backpropagation',
        sum(CASE WHEN outcome = 0 THEN 1 ELSE 0 END), sum(CASE WHEN outcome = 1 THEN 1 ELSE 0 END),
        sum(CASE WHEN outcome > 1 THEN 1 ELSE 0 END)
    FROM verdicts GROUP BY run_id, model, pass, series_id, step
    """,
)


_NAMES = "t.run_id, t.model, t.pass, t.series_id"
_NAMED = "JOIN tracks t ON t.id = r.track_id JOIN series s ON s.id = t.series_id"

_VIEWS = {
    "predictions": f"""
        SELECT {_NAMES}, r.open_time, r.step, r.direction, r.confidence, s.symbol, s.timeframe
        FROM prediction_rows r {_NAMED}
    """,
    "verdicts": f"""
        SELECT {_NAMES}, r.open_time, r.step, r.outcome, r.truth, r.known_at, l.kind, l.first_time, l.last_time,
            CASE r.outcome WHEN 0 THEN 'high' WHEN 1 THEN 'normal' END AS priority, s.symbol, s.timeframe
        FROM verdict_rows r {_NAMED} LEFT JOIN lines l ON l.id = r.line_id
    """,
}
