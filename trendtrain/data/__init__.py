"""Bars to batches; one clock for replay and stream."""

from trendtrain.data.datamodule import PivotDataModule
from trendtrain.data.walk import Walk
from trendtrain.data.windows import WindowDataset

__all__ = ["PivotDataModule", "Walk", "WindowDataset"]
