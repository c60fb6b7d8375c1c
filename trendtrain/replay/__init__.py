"""Which known bars to learn from next, and the correction for having chosen them."""

from trendtrain.replay.memory import ReplayMemory
from trendtrain.replay.sampler import Draw, ReplaySampler
from trendtrain.replay.weights import weigh

__all__ = ["Draw", "ReplayMemory", "ReplaySampler", "weigh"]
