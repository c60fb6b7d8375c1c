"""Write each step's predictions and verdicts to the ledger."""

import json
import logging
import time
from dataclasses import replace
from typing import Any, Final, Literal

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.utilities.exceptions import SIGTERMException

from trendtrain.callbacks.interrupts import delay_interrupts
from trendtrain.callbacks.listeners import HasStream
from trendtrain.errors import InputError, StorageError
from trendtrain.market.bars import BoolArray, Series, TimeArray
from trendtrain.market.timeframe import parse_timeframe
from trendtrain.storage.ledger.ledger import Ledger
from trendtrain.storage.ledger.rows import LineRows, PredictionRows, Progress, StepRows, VerdictRows
from trendtrain.stream.walk_step import WalkStep
from trendtrain.validation.predictions import Predictions, Verdicts

_LOG: Final = logging.getLogger("trendtrain.live")
_SECONDS_BETWEEN: Final = 1.0

Stored = dict[tuple[Series, int], tuple[int, float]]


class LedgerWriter(pl.Callback):
    """Write predictions and verdicts to a database; a repeated step replaces the earlier one.

    Steps are written together in one transaction: a second after the last write, before a checkpoint, and at the end.
    A killed run repeats unwritten steps when it is resumed, because its checkpoint lies before them.

    Ctrl-C waits until steps are written.

    The run is `running` from `setup` on, also after a kill. At its end it is what `how_ended` returns, `interrupted` or
    `failed`.

    Args:
        ledger: Where to write.
        run_id: Name of the run, entered in `setup`.
        config: Its resolved configuration, as text.
        model: Name of the model; None takes the class of the module's net, or of the module.
        commits: Whether the predictions of a step are written before anything else happens, as live ones must be. A run
            that goes on then keeps those that were stored: they are neither deleted nor made again.
    """

    def __init__(
        self, ledger: Ledger, run_id: str, config: str = "", model: str | None = None, commits: bool = False
    ) -> None:
        self.ledger = ledger
        self.run_id = run_id
        self.config = config
        self.model = model
        self.commits = commits
        self._stored: Stored = {}  # made before the run went on
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
        """Enter how the run ended, without an error."""
        self._write()
        self.ledger.end(self.run_id, how_ended(trainer))

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Enter how the run ended; Lightning does not call `teardown` then, nor later callbacks if this one raises."""
        is_interrupt = isinstance(exception, KeyboardInterrupt | SIGTERMException)
        try:
            self._write()
            self.ledger.end(self.run_id, "interrupted" if is_interrupt else "failed")
        except StorageError as error:  # often that which ended the run
            _LOG.error("the ledger was not told how the run ended: %s", error, extra={"event": "ledger"})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Delete what a resumed run wrote after the checkpoint; predictions that were committed stay, and count."""
        self.ledger.rewind(self.run_id, self._last_step, self.commits)
        if self.commits:
            self._stored = self.ledger.stored(self.run_id, self._name, _newest_seen(trainer))

    def on_predictions(
        self, trainer: pl.Trainer, index: int, predictions: Predictions, series: tuple[Series, ...]
    ) -> Predictions:
        """Write predictions before anything else happens; return those that count: of a bar, the first stored."""
        if not self.commits or not len(predictions):
            return predictions
        rows = prediction_rows(predictions, series, trainer)
        self.ledger.commit(self.run_id, self._name, index, rows)
        return as_stored(predictions, rows, self._stored)[0] if self._stored else predictions

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Keep the step, and write if the last write was a second ago."""
        predictions = None if self.commits else prediction_rows(step.predictions, step.series, trainer)
        verdicts = verdict_rows(step.verdicts, step.series)
        progress = Progress(step.n_steps, step.stats)
        self._waiting.append(StepRows(step.index, predictions, verdicts, step.pass_, progress))
        self._last_step = step.index
        if time.monotonic() - self._written_at >= _SECONDS_BETWEEN:
            self._write()

    def on_change(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Write that a change was detected in the verdicts of all series, and what the replay deleted because of it."""
        self._write()
        cut = json.dumps({"events_kept": step.change} if step.is_cut else {})
        self.ledger.record_alarm(self.run_id, self._name, step.index, None, step.now, kind="accuracy", cut=cut)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Write all steps: a run that is resumed from here will not repeat them."""
        self._write()

    def state_dict(self) -> dict[str, int]:
        """Return the last step written."""
        return {"last_step": self._last_step}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Restore the last step written."""
        self._last_step = state_dict["last_step"]

    @delay_interrupts()
    def _write(self) -> None:
        self.ledger.record_steps(self.run_id, self._name, self._waiting)
        self._waiting = []  # only now: a write that fails is tried again at the end
        self._written_at = time.monotonic()


