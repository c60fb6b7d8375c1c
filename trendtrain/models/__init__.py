"""Nets (B, T, F) -> (B, C), and the LightningModules that train them."""

from trendtrain.models.base import NetModule
from trendtrain.models.cnn import CnnNet
from trendtrain.models.dqn import DuelingQNet, QModule
from trendtrain.models.mlp import MlpNet
from trendtrain.models.module import TrendModule
from trendtrain.models.per_timeframe import PerTimeframe
from trendtrain.models.transformer import TransformerNet
from trendtrain.models.weights import load_weights

__all__ = [
    "CnnNet",
    "DuelingQNet",
    "MlpNet",
    "NetModule",
    "PerTimeframe",
    "QModule",
    "TransformerNet",
    "TrendModule",
    "load_weights",
]
