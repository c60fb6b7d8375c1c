"""Nets (B, T, F) -> (B, C), and the LightningModule that trains them."""

from trendtrain.models.cnn import CnnNet
from trendtrain.models.module import TrendModule

__all__ = ["CnnNet", "TrendModule"]
