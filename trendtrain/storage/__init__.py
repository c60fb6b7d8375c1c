"""Bars in blocks, predictions and verdicts in rows; SQLAlchemy Core."""

from trendtrain.storage.bars.store import BarStore
from trendtrain.storage.database import open_database
from trendtrain.storage.ledger.judge import LedgerJudge
from trendtrain.storage.ledger.ledger import Ledger
from trendtrain.storage.ledger.rows import LineRows, PredictionRows, Progress, VerdictRows

__all__ = [
    "BarStore",
    "Ledger",
    "LedgerJudge",
    "LineRows",
    "PredictionRows",
    "Progress",
    "VerdictRows",
    "open_database",
]
