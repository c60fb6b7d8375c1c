"""Nets (B, T, F) -> (B, C), in a module each, and the LightningModules that train them, in `module` and `dqn`."""

from trendtrain.models.checkpoint_weights import load_weights
from trendtrain.models.cnn import CnnNet
from trendtrain.models.dqn import DuelingQNet, QModule
from trendtrain.models.mlp import MlpNet
from trendtrain.models.module import NetModule, TrendModule
from trendtrain.models.per_timeframe import PerTimeframe
from trendtrain.models.transformer import TransformerNet
from trendtrain.models.two_heads import TwoHeads

__all__ = [
    "CnnNet",
    "DuelingQNet",
    "MlpNet",
    "NetModule",
    "PerTimeframe",
    "QModule",
    "TransformerNet",
    "TrendModule",
    "TwoHeads",
    "load_weights",
]
