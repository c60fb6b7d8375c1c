"""When each prediction was stored, and which parameters made it."""

import sqlalchemy as sa
from alembic import op

revision = "4"
down_revision = "3"

_VIEW = """
    CREATE VIEW predictions AS
        SELECT t.run_id, t.model, t.pass, t.series_id, r.open_time, r.step, r.direction, r.confidence, s.symbol,
            s.timeframe, r.parameters, r.stored_at
        FROM prediction_rows r JOIN tracks t ON t.id = r.track_id JOIN series s ON s.id = t.series_id
"""


def upgrade() -> None:
    """Add the columns; they are null where predictions are older."""
    op.execute("DROP VIEW predictions")
    comments = {
        "parameters": "Optimizer steps of the parameters that made it; null if unknown.",
        "stored_at": "What time it was in the market when it was stored, ms; null for history.",
    }
    for name, kind in (("parameters", sa.Integer), ("stored_at", sa.BigInteger)):
        op.add_column("prediction_rows", sa.Column(name, kind, comment=comments[name]))
    op.execute(_VIEW)
