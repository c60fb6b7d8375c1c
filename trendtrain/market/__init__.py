"""What the market did, and when it could be known: bars, pivots, lines, labels; pure numpy."""

from trendtrain.market.bars import Bars, BarsError, Series
from trendtrain.market.labels import KnownLabels, Labels, LabelTracker, label_bars
from trendtrain.market.lines import LabelRuns, Lines, lines_through
from trendtrain.market.pivot_feed import PivotEvent, PivotFeed
from trendtrain.market.pivots import Pivots, PivotTracker, find_pivots
from trendtrain.market.rules import PivotRules
from trendtrain.market.synthetic import (
    bayes_filter,
    flipping_market,
    foretold_market,
    planted_market,
    random_signs,
    random_walk,
    synthetic_market,
)

__all__ = [
    "Bars",
    "BarsError",
    "KnownLabels",
    "LabelRuns",
    "LabelTracker",
    "Labels",
    "Lines",
    "PivotEvent",
    "PivotFeed",
    "PivotRules",
    "PivotTracker",
    "Pivots",
    "Series",
    "bayes_filter",
    "find_pivots",
    "flipping_market",
    "foretold_market",
    "label_bars",
    "lines_through",
    "planted_market",
    "random_signs",
    "random_walk",
    "synthetic_market",
]
