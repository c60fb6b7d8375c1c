"""Judge a model's stored predictions when their labels become known, inside any Lightning Trainer."""

from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as pl
import torch

from trendtrain.callbacks.listeners import ChangeListener, StepListener, Stream, WarmupListener
from trendtrain.callbacks.outputs import PassOutputs, row_of, scores_of
from trendtrain.callbacks.refusals import (
    check_classes,
    check_complete,
    check_once,
    check_rows,
    refuse_cuts,
    refuse_impatience,
    refuse_many_devices,
)
from trendtrain.callbacks.signals import interrupts_held
from trendtrain.data.arrays import to_arrays, to_tensors
from trendtrain.errors import InputError
from trendtrain.market.bars import IntArray
from trendtrain.market.labels import Labels
from trendtrain.replay.sampler import ReplaySampler
from trendtrain.stream.walk_step import WalkStep, scalars
from trendtrain.validation.pending import Pending
from trendtrain.validation.predictions import Verdicts
from trendtrain.validation.scoreboard import Scoreboard


class TrendValidation(pl.Callback):
    """Store what a validation, test or predict loop predicts, judge it when its label is known, keep the statistics.

    With a `PivotDataModule` it needs no argument: predictions of the stream accumulate, verdicts reweight the replay,
    as do the logits that a training step returns beside its loss, and training ends with the stream. With other loaders
    give `labels`; each pass over them is then judged on its own, with `now` the close of the last bar predicted in it.

    Args:
        labels: What judges; None takes the datamodule's.
        baselines: What each baseline answers at each row, to be judged beside the model.
        key: Gives the bar positions of a batch, `batch -> (B,)`; None leaves the batch out. By default a dict's `row`,
            the last item of a tuple, or the batch itself.
        direction: Gives logits, probabilities (B, C) or class codes (B,) from what the step returned; by default a
            dict's `logits`, `probabilities` or `direction`, or the tensor itself.
        replay: With `labels`: what draws bars for training, to be reweighted by each pass.
        on_verdicts: Called with the verdicts of each pass or step, if there are any.

    Raises:
        InputError: In `setup`, if labels are missing, a cut of the stream is asked for, or devices are many.
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
        self._stream: Stream | None = None
        self._outputs = PassOutputs()
        self._answers = PassOutputs()
        self._n_steps = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find labels and clock, and refuse what would cut the stream."""
        refuse_many_devices(trainer)
        refuse_impatience(trainer)
        datamodule = getattr(trainer, "datamodule", None)
        if self.labels is not None and isinstance(datamodule, Stream):
            raise InputError("`labels` must be left out where the datamodule has its own, got both.")
        if self.labels is None:
            if not isinstance(datamodule, Stream):
                if self._stream is not None and stage in ("test", "predict"):  # after the walk, on other loaders
                    return
                raise InputError("`labels` must be given where the datamodule has none: label_bars(bars) makes them.")
            refuse_cuts(trainer)
            if trainer.fast_dev_run:  # type: ignore[attr-defined]
                datamodule.clock.warmup = 0  # its one epoch is to show a step
            if datamodule is self._stream:  # say `validate`, then `fit`: the walk goes on
                return
            self._stream, self._n_steps = datamodule, 0
        self._start_counts()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Train no more where a resumed walk has ended already."""
        if self._is_over:
            trainer.should_stop = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep what the model says of the rows it has just learned from, if the module returned it."""
        if self._stream is not None and isinstance(outputs, dict) and "logits" in outputs:
            self._answers.add(self.key(batch), outputs["logits"])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let monitors find the metrics, NaN so far, where validation comes after the first epoch."""
        if "trend/accuracy" not in trainer.callback_metrics:
            _tell_monitors(trainer, self._scalars())

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start a pass; a foreign one starts its own counts, and the stream's replay hears what training brought."""
        self._outputs = PassOutputs()
        if self._stream is None:
            self._start_counts()
        elif len(self._answers):  # all batches of a step at once: each alone takes as long
            answers, self._answers = self._answers.predictions(), PassOutputs()
            self._stream.update_verdicts(answers)

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
        if self._is_aside(trainer):
            return
        rows = self.key(batch)
        if rows is not None:
            self._outputs.add(rows, self.direction(outputs))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Judge what can be judged now, tell the listeners, log."""
        is_empty = self._stream is None and not len(self._outputs)
        if trainer.sanity_checking or self._is_over or self._is_aside(trainer) or is_empty:
            return
        if self._stream is not None and self._stream.clock.warmup:
            self._warm_up(trainer, self._stream)
            return
        with interrupts_held():
            step = self.judge(is_partial=bool(trainer.fast_dev_run))  # type: ignore[attr-defined]
            self._tell(trainer, step)
        _tell_monitors(trainer, step.scalars)
        if self._is_over:
            trainer.should_stop = True

    on_test_epoch_start = on_predict_epoch_start = on_validation_epoch_start
    on_test_batch_end = on_predict_batch_end = on_validation_batch_end
    on_test_epoch_end = on_predict_epoch_end = on_validation_epoch_end

    def judge(self, is_partial: bool = False) -> WalkStep:
        """Store the step's predictions, move the clock on, and judge what is known by then."""
        predictions, self._outputs = self._outputs.predictions(), PassOutputs()
        labels = self.board.labels
        check_rows(predictions.row, len(labels))
        if self._stream is None:
            check_once(predictions.row)
        elif len(predictions):
            check_classes(predictions.probability.shape[1], self._stream.n_classes)
        if self._stream is not None and not is_partial:
            check_complete(predictions, self._stream.clock.rows)
        now = labels.close_time[predictions.row].max() if self._stream is None else self._stream.close_step()
        self.buffer.add(predictions)
        verdicts = self.buffer.judge(labels, now)
        self.board.update(verdicts)
        self._n_steps += 1
        if self.replay is not None:
            self.replay.reweight(verdicts)
        return WalkStep(
            index=self._n_steps - 1,
            now=now,
            predictions=predictions,
            verdicts=verdicts,
            stats=self.buffer.stats,
            series_stats=self.board.stats(self.buffer.pending),
            metrics=self.board.metrics(self.buffer.pending),
            labels=labels,
            board=self.board,
            pending=self.buffer.pending,
            is_partial=is_partial,
            **({"pass_": self._n_steps - 1} if self._stream is None else _learned(self._stream, verdicts)),
        )

    def summary(self) -> dict[str, Any]:
        """Return the statistics and scores so far, of all series and of each, as `summary.json` holds them."""
        by_series: dict[str, dict[str, Any]] = {}
        for i, (series, stats) in enumerate(self.board.stats(self.buffer.pending).items()):
            scores = {"stats": stats.as_dict(), **self.board.scores(i, self.buffer.pending)}
            by_series.setdefault(series.symbol, {})[series.timeframe] = scores
        scores = {"stats": self.buffer.stats.as_dict(), **self.board.scores(pending=self.buffer.pending)}
        return {**scores, "series": by_series, "breakdown": self.board.breakdown()}

    def state_dict(self) -> dict[str, Any]:
        """Return the waiting predictions and all that was gathered."""
        if not hasattr(self, "board"):  # a Trainer may save on an exception in `setup`
            return {}
        return {
            "buffer": self.buffer.state_dict(),
            "board": to_tensors(self.board.state_dict()),
            "n_steps": self._n_steps,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where the callback that gave the state stood."""
        if not state_dict:
            return
        self.buffer.load_state_dict(state_dict["buffer"])
        self.board.load_state_dict(to_arrays(state_dict["board"]))
        self._n_steps = state_dict["n_steps"]

    @property
    def _is_over(self) -> bool:
        """Whether the stream has ended; loaders that are not ours never do."""
        return self._stream is not None and bool(self._stream.clock.is_done)

    def _is_aside(self, trainer: pl.Trainer) -> bool:
        """Whether the loop under way is none of the stream's."""
        return self._stream is not None and bool(trainer.testing or trainer.predicting)

    def _warm_up(self, trainer: pl.Trainer, stream: Stream) -> None:
        """Complete an epoch in which nothing was predicted: nothing is judged, and no step counted."""
        with interrupts_held():
            stream.close_step()
            stream.replay.take_metrics()  # the charts of the first step tell of that step's draws
            for listener in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(listener, WarmupListener):
                    listener.on_warmup(trainer, stream.n_warmup - stream.clock.warmup, stream.n_warmup)
        _tell_monitors(trainer, self._scalars())

    def _tell(self, trainer: pl.Trainer, step: WalkStep) -> None:
        if self.on_verdicts is not None and len(step.verdicts):
            self.on_verdicts(step.verdicts)
        for listener in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(listener, StepListener):
                listener.on_walk_step(trainer, step)
        for listener in trainer.callbacks if step.change is not None else ():  # type: ignore[attr-defined]
            if isinstance(listener, ChangeListener):
                listener.on_change(trainer, step)

    def _scalars(self) -> dict[str, float]:
        return scalars(self.board.metrics(self.buffer.pending), self.buffer.stats)

    def _start_counts(self) -> None:
        self.buffer = Pending()
        if self._stream is not None:
            self.board = Scoreboard(self._stream.labels, self._stream.baselines)
        elif self.labels is not None:
            self.board = Scoreboard(self.labels, self.baselines or {})


def _tell_monitors(trainer: pl.Trainer, values: dict[str, float]) -> None:
    if trainer.barebones or trainer.predicting:  # where Lightning takes no metrics
        return
    # Where `self.log(..., logger=False)` would bring them in the end, for 0.3 ms each: as long as a batch takes.
    trainer.callback_metrics.update({f"trend/{name}": torch.tensor(value) for name, value in values.items()})


def _learned(stream: Stream, verdicts: Verdicts) -> dict[str, Any]:
    """Let verdicts act on the replay, and return what a step tells of the stream."""
    stream.replay.reweight(verdicts)
    change = stream.replay.detect(verdicts)
    is_cut = change is not None and bool(stream.replay.forgets)
    told = {"change": change, "is_cut": is_cut, "replay": stream.replay.take_metrics()}
    return {"n_steps": stream.clock.n_steps, **told}
