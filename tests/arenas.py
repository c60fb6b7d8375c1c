"""Arenas of whole series."""

from trendtrain.data.arena import Arena
from trendtrain.features.segmented import Features
from trendtrain.market import Bars
from trendtrain.stream.inputs import InputTracker


def arena_of(
    *series: Bars, window: int, features: Features, side: Features | None = None, max_gap: int | None = None
) -> Arena:
    """Return an arena with the inputs of all bars; the first series has number 0."""
    arena = Arena(window)
    for number, bars in enumerate(series):
        arena.append(number, InputTracker(features, side, max_gap).update(bars))
    return arena
