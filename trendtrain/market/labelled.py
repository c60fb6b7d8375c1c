"""A series with its pivots and labels, and the rules that gave them."""

from dataclasses import dataclass

from trendtrain.market.bars import Bars, Series
from trendtrain.market.labels import Labels, label_bars
from trendtrain.market.pivots import Pivots, find_pivots
from trendtrain.market.rules import PivotRules


@dataclass(frozen=True)
class Labelled:
    """A series, labelled.

    Attributes:
        series: Symbol and timeframe.
        bars: Its bars.
        labels: Their labels.
        highs, lows: The pivots of all levels.
        rules: What gave them.
    """

    series: Series
    bars: Bars
    labels: Labels
    highs: Pivots
    lows: Pivots
    rules: PivotRules


def label_series(series: Series, bars: Bars, rules: PivotRules) -> Labelled:
    """Label the bars of a series.

    Raises:
        InputError: If an option breaks its rule.
    """
    highs, lows = find_pivots(bars, rules)
    return Labelled(series, bars, label_bars(bars, rules), highs, lows, rules)
