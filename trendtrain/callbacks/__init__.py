"""Lightning hooks: a few lines around pure functions."""

from trendtrain.callbacks.average_weights import AverageWeights
from trendtrain.callbacks.decay_by_events import DecayByEvents
from trendtrain.callbacks.fit_temperature import FitTemperature
from trendtrain.callbacks.ledger_writer import LedgerWriter
from trendtrain.callbacks.reseed import ReseedGenerators
from trendtrain.callbacks.trend_charts import TrendCharts
from trendtrain.callbacks.trend_early_stopping import TrendEarlyStopping
from trendtrain.callbacks.trend_validation import TrendValidation
from trendtrain.callbacks.walk_checkpoint import WalkCheckpoint
from trendtrain.callbacks.walk_progress import WalkProgress
from trendtrain.stream.walk_step import WalkStep

__all__ = [
    "AverageWeights",
    "DecayByEvents",
    "FitTemperature",
    "LedgerWriter",
    "ReseedGenerators",
    "TrendCharts",
    "TrendEarlyStopping",
    "TrendValidation",
    "WalkCheckpoint",
    "WalkProgress",
    "WalkStep",
]
