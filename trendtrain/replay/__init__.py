"""Which known bars to learn from next, and the correction for having chosen them."""

from trendtrain.replay.memory import Drawn, Lessons, ReplayMemory
from trendtrain.replay.sampler import Detector, Draw, ReplaySampler, make_sampler
from trendtrain.replay.weights import weigh, weigh_by_gradient

__all__ = [
    "Detector",
    "Draw",
    "Drawn",
    "Lessons",
    "ReplayMemory",
    "ReplaySampler",
    "make_sampler",
    "weigh",
    "weigh_by_gradient",
]
