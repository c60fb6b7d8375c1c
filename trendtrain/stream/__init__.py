"""Bars in the order in which they close, and what each walk step of them brings: the same for history and live."""

from trendtrain.stream.feed import FedBars, Feed, HeldBars, History, HistoryFeed
from trendtrain.stream.pass_judge import PassJudge
from trendtrain.stream.stream import Stream, StreamRows
from trendtrain.stream.tape import Tape, TapeRows
from trendtrain.stream.walk import Walk
from trendtrain.stream.walk_step import WalkStep

__all__ = [
    "FedBars",
    "Feed",
    "HeldBars",
    "History",
    "HistoryFeed",
    "PassJudge",
    "Stream",
    "StreamRows",
    "Tape",
    "TapeRows",
    "Walk",
    "WalkStep",
]
