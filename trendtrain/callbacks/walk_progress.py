"""The progress bar of a walk: steps, market time, accuracy so far."""

import math

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from trendtrain.market.timeframe import format_minute
from trendtrain.stream.walk_step import WalkStep


class WalkProgress(ProgressBar):
    """One line for the whole walk: steps, `now` as a date, accuracy, pending predictions, time left."""

    def __init__(self) -> None:
        super().__init__()
        self._is_enabled = True
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def enable(self) -> None:
        """Show the bar from the next fit on."""
        self._is_enabled = True

    def disable(self) -> None:
        """Do not show the bar."""
        self._is_enabled = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar."""
        if self._is_enabled and trainer.is_global_zero:
            columns = (TextColumn("walk"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
            self._progress = Progress(*columns, TimeRemainingColumn(), refresh_per_second=4)
            self._task = self._progress.add_task("first step", total=None)
            self._progress.start()

    def on_warmup(self, trainer: pl.Trainer, done: int, total: int) -> None:
        """Show the progress of the warm-up."""
        if self._progress is not None:
            self._progress.update(self._task, completed=done, total=total, description="warm-up, nothing predicted yet")

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Show the progress of the walk."""
        if self._progress is not None:
            self._progress.tasks[0].total = step.n_steps  # an update to None would leave that of the warm-up
            self._progress.update(self._task, completed=step.index + 1, description=describe(step))

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove the bar."""
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Remove the bar before the error is printed."""
        self._stop()

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def describe(step: WalkStep) -> str:
    """Return `now`, accuracy and number of pending predictions as the bar shows them."""
    accuracy = "no verdict yet" if math.isnan(step.stats.accuracy) else f"accuracy {step.stats.accuracy:.3f}"
    return f"{format_minute(step.now)}  {accuracy}  pending {step.stats.pending}"
