"""The walk through time: which bars come next, and what a step of it brings."""

from trendtrain.stream.clock import StreamClock
from trendtrain.stream.pass_judge import PassJudge
from trendtrain.stream.walk import Walk
from trendtrain.stream.walk_step import WalkStep

__all__ = ["PassJudge", "StreamClock", "Walk", "WalkStep"]
