"""Version 1: bars in blocks, predictions and verdicts with the names of run and model in each row."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None

_KEY = ("run_id", "model", "pass", "series_id", "open_time")


def upgrade() -> None:
    """Create what a database made before versions were kept may lack, and say what its columns hold."""
    _create_series()
    _create_bar_blocks()
    _create_runs()
    _create_predictions()
    _create_verdicts()


def _create_series() -> None:
    op.create_table(
        "series",
        sa.Column("id", sa.Integer, primary_key=True, comment="Number of the series in this database."),
        sa.Column("symbol", sa.Text, nullable=False, comment="Symbol as its source writes it, such as BTCUSDT."),
        sa.Column("timeframe", sa.Text, nullable=False, comment="Length of a bar, such as 5m."),
        sa.UniqueConstraint("symbol", "timeframe"),
        comment="One symbol at one timeframe.",
        if_not_exists=True,
    )


def _create_bar_blocks() -> None:
    op.create_table(
        "bar_blocks",
        sa.Column(
            "series_id", sa.Integer, sa.ForeignKey("series.id"), primary_key=True, comment="Whose bars these are."
        ),
        sa.Column(
            "start_time",
            sa.BigInteger,
            primary_key=True,
            autoincrement=False,
            comment="Open time of the first bar, ms.",
        ),
        sa.Column("end_time", sa.BigInteger, nullable=False, comment="Open time of the last bar, ms."),
        sa.Column("n_bars", sa.Integer, nullable=False, comment="How many bars the payload holds."),
        sa.Column("checksum", sa.BigInteger, nullable=False, comment="zlib.crc32 of the payload."),
        sa.Column(
            "payload",
            sa.LargeBinary,
            nullable=False,
            comment="The bars, as trendtrain.storage.bars.payload packs them.",
        ),
        comment="Bars in blocks; the blocks of a series never overlap.",
        if_not_exists=True,
    )


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Text, primary_key=True, comment="Name of the run, kept when it is resumed."),
        sa.Column("started_at", sa.BigInteger, nullable=False, comment="When the run was first started, ms."),
        sa.Column("config", sa.Text, nullable=False, comment="The resolved configuration it was started with."),
        comment="One training run each.",
        if_not_exists=True,
    )


def _create_predictions() -> None:
    op.create_table(
        "predictions",
        sa.Column(
            "run_id", sa.Text, sa.ForeignKey("runs.id"), primary_key=True, comment="The run that made the prediction."
        ),
        sa.Column("model", sa.Text, primary_key=True, comment="The model that made it."),
        sa.Column(
            "pass", sa.Integer, primary_key=True, autoincrement=False, comment="Which pass over the stream, from 0."
        ),
        sa.Column(
            "series_id", sa.Integer, sa.ForeignKey("series.id"), primary_key=True, comment="The series it is about."
        ),
        sa.Column(
            "open_time", sa.BigInteger, primary_key=True, autoincrement=False, comment="Open time of its bar, ms."
        ),
        sa.Column("step", sa.Integer, nullable=False, comment="Walk-forward step in which it was made."),
        sa.Column("direction", sa.SmallInteger, nullable=False, comment="Predicted direction: 0 down, 1 up, 2 flat."),
        sa.Column("confidence", sa.Float, nullable=False, comment="Probability the model gave that direction, 0 to 1."),
        comment="A direction predicted at the close of a bar.",
        if_not_exists=True,
    )


def _create_verdicts() -> None:
    op.create_table(
        "verdicts",
        sa.Column("run_id", sa.Text, primary_key=True, comment="As in predictions."),
        sa.Column("model", sa.Text, primary_key=True, comment="As in predictions."),
        sa.Column("pass", sa.Integer, primary_key=True, autoincrement=False, comment="As in predictions."),
        sa.Column("series_id", sa.Integer, primary_key=True, autoincrement=False, comment="As in predictions."),
        sa.Column("open_time", sa.BigInteger, primary_key=True, autoincrement=False, comment="As in predictions."),
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
        sa.Column("kind", sa.Text, comment="Pivot kind of the judging line, L2H or L2L; null where there is none."),
        sa.Column(
            "first_time", sa.BigInteger, comment="Open time of the line's first pivot, ms; null where there is none."
        ),
        sa.Column(
            "last_time", sa.BigInteger, comment="Open time of the line's second pivot, ms; null where there is none."
        ),
        sa.ForeignKeyConstraint(_KEY, [f"predictions.{name}" for name in _KEY], ondelete="CASCADE"),
        comment="A prediction judged; without one, a prediction is pending.",
        if_not_exists=True,
    )
