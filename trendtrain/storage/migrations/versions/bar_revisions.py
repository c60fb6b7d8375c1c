"""Bars that were corrected after they had been taken in."""

import sqlalchemy as sa
from alembic import op

revision = "5"
down_revision = "4"


def upgrade() -> None:
    """Create the table; no bar was corrected before."""
    op.create_table(
        "bar_revisions",
        sa.Column("series_id", sa.Integer, sa.ForeignKey("series.id"), primary_key=True, comment="Whose bar it is."),
        sa.Column("open_time", sa.BigInteger, primary_key=True, autoincrement=False, comment="Open time, ms."),
        sa.Column(
            "revision", sa.Integer, primary_key=True, autoincrement=False, comment="0 as first taken in, then 1."
        ),
        sa.Column("arrived_at", sa.BigInteger, comment="When the correction came, ms; null as first taken in."),
        sa.Column("open", sa.Float, nullable=False, comment="Open price."),
        sa.Column("high", sa.Float, nullable=False, comment="High price."),
        sa.Column("low", sa.Float, nullable=False, comment="Low price."),
        sa.Column("close", sa.Float, nullable=False, comment="Close price."),
        sa.Column("volume", sa.Float, comment="Volume; null where the source supplies none."),
        comment="Every version of the bars that were corrected; the last one is in bar_blocks too.",
    )
