"""Keep a model's predictions and judge each when its label becomes known, inside any Lightning Trainer."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

import lightning.pytorch as pl
import numpy as np
import torch

from trendtrain.callbacks.checks import check_stream_trainer, check_trainer, missed_validation
from trendtrain.callbacks.interrupts import delay_interrupts
from trendtrain.callbacks.listeners import HasStream, HasTemperature, call_hooks, commit
from trendtrain.callbacks.model_outputs import NotFiniteError, OutputBuffer, row_of, scores_of
from trendtrain.data.arrays import to_arrays, to_tensors
from trendtrain.errors import InputError
from trendtrain.market.bars import IntArray
from trendtrain.market.labels import Labels
from trendtrain.replay.sampler import ReplaySampler
from trendtrain.stream.pass_judge import PassJudge
from trendtrain.stream.stream import Stream
from trendtrain.stream.walk_step import WalkStep, scalars
from trendtrain.validation.judge import Judge
from trendtrain.validation.pending import Pending
from trendtrain.validation.predictions import Verdicts
from trendtrain.validation.scoreboard import Scoreboard

P = ParamSpec("P")
R = TypeVar("R")


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
        replay: With `labels`: the sampler of bars for training, to be reweighted by each pass, and by the logits that a
            training step returns beside its loss.
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
        self._judge: PassJudge | None = None  # of loaders of the user's own
        self._walked: HasStream | None = None  # the datamodule whose stream is walked
        self._predicted = OutputBuffer()  # of the pass under way
        self._trained = OutputBuffer()  # since the last pass
        self._n_closed: int | None = None  # when the epoch began

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find the labels, and raise if the trainer would cut the stream."""
        check_trainer(trainer)
        datamodule = getattr(trainer, "datamodule", None)
        if isinstance(datamodule, HasStream):
            self._attach(trainer, datamodule)
        elif self.labels is not None:
            if self._judge is not None and self._judge.labels is self.labels:
                self._judge.start()
            else:
                self._judge = PassJudge(self.labels, self.baselines, self.replay)
        elif self._stream is None or stage not in ("test", "predict"):  # after a walk, other loaders pass unjudged
            raise InputError("`labels` must be given where the datamodule has none: label_bars(bars) makes them.")

    @property
    def buffer(self) -> Pending:
        """The pending predictions, and the counts so far."""
        return self._core.buffer

    @property
    def board(self) -> Scoreboard:
        """The scores so far."""
        return self._core.board

    @property
    def _core(self) -> Judge:
        judge = self._stream or self._judge
        assert judge is not None  # since `setup`
        return judge.core

    @property
    def _stream(self) -> Stream | None:
        return None if self._walked is None else self._walked.stream

    @property
    def _sampler(self) -> ReplaySampler | None:
        return self.replay if self._stream is None else self._stream.replay

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop at once if a resumed walk has already ended."""
        if self._is_over:
            if trainer.ckpt_path is None:
                raise InputError("`datamodule` must be a new one for a new walk, got one whose stream has ended.")
            trainer.should_stop = True

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note where the stream is."""
        self._n_closed = None if self._stream is None else self._stream.n_closed

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the logits of the rows just trained on, if the module returned them."""
        if self._sampler is not None and isinstance(outputs, dict) and "logits" in outputs:
            self._naming_the_step(self._trained.add, self.key(batch), outputs["logits"])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raise if the epoch closed no step; give monitors the metrics where validation comes after the first epoch."""
        if self._stream is not None and self._stream.n_closed == self._n_closed and not trainer.should_stop:
            raise missed_validation(trainer)
        if "trend/accuracy" not in trainer.callback_metrics:
            _update_monitors(trainer, self._scalars())

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start a pass; reweight the replay by the logits of training, all batches of a step at once."""
        self._predicted = OutputBuffer()
        if self._judge is not None:
            self._judge.start()
        if self._sampler is not None and len(self._trained):
            trained, self._trained = self._naming_the_step(self._trained.predictions), OutputBuffer()
            self._sampler.refresh(trained.row, trained.probability)

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
            self._naming_the_step(self._predicted.add, rows, self.direction(outputs))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Complete the step, or an epoch of the warm-up."""
        is_empty = self._stream is None and not len(self._predicted)
        if trainer.sanity_checking or self._is_other_loop(trainer) or is_empty:
            return
        if self._is_over:  # a live feed may learn only in this epoch that nothing is left
            trainer.should_stop = True
            return
        if self._walked is not None and self._walked.stream.warmup:
            self._complete_warmup(trainer, self._walked)
        else:
            self._complete_step(trainer)
        if self._is_over:
            trainer.should_stop = True

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raise if there was no epoch at all."""
        if self._stream is not None and trainer.num_training_batches == 0:
            raise missed_validation(trainer)

    on_test_epoch_start = on_predict_epoch_start = on_validation_epoch_start
    on_test_batch_end = on_predict_batch_end = on_validation_batch_end
    on_test_epoch_end = on_predict_epoch_end = on_validation_epoch_end

    def summary(self) -> dict[str, Any]:
        """Return the statistics and scores so far, of all series and of each, as `summary.json` holds them."""
        return self._core.summary()

    def state_dict(self) -> dict[str, Any]:
        """Return the scores of passes; those of a stream are the datamodule's."""
        return {} if self._judge is None else to_tensors(self._judge.state_dict())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`."""
        if state_dict and self._judge is not None:
            self._judge.load_state_dict(to_arrays(state_dict))

    def _naming_the_step(self, function: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
        """Call a function, and add the step and what to change to its error about a model that diverged."""
        try:
            return function(*args, **options)
        except NotFiniteError as error:
            walked = self._stream or self._judge
            assert walked is not None
            step = "in the warm-up" if self._stream is not None and self._stream.warmup else f"at step {walked.step}"
            raise InputError(f"{str(error).removesuffix('.')} {step}; try a lower `model.lr`.") from error

    @property
    def _is_over(self) -> bool:
        """Whether the stream has ended; loaders of the user's own never do."""
        return self._stream is not None and self._stream.is_done

    def _is_other_loop(self, trainer: pl.Trainer) -> bool:
        """Return whether the loop under way, a test or a prediction, is not the stream's."""
        return self._stream is not None and bool(trainer.testing or trainer.predicting)

    def _attach(self, trainer: pl.Trainer, datamodule: HasStream) -> None:
        if self.labels is not None:
            raise InputError("`labels` must be left out where the datamodule has its own, got both.")
        n_steps = datamodule.stream.feed.n_steps
        check_stream_trainer(trainer, datamodule.n_warmup, n_steps)
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            datamodule.stream.warmup = 0  # its one epoch is to show a step
        self._walked, self._judge = datamodule, None

    def _complete_step(self, trainer: pl.Trainer) -> None:
        """Judge, call the hooks of other callbacks, and update the monitors."""
        with delay_interrupts():
            step = self._judge_all(trainer)
            if self.on_verdicts is not None and len(step.verdicts):
                self.on_verdicts(step.verdicts)
            call_hooks(trainer, "on_walk_step", step)
            if step.change is not None:
                call_hooks(trainer, "on_change", step)
        _update_monitors(trainer, step.scalars)

    def _judge_all(self, trainer: pl.Trainer) -> WalkStep:
        """Judge what was predicted in the pass or step that ends."""
        module, is_partial = trainer.lightning_module, bool(trainer.fast_dev_run)  # type: ignore[attr-defined]
        predictions, self._predicted = self._naming_the_step(self._predicted.predictions), OutputBuffer()
        if self._walked is None:
            assert self._judge is not None
            return self._judge.close(predictions, is_partial)
        stream = self._walked.stream
        if self._walked.fills_batches:
            predictions = predictions[np.diff(predictions.row, prepend=-1) != 0]
        if isinstance(module, HasTemperature):
            predictions = replace(predictions, temperature=np.full(len(predictions), float(module.temperature)))
        return stream.close(predictions, is_partial, lambda made: commit(trainer, stream.step, made, stream.series))

    def _complete_warmup(self, trainer: pl.Trainer, datamodule: HasStream) -> None:
        """Complete an epoch in which nothing was predicted: nothing is judged, and no step counted."""
        with delay_interrupts():
            datamodule.stream.close_warmup()
            call_hooks(trainer, "on_warmup", datamodule.n_warmup - datamodule.stream.warmup, datamodule.n_warmup)
        _update_monitors(trainer, self._scalars())

    def _scalars(self) -> dict[str, float]:
        return scalars(self.board.metrics(self.buffer.pending), self.buffer.stats)


def _update_monitors(trainer: pl.Trainer, values: dict[str, float]) -> None:
    if trainer.barebones or trainer.predicting:  # where Lightning takes no metrics
        return
    # `self.log(..., logger=False)` would put them there too, at 0.3 ms each: as long as a batch takes.
    trainer.callback_metrics.update({f"trend/{name}": torch.tensor(value) for name, value in values.items()})
