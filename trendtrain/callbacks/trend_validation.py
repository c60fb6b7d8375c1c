"""Judge a model's stored predictions when their labels become known, inside any Lightning Trainer."""

from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as pl
import numpy as np

from trendtrain.callbacks.outputs import join, logits_of, row_of, to_predictions
from trendtrain.callbacks.signals import interrupts_held
from trendtrain.callbacks.walk_step import ChangeListener, StepListener, Stream, WalkStep
from trendtrain.errors import InputError
from trendtrain.market.bars import IntArray
from trendtrain.market.labels import Labels
from trendtrain.validation.buffer import ValidationBuffer
from trendtrain.validation.predictions import Predictions, Verdicts
from trendtrain.validation.scoreboard import Scoreboard


class TrendValidation(pl.Callback):
    """Store each validation prediction, judge it when its label is known, keep the statistics.

    With a `PivotDataModule` it needs no argument: predictions of the stream accumulate, verdicts reweight the replay,
    as do the logits that a training step returns beside its loss, and training ends with the stream. With other loaders
    give `labels`, and `key`; each validation pass is then judged on its own, with `now` the close of the last bar
    predicted in it.

    Args:
        labels: What judges; None takes the datamodule's.
        baselines: What each baseline answers at each row, to be judged beside the model.
        key: Gives the bar positions of a batch, `batch -> (B,)`; by default `batch["row"]`.
        direction: Gives logits, probabilities (B, C) or class codes (B,) from what `validation_step` returned; by
            default `outputs["logits"]`.

    Raises:
        InputError: In `setup`, if labels are missing, a cut of the stream is asked for, or devices are many.
    """

    def __init__(
        self,
        labels: Labels | None = None,
        baselines: Mapping[str, IntArray] | None = None,
        key: Callable[[Any], Any] = row_of,
        direction: Callable[[Any], Any] = logits_of,
    ) -> None:
        self.labels = labels
        self.baselines = baselines
        self.key = key
        self.direction = direction
        self.buffer = ValidationBuffer()
        self.board: Scoreboard
        self._stream: Stream | None = None
        self._made: list[Predictions] = []
        self._n_steps = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find labels and clock, and refuse what would cut the stream."""
        if trainer.world_size > 1:
            raise InputError(f"`trainer.devices` must be 1, got {trainer.world_size} processes.")
        datamodule = getattr(trainer, "datamodule", None)
        if self.labels is not None and isinstance(datamodule, Stream):
            raise InputError("`labels` must be left out where the datamodule has its own, got both.")
        if self.labels is None:
            if not isinstance(datamodule, Stream):
                raise InputError("`labels` must be given where the datamodule has none: label_bars(bars) makes them.")
            _refuse_cuts(trainer)
            if datamodule is self._stream:  # say `validate`, then `fit`: the walk goes on
                return
            self._stream = datamodule
        self._n_steps = 0
        self._start_counts()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Train no more where a resumed walk has ended already."""
        if self._is_over:
            trainer.should_stop = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Tell the replay what the model says of the rows it has just learned from, if the module returned it."""
        if self._stream is not None and isinstance(outputs, dict) and "logits" in outputs:
            self._stream.answer(to_predictions(self.key(batch), outputs["logits"]))

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start a pass; a foreign one starts its own counts."""
        self._made = []
        if self._stream is None:
            self._start_counts()

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep what was predicted."""
        if not trainer.sanity_checking:
            self._made.append(to_predictions(self.key(batch), self.direction(outputs)))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Judge what can be judged now, tell the listeners, log."""
        if trainer.sanity_checking or self._is_over:
            return
        with interrupts_held():
            step = self.judge(is_partial=bool(trainer.fast_dev_run))  # type: ignore[attr-defined]
            for listener in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(listener, StepListener):
                    listener.on_walk_step(trainer, step)
            for listener in trainer.callbacks if step.change is not None else ():  # type: ignore[attr-defined]
                if isinstance(listener, ChangeListener):
                    listener.on_change(trainer, step)
        pl_module.log_dict({f"trend/{name}": value for name, value in step.scalars.items()}, logger=False)
        if self._is_over:
            trainer.should_stop = True

    def judge(self, is_partial: bool = False) -> WalkStep:
        """Store the step's predictions, move the clock on, and judge what is known by then."""
        predictions, self._made = join(self._made), []
        labels = self.board.labels
        _check_rows(predictions.row, len(labels))
        if self._stream is not None and len(predictions):
            _check_classes(predictions.probability.shape[1], self._stream.n_classes)
        if self._stream is not None and not is_partial:
            _check_complete(predictions, self._stream.clock.rows)
        now = labels.close_time[predictions.row].max() if self._stream is None else self._stream.advance()
        self.buffer.add(predictions)
        verdicts = self.buffer.judge(labels, now)
        self.board.update(verdicts)
        self._n_steps += 1
        return WalkStep(
            index=self._n_steps - 1,
            now=now,
            predictions=predictions,
            verdicts=verdicts,
            stats=self.buffer.stats,
            series_stats=self.board.stats(self.buffer.pending),
            metrics=self.board.metrics(),
            labels=labels,
            is_partial=is_partial,
            **({} if self._stream is None else _learned(self._stream, verdicts)),
        )

    def summary(self) -> dict[str, Any]:
        """Return the statistics and scores so far, of all series and of each, as `summary.json` holds them."""
        by_series: dict[str, dict[str, Any]] = {}
        for i, (series, stats) in enumerate(self.board.stats(self.buffer.pending).items()):
            scores = {"stats": stats.as_dict(), **self.board.scores(i)}
            by_series.setdefault(series.symbol, {})[series.timeframe] = scores
        return {"stats": self.buffer.stats.as_dict(), **self.board.scores(), "series": by_series}

    def state_dict(self) -> dict[str, Any]:
        """Return the waiting predictions and all that was gathered."""
        return {"buffer": self.buffer.state_dict(), "board": self.board.state_dict(), "n_steps": self._n_steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where the callback that gave the state stood."""
        self.buffer.load_state_dict(state_dict["buffer"])
        self.board.load_state_dict(state_dict["board"])
        self._n_steps = state_dict["n_steps"]

    @property
    def _is_over(self) -> bool:
        """Whether the stream has ended; loaders that are not ours never do."""
        return self._stream is not None and bool(self._stream.clock.is_done)

    def _start_counts(self) -> None:
        self.buffer = ValidationBuffer()
        if self._stream is not None:
            self.board = Scoreboard(self._stream.labels, self._stream.baselines)
        elif self.labels is not None:
            self.board = Scoreboard(self.labels, self.baselines or {})


def _learned(stream: Stream, verdicts: Verdicts) -> dict[str, Any]:
    """Let verdicts act on the replay, and return what a step tells of the stream."""
    stream.replay.reweight(verdicts)
    change = stream.replay.detect(verdicts)
    return {"n_steps": stream.clock.n_steps, "change": change, "replay": stream.replay.take_metrics()}


def _refuse_cuts(trainer: pl.Trainer) -> None:
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return
    for name, whole in (
        ("overfit_batches", 0.0),
        ("limit_val_batches", 1.0),
        ("check_val_every_n_epoch", 1),
        ("val_check_interval", 1.0),
    ):
        got = getattr(trainer, name)
        if got != whole or type(got) is not type(whole):  # 1 is one batch, 1.0 is all of them
            raise InputError(f"`trainer.{name}` must be {whole}: every bar of the stream is predicted, got {got}.")


def _check_rows(row: IntArray, n_rows: int) -> None:
    if len(row) and not 0 <= row.min() <= row.max() < n_rows:
        raise InputError(f"`key` must give bars from 0 to {n_rows - 1}, as labelled, got {row.min()} to {row.max()}.")


def _check_classes(given: int, n_classes: int) -> None:
    if given != n_classes:
        raise InputError(f"`n_classes` must be what the model tells apart, got {n_classes} and a model of {given}.")


def _check_complete(predictions: Predictions, rows: IntArray) -> None:
    if not np.array_equal(np.sort(predictions.row), np.sort(rows)):
        made, due = len(predictions), len(rows)
        raise RuntimeError(f"A walk step must predict each of its rows once: {made} predictions for {due} rows.")
