"""Tables of a model's predictions: one row a bar for a file, one row a series for the terminal."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from trendtrain.data.predict import Predicted
from trendtrain.market.bars import Bars, Series
from trendtrain.market.directions import CLASS_WORDS, DIRECTION_WORDS
from trendtrain.market.timeframe import format_minute
from trendtrain.reports.terminal import number


def prediction_table(bars: Bars, predicted: Predicted) -> pd.DataFrame:
    """Return one row a bar: the prediction at its close.

    Returns:
        Columns `open_time` and `made_at` (the close), UTC; `direction` (1 up, 0 down, 2 flat, -1 after too few bars);
        `confidence`; `p_down`, `p_up` and, of three classes, `p_flat`; null where the direction is -1.
    """
    times = {
        "open_time": pd.DatetimeIndex(bars.open_time, tz="UTC"),
        "made_at": pd.DatetimeIndex(bars.close_time, tz="UTC"),
    }
    chances = {f"p_{name}": chance for name, chance in zip(CLASS_WORDS, predicted.probability.T, strict=False)}
    return pd.DataFrame({**times, "direction": predicted.direction, "confidence": predicted.confidence, **chances})


def newest_table(everything: Sequence[tuple[Series, Bars, Predicted]], written: Sequence[Path]) -> RenderableType:
    """Return the newest prediction of each series, and the files written."""
    table = Table("series", "bars", "predicted", "newest close", "direction", "confidence", box=SIMPLE, pad_edge=False)
    for series, bars, predicted in everything:
        close = format_minute(bars.close_time[-1])
        n_predicted = int((predicted.direction >= 0).sum())
        newest = (DIRECTION_WORDS[int(predicted.direction[-1])], number(float(predicted.confidence[-1])))
        table.add_row(escape(" ".join(series)), number(len(bars)), number(n_predicted), close, *newest)
    paths = "\n".join(f"written: {path}" for path in written)
    return Group(table, Text(paths, no_wrap=True, overflow="ignore"))