def how_ended(trainer: pl.Trainer) -> Literal["finished", "stopped", "partial"]:
    """Return how a run without an error ended: `partial` by `fast_dev_run`, `stopped` before the end of its stream."""
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return "partial"
    datamodule = getattr(trainer, "datamodule", None)
    return "stopped" if isinstance(datamodule, HasStream) and not datamodule.stream.is_done else "finished"


def model_class(module: pl.LightningModule) -> type:
    """Return the class that names a module in the ledger: that of its `net` if it has one, otherwise its own.

    What `torch.compile` wraps is named by the net inside.
    """
    net = getattr(module, "net", module)
    return type(getattr(net, "_orig_mod", net))


def prediction_rows(predictions: Predictions, series: tuple[Series, ...], trainer: pl.Trainer) -> PredictionRows:
    """Return predictions as rows of the ledger, which names bars by series and open time."""
    made = (predictions.series, _open_time(predictions, series), predictions.direction, predictions.confidence)
    datamodule = getattr(trainer, "datamodule", None)
    now = datamodule.stream.feed.clock() if isinstance(datamodule, HasStream) else None
    stored_at = None if now is None else int(now.astype("datetime64[ms]").astype(np.int64))
    return PredictionRows(series, *made, n_optimizer_steps(trainer), stored_at)


def as_stored(predictions: Predictions, rows: PredictionRows, stored: Stored) -> tuple[Predictions, BoolArray]:
    """Return the predictions, those that are stored as they are there, and which are; these leave `stored`.

    Args:
        predictions: Of a step, n of them.
        rows: The same as rows of the ledger.
        stored: Direction and confidence by series and open time, ms.
    """
    probability = predictions.probability.copy()
    is_stored = np.zeros(len(predictions), dtype=bool)
    for i, key in enumerate(stored_keys(rows)):
        first = stored.pop(key, None)
        is_stored[i] = first is not None
        if first is not None and first != (rows.direction[i], rows.confidence[i]):
            direction, confidence = first
            probability[i] = (1.0 - confidence) / (probability.shape[1] - 1)
            probability[i, direction] = confidence
    return replace(predictions, probability=probability), is_stored


def stored_keys(rows: PredictionRows) -> list[tuple[Series, int]]:
    """Return the series and the open time, ms, of each row."""
    times = rows.open_time.astype("datetime64[ms]").astype(np.int64).tolist()
    return [(rows.series[number], time) for number, time in zip(rows.series_index.tolist(), times, strict=True)]


def _newest_seen(trainer: pl.Trainer) -> dict[Series, int | None]:
    """Return when the newest bar of each series opened that a stream has seen, ms; None for none."""
    datamodule = getattr(trainer, "datamodule", None)
    if not isinstance(datamodule, HasStream):
        return {}
    newest = zip(datamodule.stream.series, datamodule.stream.newest_bars(), strict=True)
    return {one: None if bars is None else int(bars.open_time[-1].astype(np.int64)) for one, bars in newest}


def n_optimizer_steps(trainer: pl.Trainer) -> int:
    """Return how many optimizer steps made the parameters, also where training stopped and the run only predicts.

    Lightning's `global_step` counts those of the way of optimizing that the module has now.
    """
    loop = trainer.fit_loop.epoch_loop
    by_hand = loop.manual_optimization.optim_step_progress.total.completed
    return int(loop.automatic_optimization.optim_progress.optimizer_steps + by_hand)


def verdict_rows(verdicts: Verdicts, series: tuple[Series, ...]) -> VerdictRows:
    """Return verdicts and their lines as rows of the ledger, which names bars by series and open time."""
    judged = verdicts[verdicts.line >= 0]
    judging, first, line = np.unique(judged.line, return_index=True, return_inverse=True)
    lines = np.full(len(verdicts), -1)
    lines[verdicts.line >= 0] = line
    return VerdictRows(
        series=series,
        series_index=verdicts.predictions.series,
        open_time=_open_time(verdicts.predictions, series),
        outcome=verdicts.outcome,
        truth=verdicts.truth,
        known_at=verdicts.known_time,
        line=lines,
        lines=LineRows.of(verdicts.lines[judging], judged.predictions.series[first], judged.known_time[first]),
    )


def _open_time(predictions: Predictions, series: tuple[Series, ...]) -> TimeArray:
    if not all(one.symbol for one in series):
        rule = "`labels` must name their series for the ledger"
        raise InputError(f'{rule}: Labels.stack({{Series("BTCUSDT", "5m"): labels}}), got labels without a name.')
    timeframes = np.array([parse_timeframe(one.timeframe) for one in series])
    open_time: TimeArray = predictions.close_time - timeframes[predictions.series]
    return open_time
