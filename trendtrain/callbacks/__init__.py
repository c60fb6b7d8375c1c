"""Lightning callbacks: thin hooks around pure functions.

- `trend_validation` is the heart: it keeps predictions, judges them when their labels are known, and calls the others.
  `model_outputs` reads batches and outputs, `checks` refuses trainers that would cut the stream, `listeners` holds the
  hooks that it calls, `interrupts` delays Ctrl-C.
- What listens to it: `ledger_writer` (database), `trend_charts` (TensorBoard), `run_history` (report),
  `walk_progress` (terminal), `fit_temperature` (calibration).
- What acts on training: `average_weights`, `predict_only`, `reseed`, `trend_early_stopping`, `walk_checkpoint`.
"""

from trendtrain.callbacks.average_weights import AverageWeights
from trendtrain.callbacks.fit_temperature import FitTemperature
from trendtrain.callbacks.ledger_writer import LedgerWriter
from trendtrain.callbacks.predict_only import PredictOnly
from trendtrain.callbacks.reseed import ReseedGenerators
from trendtrain.callbacks.run_history import RunHistory
from trendtrain.callbacks.trend_charts import TrendCharts
from trendtrain.callbacks.trend_early_stopping import TrendEarlyStopping
from trendtrain.callbacks.trend_validation import TrendValidation
from trendtrain.callbacks.walk_checkpoint import WalkCheckpoint
from trendtrain.callbacks.walk_progress import WalkProgress
from trendtrain.stream.walk_step import WalkStep

__all__ = [
    "AverageWeights",
    "FitTemperature",
    "LedgerWriter",
    "PredictOnly",
    "ReseedGenerators",
    "RunHistory",
    "TrendCharts",
    "TrendEarlyStopping",
    "TrendValidation",
    "WalkCheckpoint",
    "WalkProgress",
    "WalkStep",
]
