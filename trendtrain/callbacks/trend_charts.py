"""Write a walk to every logger: points after each step, figures now and then."""

from collections.abc import Mapping
from typing import Any, Final

import lightning.pytorch as pl

from trendtrain.callbacks.interrupts import delay_interrupts
from trendtrain.charts.loggers import log_picture, log_step
from trendtrain.charts.recent_predictions import RecentPredictions
from trendtrain.charts.run_page import run_end, run_summaries
from trendtrain.charts.run_text import flatten
from trendtrain.charts.tensorboard import Intervals, event_files, points, step_scalars, without_files, write
from trendtrain.data.arrays import to_arrays, to_tensors
from trendtrain.stream.walk_step import WalkStep

_FIRST_FIGURES: Final = 256  # steps


class TrendCharts(pl.Callback):
    """Add one point a walk step to every `trend/` and `replay/` chart; its wall time is the bars' time.

    TensorBoard gets all; any other Lightning logger gets the same numbers by `log_metrics`, with the walk step and
    `market_time` (seconds), and the figures if it takes images (W&B, MLflow).

    Numbers that do not exist yet (an accuracy before the first verdict) draw no point. docs/tensorboard.md lists the
    charts. Figures need matplotlib; they are drawn at the end and after 256, 512, 1024, ... steps, because they cost
    0.4 s each time; everything else costs 0.5 ms a step.

    Args:
        config: The run's resolved configuration, for the text page and to compare runs; None leaves both out.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self.config = config
        self._intervals = Intervals()
        self._recent = RecentPredictions()
        self._last: WalkStep | None = None

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Write the step's points; with the first step, the description of the run."""
        self._last = step
        if not trainer.loggers:
            return
        files, others, n_steps = event_files(trainer.loggers), without_files(trainer.loggers), step.index + 1
        self._recent.update(step)
        if not step.index:
            write(files, step, *run_summaries(self.config or {}, list(step.metrics)))
            for logger in others:
                logger.log_hyperparams(dict(flatten(self.config or {})))
        scalars = step_scalars(step, self._intervals.update(step))
        write(files, step, points(scalars))
        log_step(others, step, scalars)
        if n_steps >= _FIRST_FIGURES and n_steps.bit_count() == 1 and n_steps != step.n_steps:
            self._draw(trainer, step)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the figures, and note that the run ended well."""
        if self._last is None or not trainer.loggers:
            return
        self._draw(trainer, self._last)
        if self.config:
            write(event_files(trainer.loggers), self._last, run_end())

    def state_dict(self) -> dict[str, Any]:
        """Return the newest intervals and predictions."""
        return {"intervals": self._intervals.state_dict(), "recent": to_tensors(self._recent.state_dict())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`."""
        self._intervals.load_state_dict(state_dict["intervals"])
        self._recent.load_state_dict(to_arrays(state_dict["recent"]))

    @delay_interrupts()  # matplotlib turns them into errors of its own
    def _draw(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Write the figures; without matplotlib, print what they need."""
        try:
            from trendtrain.charts.walk_pictures import draw_pictures
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "matplotlib":
                raise
            trainer.print("no figures in TensorBoard: they need matplotlib (pip install trendtrain[plot])")
            return
        pictures = draw_pictures(step, trainer.datamodule, self._recent)  # type: ignore[attr-defined]
        write(event_files(trainer.loggers), step, *pictures)
        for picture in pictures:
            for value in picture.value:
                log_picture(without_files(trainer.loggers), step, value.tag, value.image.encoded_image_string)
