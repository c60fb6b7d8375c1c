"""Write each step's predictions and verdicts to the ledger."""

import lightning.pytorch as pl
import numpy as np

from trendtrain.callbacks.walk_step import WalkStep
from trendtrain.market.bars import IntArray, TimeArray
from trendtrain.market.labels import Labels
from trendtrain.market.timeframe import parse_timeframe
from trendtrain.storage.ledger import Ledger
from trendtrain.storage.ledger_rows import PredictionRows, VerdictRows
from trendtrain.validation.predictions import Predictions, Verdicts


class LedgerWriter(pl.Callback):
    """Keep predictions and verdicts in a database, one transaction a step; a repeated step replaces itself.

    Args:
        ledger: Where to write.
        run_id: Name of the run, entered in `setup`.
        config: Its resolved configuration, as text.
        model: Name of the model; None takes the class of the module's net, or of the module.
    """

    def __init__(self, ledger: Ledger, run_id: str, config: str = "", model: str | None = None) -> None:
        self.ledger = ledger
        self.run_id = run_id
        self.config = config
        self.model = model
        self._last_step = -1

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Enter the run."""
        self.ledger.begin(self.run_id, self.config, np.datetime64("now", "ms"))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Where a run is resumed, forget what was written after the checkpoint."""
        self.ledger.rewind(self.run_id, self._last_step)

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Write the step."""
        model = self.model or model_name(trainer.lightning_module)
        predictions = prediction_rows(step.predictions, step.labels)
        self.ledger.record(self.run_id, model, step.index, predictions, verdict_rows(step.verdicts, step.labels))
        self._last_step = step.index

    def state_dict(self) -> dict[str, int]:
        """Return the last step written."""
        return {"last_step": self._last_step}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Take up the last step written."""
        self._last_step = state_dict["last_step"]


def model_name(module: pl.LightningModule) -> str:
    """Return what the ledger calls a module: the class of its `net`, if it is one of ours, else its own."""
    return type(getattr(module, "net", module)).__name__


def prediction_rows(predictions: Predictions, labels: Labels) -> PredictionRows:
    """Name the bars of predictions as the ledger does, by series and open time."""
    series, row = labels.series_index[predictions.row], predictions.row
    open_time = _open_time(labels, row)
    return PredictionRows(labels.series, series, open_time, predictions.direction, predictions.confidence)


def verdict_rows(verdicts: Verdicts, labels: Labels) -> VerdictRows:
    """Name the bars of verdicts, and the pivots of the lines that judged them, as the ledger does."""
    lines = labels.lines
    has_line = (verdicts.event >= 0) & (verdicts.event < len(lines))
    line = np.where(has_line, verdicts.event, -1)
    none = np.datetime64("NaT", "ms")
    return VerdictRows(
        series=labels.series,
        series_index=labels.series_index[verdicts.row],
        open_time=_open_time(labels, verdicts.row),
        outcome=verdicts.outcome,
        truth=verdicts.truth,
        known_at=labels.close_time[verdicts.known_at],
        kind=np.append(lines.kind, -1)[line],
        first_time=np.append(lines.start_time, none)[line],
        last_time=np.append(lines.end_time, none)[line],
    )


def _open_time(labels: Labels, row: IntArray) -> TimeArray:
    timeframes = np.array([parse_timeframe(series.timeframe) for series in labels.series])
    open_time: TimeArray = labels.close_time[row] - timeframes[labels.series_index[row]]
    return open_time
