"""The versions of models that were kept, and the tests by which shadows were promoted."""

import sqlalchemy as sa
from alembic import op

revision = "6"
down_revision = "5"


def upgrade() -> None:
    """Create the tables; no version was kept before."""
    op.create_table(
        "model_versions",
        sa.Column("run_id", sa.Text, primary_key=True, comment="The run."),
        sa.Column("model", sa.Text, primary_key=True, comment="The model."),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False, comment="Its number, from 1."),
        sa.Column(
            "checkpoint", sa.Text, comment="Its file in the folder checkpoints of the run; null once it was deleted."
        ),
        sa.Column(
            "parameters", sa.Integer, nullable=False, comment="Optimizer steps of its parameters when it was kept."
        ),
        sa.Column(
            "start_time",
            sa.BigInteger,
            nullable=False,
            comment="Close time from which on it predicted, learning on, ms.",
        ),
        sa.Column("end_time", sa.BigInteger, comment="Close time until which it predicted; null while it does."),
        sa.Column("reason", sa.Text, nullable=False, comment="Why it was kept: saved, or rollback to another."),
        sa.ForeignKeyConstraint(("run_id", "model"), ("models.run_id", "models.name"), ondelete="CASCADE"),
        comment="The versions of the models of live runs that were kept.",
    )
    op.create_table(
        "promotion_tests",
        sa.Column("id", sa.Integer, primary_key=True, comment="Number of the test in this database."),
        sa.Column("tested_at", sa.BigInteger, nullable=False, comment="When it was made, ms."),
        sa.Column(
            "run_id",
            sa.Text,
            sa.ForeignKey("runs.id", ondelete="CASCADE"),
            nullable=False,
            comment="The run that is a shadow.",
        ),
        sa.Column(
            "against_run_id",
            sa.Text,
            sa.ForeignKey("runs.id", ondelete="CASCADE"),
            nullable=False,
            comment="The active run.",
        ),
        sa.Column("n_events", sa.Integer, nullable=False, comment="Events of both."),
        sa.Column(
            "difference",
            sa.Float,
            nullable=False,
            comment="Event accuracy of the shadow minus that of the active run.",
        ),
        sa.Column(
            "low", sa.Float, comment="Lower end of its interval at `level`; null where there are too few events."
        ),
        sa.Column(
            "level",
            sa.Float,
            nullable=False,
            comment="Of the interval; it grows with each test of the same pair.",
        ),
        sa.Column(
            "is_promoted", sa.SmallInteger, nullable=False, comment="1 if the shadow became the active run, else 0."
        ),
        comment="Every test of whether a shadow is better than the active run; the last promotion says which is.",
    )
