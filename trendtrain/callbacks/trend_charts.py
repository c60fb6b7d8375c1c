"""Write to TensorBoard, on market time, what a walk is like."""

import math
from collections.abc import Mapping
from typing import Any, Final

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.text.summary_v2 import text_pb
from torch.utils.tensorboard.summary import custom_scalars, hparams
from torch.utils.tensorboard.writer import FileWriter

from trendtrain.callbacks.interrupts import delay_interrupts
from trendtrain.charts.bands import Bands
from trendtrain.charts.run_card import chart_order, compared, describe_run
from trendtrain.stream.walk_step import WalkStep

_FIRST_FIGURES: Final = 256  # steps
_FINAL: Final = ("trend/event_accuracy", "trend/over_best", "trend/nll", "trend/ece")  # what runs compare by


class TrendCharts(pl.Callback):
    """Add one point a walk step to every `trend/` and `replay/` chart; its wall time is the bars' time.

    Numbers that do not exist yet (an accuracy before the first verdict) draw no point. docs/tensorboard.md says what
    there is to see. Figures need matplotlib; they are drawn at the end and after 256, 512, 1024, ... steps, because
    they cost 0.4 s each time; all else costs 0.5 ms a step.

    Args:
        config: The run's resolved configuration, for the text page and to compare runs; None leaves both out.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self.config = config
        self._bands = Bands()
        self._last: WalkStep | None = None

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Write the step's scalars; with the first step, what the run is."""
        self._last = step
        writers = _writers(trainer)
        if not writers:
            return
        summaries = [] if step.index else self._description(step)
        for summary in [*summaries, _points(step, self._bands.update(step))]:
            _write(writers, summary, step)
        if _is_power_of_two(step.index + 1, least=_FIRST_FIGURES) and step.index + 1 != step.n_steps:
            _draw(trainer, writers, step)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the figures, and note that the run ended well."""
        writers = _writers(trainer)
        if self._last is None or not writers:
            return
        _draw(trainer, writers, self._last)
        if self.config:
            *_, end = hparams({}, {})
            _write(writers, end, self._last)

    def state_dict(self) -> dict[str, Any]:
        """Return the newest intervals."""
        return self._bands.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the newest intervals."""
        self._bands.load_state_dict(state_dict)

    def _description(self, step: WalkStep) -> list[Summary]:
        """Return the text page, the order of charts, and what the run compares by."""
        page = text_pb("about this run", describe_run(self.config or {}))
        charts = custom_scalars(chart_order(list(step.metrics)))
        experiment, start, _ = hparams(compared(self.config or {}), dict.fromkeys(_FINAL, 0.0))
        return [page, charts, experiment, start] if self.config else [page, charts]


def _is_power_of_two(n: int, least: int) -> bool:
    return n >= least and n & (n - 1) == 0


@delay_interrupts()  # matplotlib makes errors of its own of them
def _draw(trainer: pl.Trainer, writers: list[FileWriter], step: WalkStep) -> None:
    """Write the figures, or say once, at the end, what they need."""
    try:
        from trendtrain.charts.walk_figures import draw_pictures
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        trainer.print("no figures in TensorBoard: they need matplotlib (pip install trendtrain[plot])")
        return
    for picture in draw_pictures(step, trainer.datamodule):  # type: ignore[attr-defined]
        _write(writers, Summary(value=[picture]), step)


def _points(step: WalkStep, bands: dict[str, float]) -> Summary:
    """Return the step's scalars as one event: a tenth of the cost of `add_scalar` for each."""
    scalars = {f"trend/{name}": value for name, value in (step.scalars | bands).items()}
    for (symbol, timeframe), stats in step.series_stats.items():
        scalars[f"trend/{symbol}/{timeframe}/accuracy"] = stats.accuracy
    scalars |= {f"replay/{name}": value for name, value in step.replay.items()}
    there = {tag: value for tag, value in scalars.items() if not math.isnan(value)}
    return Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in there.items()])


def _writers(trainer: pl.Trainer) -> list[FileWriter]:
    """Return the event files of the trainer's TensorBoard loggers."""
    loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
    return [logger.experiment._get_file_writer() for logger in loggers]


def _write(writers: list[FileWriter], summary: Summary, step: WalkStep) -> None:
    seconds = float(step.now.astype("datetime64[ms]").astype(np.int64)) / 1000.0
    for writer in writers:
        writer.add_summary(summary, step.index, seconds)
