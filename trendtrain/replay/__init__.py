"""Which known bars to learn from next, and the correction for having chosen them."""

from trendtrain.replay.memory import Drawn, ReplayMemory
from trendtrain.replay.sampler import Detector, Draw, ReplaySampler
from trendtrain.replay.weights import weigh, weigh_by_gradient

__all__ = ["Detector", "Draw", "Drawn", "ReplayMemory", "ReplaySampler", "weigh", "weigh_by_gradient"]
