"""Write each step's predictions and verdicts to the ledger."""

import json
import time
from typing import Any, Final

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.utilities.exceptions import SIGTERMException

from trendtrain.callbacks.interrupts import delay_interrupts
from trendtrain.errors import InputError
from trendtrain.market.bars import IntArray, TimeArray
from trendtrain.market.labels import Labels
from trendtrain.market.timeframe import parse_timeframe
from trendtrain.storage.ledger.ledger import Ledger
from trendtrain.storage.ledger.rows import LineRows, PredictionRows, VerdictRows
from trendtrain.storage.ledger.write import Progress, StepRows
from trendtrain.stream.walk_step import WalkStep
from trendtrain.validation.predictions import Predictions, Verdicts

_SECONDS_BETWEEN: Final = 1.0


class LedgerWriter(pl.Callback):
    """Keep predictions and verdicts in a database; a repeated step replaces itself.

    Steps are written together, in one transaction: a second after the last, before a checkpoint, and at the end. What a
    killed run has not written is repeated when it is resumed, since no checkpoint knows of it.

    Ctrl-C waits until steps are written.

    The run is `running` from `setup` on, then `finished`, `interrupted` or `failed`; one that was killed stays running.

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
        self._waiting: list[StepRows] = []
        self._written_at = -_SECONDS_BETWEEN
        self._name = ""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Enter the run and its model."""
        self.ledger.begin(self.run_id, self.config, np.datetime64("now", "ms"))
        kind = model_class(pl_module)
        class_path = f"{kind.__module__}.{kind.__qualname__}"
        self._name = self.model or kind.__name__
        self.ledger.describe_model(self.run_id, self._name, kind.__name__, class_path)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Note that the run ended without an error."""
        self._write()
        self.ledger.end(self.run_id, "finished")

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Note how the run ended; Lightning leaves `teardown` out then."""
        self._write()
        is_interrupt = isinstance(exception, KeyboardInterrupt | SIGTERMException)
        self.ledger.end(self.run_id, "interrupted" if is_interrupt else "failed")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Where a run is resumed, forget what was written after the checkpoint."""
        self.ledger.rewind(self.run_id, self._last_step)

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Take the step in, and write if the last write was a second ago."""
        predictions, verdicts = prediction_rows(step.predictions, step.labels), verdict_rows(step.verdicts, step.labels)
        progress = Progress(step.n_steps, step.stats)
        self._waiting.append(StepRows(step.index, predictions, verdicts, step.pass_, progress))
        self._last_step = step.index
        if time.monotonic() - self._written_at >= _SECONDS_BETWEEN:
            self._write()

    def on_change(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Note that the verdicts of all series showed a change, and what the replay forgot for it, if anything."""
        self._write()
        cut = json.dumps({"events_kept": step.change} if step.is_cut else {})
        self.ledger.record_alarm(self.run_id, self._name, step.index, None, step.now, kind="accuracy", cut=cut)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Write what a run that is resumed from here will not repeat."""
        self._write()

    def state_dict(self) -> dict[str, int]:
        """Return the last step written."""
        return {"last_step": self._last_step}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Take up the last step written."""
        self._last_step = state_dict["last_step"]

    @delay_interrupts()
    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        self.ledger.record_steps(self.run_id, self._name, waiting)
        self._written_at = time.monotonic()


def model_class(module: pl.LightningModule) -> type:
    """Return what the ledger names a module by: the class of its `net`, if it is one of ours, else its own."""
    return type(getattr(module, "net", module))


def prediction_rows(predictions: Predictions, labels: Labels) -> PredictionRows:
    """Name the bars of predictions as the ledger does, by series and open time."""
    series, row = labels.series_index[predictions.row], predictions.row
    open_time = _open_time(labels, row)
    return PredictionRows(labels.series, series, open_time, predictions.direction, predictions.confidence)


def verdict_rows(verdicts: Verdicts, labels: Labels) -> VerdictRows:
    """Name the bars of verdicts, and the lines that judged them, as the ledger does."""
    has_line = (verdicts.event >= 0) & (verdicts.event < len(labels.lines))
    events, line = np.unique(verdicts.event[has_line], return_inverse=True)
    lines = np.full(len(verdicts), -1)
    lines[has_line] = line
    return VerdictRows(
        series=labels.series,
        series_index=labels.series_index[verdicts.row],
        open_time=_open_time(labels, verdicts.row),
        outcome=verdicts.outcome,
        truth=verdicts.truth,
        known_at=labels.close_time[verdicts.known_at],
        line=lines,
        lines=line_rows(events, labels),
    )


def line_rows(events: IntArray, labels: Labels) -> LineRows:
    """Describe lines, given as positions in `labels.lines`, as the ledger does."""
    lines = labels.lines[events]
    return LineRows(
        series_index=labels.series_index[lines.first_bar],
        first_time=lines.start_time,
        last_time=lines.end_time,
        kind=lines.kind,
        direction=lines.direction,
        known_at=labels.close_time[lines.known_at],
        first_price=lines.first_price,
        last_price=lines.last_price,
        slope=lines.slope,
    )


def _open_time(labels: Labels, row: IntArray) -> TimeArray:
    if not all(series.symbol for series in labels.series):
        rule = "`labels` must name their series for the ledger"
        raise InputError(f'{rule}: Labels.stack({{Series("BTCUSDT", "5m"): labels}}), got labels without a name.')
    timeframes = np.array([parse_timeframe(series.timeframe) for series in labels.series])
    open_time: TimeArray = labels.close_time[row] - timeframes[labels.series_index[row]]
    return open_time
