"""Bars in blocks, predictions and verdicts in rows; SQLAlchemy Core.

A name is imported when it is asked for: writing a file needs no database, and SQLAlchemy takes a fifth of a second.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from trendtrain.storage.bars.store import BarStore
    from trendtrain.storage.database import open_database
    from trendtrain.storage.ledger.ledger import Ledger
    from trendtrain.storage.ledger.ledger_judge import LedgerJudge
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

_MODULES: Final = {
    "BarStore": "bars.store",
    "open_database": "database",
    "LedgerJudge": "ledger.ledger_judge",
    "Ledger": "ledger.ledger",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'ledger.rows')}"), name)
