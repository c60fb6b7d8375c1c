"""Write the `trend/*` and `replay/*` scalars to TensorBoard on market time."""

import math

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger

from trendtrain.callbacks.walk_step import WalkStep


class TrendCharts(pl.Callback):
    """Add one point a walk step to every `trend/` and `replay/` chart; its wall time is the bars' time.

    Numbers that do not exist yet (an accuracy before the first verdict) draw no point.
    """

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Write the step's scalars."""
        scalars = {f"trend/{name}": value for name, value in step.scalars.items()}
        for (symbol, timeframe), stats in step.series_stats.items():
            scalars[f"trend/{symbol}/{timeframe}/accuracy"] = stats.accuracy
        scalars |= {f"replay/{name}": value for name, value in step.replay.items()}
        seconds = float(step.now.astype("datetime64[ms]").astype(np.int64)) / 1000.0
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                for name, value in scalars.items():
                    if not math.isnan(value):
                        logger.experiment.add_scalar(name, value, step.index, walltime=seconds)
