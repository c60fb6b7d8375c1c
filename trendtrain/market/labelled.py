"""A series with its pivots and labels, and the rules that gave them."""

from dataclasses import asdict, dataclass

from trendtrain.market.bars import Bars, Series
from trendtrain.market.labels import Labels, label_bars
from trendtrain.market.peaks import Tie
from trendtrain.market.pivots import Inside, Pivots, find_pivots


@dataclass(frozen=True)
class LabelRules:
    """The options of `label_bars`; it checks them."""

    strength: tuple[int, ...] = (1, 1)
    tie: Tie = "plateau"
    inside: Inside = "keep"
    max_gap: int | None = None
    flat_band: float = 0.0

    def __str__(self) -> str:
        """Return the rules as they are written on the command line.

        Example:
            >>> str(LabelRules(max_gap=3))
            'strength 1 1, tie plateau, inside keep, max-gap 3, flat-band 0'
        """
        strength = " ".join(map(str, self.strength))
        gap = "none" if self.max_gap is None else self.max_gap
        return f"strength {strength}, tie {self.tie}, inside {self.inside}, max-gap {gap}, flat-band {self.flat_band:g}"


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
    rules: LabelRules


def label_series(series: Series, bars: Bars, rules: LabelRules) -> Labelled:
    """Label the bars of a series.

    Raises:
        InputError: If an option breaks its rule.
    """
    labels = label_bars(bars, **asdict(rules))
    highs, lows = find_pivots(bars, rules.strength, rules.tie, rules.inside, rules.max_gap)
    return Labelled(series, bars, labels, highs, lows, rules)
