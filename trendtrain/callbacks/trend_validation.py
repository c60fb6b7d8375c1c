"""Keep a model's predictions and judge each when its label becomes known, inside any Lightning Trainer."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from trendtrain.callbacks.checks import check_predictions, check_stream_trainer, check_trainer
from trendtrain.callbacks.interrupts import delay_interrupts
from trendtrain.callbacks.listeners import Stream, call_hooks
from trendtrain.callbacks.model_outputs import NotFiniteError, OutputBuffer, row_of, scores_of
from trendtrain.data.arrays import to_arrays, to_tensors
from trendtrain.errors import InputError
from trendtrain.market.bars import IntArray
from trendtrain.market.labels import Labels
from trendtrain.replay.sampler import ReplaySampler
from trendtrain.stream.walk_step import WalkStep, scalars
from trendtrain.validation.pending import Pending
from trendtrain.validation.predictions import Predictions, Verdicts
from trendtrain.validation.scoreboard import Scoreboard


class TrendValidation(pl.Callback):
    """Store what a validation, test or predict loop predicts, judge it when its label is known, keep the statistics.

    With a `PivotDataModule` it needs no argument: predictions of the stream accumulate, verdicts reweight the replay,
    as do the logits that a training step returns beside its loss, and training ends with the stream. With other loaders
    give `labels`; each pass over them is then judged on its own, with `now` the close of the last bar predicted in it.

    Args:
        labels: The labels to judge by; None for the datamodule's.
        baselines: The direction each baseline predicts at each row, to be judged beside the model.
        key: Gives the bar positions of a batch, `batch -> (B,)`; None leaves the batch out. By default a dict's `row`,
            the last item of a tuple, or the batch itself.
        direction: Gives logits, probabilities (B, C) or class codes (B,) from what the step returned; by default a
            dict's `logits`, `probabilities` or `direction`, or the tensor itself.
        replay: With `labels`: the sampler of bars for training, to be reweighted by each pass.
        on_verdicts: Called with the verdicts of each pass or step, if there are any.

    Raises:
        InputError: In `setup`, if labels are missing, the trainer would cut the stream, or there are several devices.
    """

    def __init__(
        self,
        labels: Labels | None = None,
        baselines: Mapping[str, IntArray] | None = None,
        key: Callable[[Any], Any] = row_of,
        direction: Callable[[Any], Any] = scores_of,
        replay: ReplaySampler | None = None,
        on_verdicts: Callable[[Verdicts], None] | None = None,
    ) -> None:
        self.labels = labels
        self.baselines = baselines
        self.key = key
        self.direction = direction
        self.replay = replay
        self.on_verdicts = on_verdicts
        self.buffer = Pending()
        self.board: Scoreboard
        self._stream: Stream | None = None  # None: loaders of the user's own
        self._predicted = OutputBuffer()  # of the pass under way
        self._trained = OutputBuffer()  # since the last pass
        self._n_steps = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find the labels, and raise if the trainer would cut the stream."""
        check_trainer(trainer)
        stream = getattr(trainer, "datamodule", None)
        if isinstance(stream, Stream):
            self._attach(trainer, stream)
        elif self.labels is not None:
            self._reset_scores()
        elif self._stream is None or stage not in ("test", "predict"):  # after a walk, other loaders pass unjudged
            raise InputError("`labels` must be given where the datamodule has none: label_bars(bars) makes them.")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop at once if a resumed walk has already ended."""
        if self._is_over:
            trainer.should_stop = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the logits of the rows just trained on, if the module returned them."""
        if self._stream is not None and isinstance(outputs, dict) and "logits" in outputs:
            with self._naming_the_step():
                self._trained.add(self.key(batch), outputs["logits"])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give monitors the metrics, NaN so far, where validation comes after the first epoch."""
        if "trend/accuracy" not in trainer.callback_metrics:
            _update_monitors(trainer, self._scalars())

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start a pass; reweight the stream's replay by the logits of training, all batches of a step at once."""
        self._predicted = OutputBuffer()
        if self._stream is None:
            self._reset_scores()
        elif len(self._trained):
            with self._naming_the_step():
                trained, self._trained = self._trained.predictions(), OutputBuffer()
            self._stream.update_verdicts(trained)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the predictions of a batch."""
        if not self._is_other_loop(trainer) and (rows := self.key(batch)) is not None:
            with self._naming_the_step():
                self._predicted.add(rows, self.direction(outputs))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Complete the step, or an epoch of the warm-up."""
        is_empty = self._stream is None and not len(self._predicted)
        if trainer.sanity_checking or self._is_over or self._is_other_loop(trainer) or is_empty:
            return
        if self._stream is not None and self._stream.clock.warmup:
            self._complete_warmup(trainer, self._stream)
        else:
            self._complete_step(trainer)
        if self._is_over:
            trainer.should_stop = True

    on_test_epoch_start = on_predict_epoch_start = on_validation_epoch_start
    on_test_batch_end = on_predict_batch_end = on_validation_batch_end
    on_test_epoch_end = on_predict_epoch_end = on_validation_epoch_end

    def judge(self, is_partial: bool = False) -> WalkStep:
        """Store the step's predictions, advance the clock, and judge what is known by then.

        Raises:
            InputError: If rows are no labelled bars, or come twice, or classes differ from the labels'.
            RuntimeError: If a step of the stream did not predict each of its rows once, unless it `is_partial`.
        """
        with self._naming_the_step():
            predictions, self._predicted = self._predicted.predictions(), OutputBuffer()
        labels, stream = self.board.labels, self._stream
        check_predictions(predictions, len(labels), stream, is_partial)
        self.buffer.add(predictions)
        rows = self.buffer.pending.row
        now = labels.close_time[predictions.row].max() if stream is None else stream.close_step()
        verdicts = self.buffer.judge(labels.known_labels(now, rows=rows))
        self.board.update(verdicts)
        if self.replay is not None:
            self.replay.reweight(verdicts)
        self._n_steps += 1
        return self._step(now, predictions, verdicts, is_partial)

    def summary(self) -> dict[str, Any]:
        """Return the statistics and scores so far, of all series and of each, as `summary.json` holds them."""
        by_series: dict[str, dict[str, Any]] = {}
        for i, (series, stats) in enumerate(self.board.stats(self.buffer.pending).items()):
            scores = {"stats": stats.as_dict(), **self.board.scores(i, self.buffer.pending)}
            by_series.setdefault(series.symbol, {})[series.timeframe] = scores
        scores = {"stats": self.buffer.stats.as_dict(), **self.board.scores(pending=self.buffer.pending)}
        return {**scores, "series": by_series, "breakdown": self.board.breakdown()}

    def state_dict(self) -> dict[str, Any]:
        """Return the pending predictions and the scores."""
        if not hasattr(self, "board"):  # a Trainer may save on an exception in `setup`
            return {}
        board = to_tensors(self.board.state_dict())
        return {"buffer": to_tensors(self.buffer.state_dict()), "board": board, "n_steps": self._n_steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`."""
        if not state_dict:
            return
        self.buffer.load_state_dict(to_arrays(state_dict["buffer"]))
        self.board.load_state_dict(to_arrays(state_dict["board"]))
        self._n_steps = state_dict["n_steps"]

    @contextmanager
    def _naming_the_step(self) -> Iterator[None]:
        """Add the step and what to change to the error about a model that diverged."""
        try:
            yield
        except NotFiniteError as error:
            is_warmup = self._stream is not None and self._stream.clock.warmup
            step = "in the warm-up" if is_warmup else f"at step {self._n_steps}"
            raise InputError(f"{str(error).removesuffix('.')} {step}; try a lower `model.lr`.") from error

    @property
    def _is_over(self) -> bool:
        """Whether the stream has ended; loaders of the user's own never do."""
        return self._stream is not None and bool(self._stream.clock.is_done)

    def _is_other_loop(self, trainer: pl.Trainer) -> bool:
        """Return whether the loop under way, a test or a prediction, is not the stream's."""
        return self._stream is not None and bool(trainer.testing or trainer.predicting)

    def _attach(self, trainer: pl.Trainer, stream: Stream) -> None:
        if self.labels is not None:
            raise InputError("`labels` must be left out where the datamodule has its own, got both.")
        check_stream_trainer(trainer)
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            stream.clock.warmup = 0  # its one epoch is to show a step
        if stream is not self._stream:  # otherwise the walk continues, such as `fit` after `validate`
            self._stream, self._n_steps = stream, 0
            self._reset_scores()

    def _reset_scores(self) -> None:
        self.buffer = Pending()
        if self._stream is not None:
            self.board = Scoreboard(self._stream.labels, self._stream.baselines)
        elif self.labels is not None:
            self.board = Scoreboard(self.labels, self.baselines or {})

    def _complete_step(self, trainer: pl.Trainer) -> None:
        """Judge, call the hooks of other callbacks, and update the monitors."""
        with delay_interrupts():
            step = self.judge(is_partial=bool(trainer.fast_dev_run))  # type: ignore[attr-defined]
            if self.on_verdicts is not None and len(step.verdicts):
                self.on_verdicts(step.verdicts)
            call_hooks(trainer, "on_walk_step", step)
            if step.change is not None:
                call_hooks(trainer, "on_change", step)
        _update_monitors(trainer, step.scalars)

    def _complete_warmup(self, trainer: pl.Trainer, stream: Stream) -> None:
        """Complete an epoch in which nothing was predicted: nothing is judged, and no step counted."""
        with delay_interrupts():
            stream.close_step()
            stream.replay.take_metrics()  # the charts of the first step show that step's draws alone
            call_hooks(trainer, "on_warmup", stream.n_warmup - stream.clock.warmup, stream.n_warmup)
        _update_monitors(trainer, self._scalars())

    def _step(self, now: np.datetime64, predictions: Predictions, verdicts: Verdicts, is_partial: bool) -> WalkStep:
        pending, index = self.buffer.pending, self._n_steps - 1
        return WalkStep(
            index=index,
            now=now,
            predictions=predictions,
            verdicts=verdicts,
            stats=self.buffer.stats,
            series_stats=self.board.stats(pending),
            metrics=self.board.metrics(pending),
            labels=self.board.labels,
            board=self.board,
            pending=pending,
            is_partial=is_partial,
            **({"pass_": index} if self._stream is None else _update_replay(self._stream, verdicts)),
        )

    def _scalars(self) -> dict[str, float]:
        return scalars(self.board.metrics(self.buffer.pending), self.buffer.stats)


def _update_replay(stream: Stream, verdicts: Verdicts) -> dict[str, Any]:
    """Reweight the stream's replay by verdicts, look for a change, and return the stream's part of a `WalkStep`."""
    stream.replay.reweight(verdicts)
    change = stream.replay.detect(verdicts)
    is_cut = change is not None and bool(stream.replay.forgets)
    return {
        "n_steps": stream.clock.n_steps,
        "change": change,
        "is_cut": is_cut,
        "replay": stream.replay.take_metrics(),
    }


def _update_monitors(trainer: pl.Trainer, values: dict[str, float]) -> None:
    if trainer.barebones or trainer.predicting:  # where Lightning takes no metrics
        return
    # `self.log(..., logger=False)` would put them there too, at 0.3 ms each: as long as a batch takes.
    trainer.callback_metrics.update({f"trend/{name}": torch.tensor(value) for name, value in values.items()})
