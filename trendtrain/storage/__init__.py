"""Bars in blocks, predictions and verdicts in rows; SQLAlchemy Core."""

from trendtrain.storage.bars import BarStore
from trendtrain.storage.database import open_database
from trendtrain.storage.judge_ledger import LedgerJudge
from trendtrain.storage.ledger import Ledger
from trendtrain.storage.ledger_rows import LineRows, PredictionRows, VerdictRows
from trendtrain.storage.ledger_write import Progress

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
