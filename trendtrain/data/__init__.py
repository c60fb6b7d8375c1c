"""Bars to batches; one clock for replay and stream."""

from trendtrain.data.datamodule import PivotDataModule
from trendtrain.data.windows import WindowDataset
from trendtrain.stream.walk import Walk

__all__ = ["PivotDataModule", "Walk", "WindowDataset"]
