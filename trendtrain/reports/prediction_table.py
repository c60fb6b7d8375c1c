"""Tables of a model's predictions: one row a bar for a file, one row a series for the terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Group, RenderableType
from rich.text import Text

from trendtrain.data.predict import Predicted
from trendtrain.market.bars import Bars, BoolArray, Series
from trendtrain.market.directions import CLASS_WORDS, DIRECTION_WORDS
from trendtrain.market.timeframe import format_minute
from trendtrain.reports.terminal import Records, number


def prediction_table(bars: Bars, predicted: Predicted, in_sample: BoolArray) -> pd.DataFrame:
    """Return one row a bar: the prediction at its close.

    Returns:
        Columns `open_time` and `made_at` (the close), UTC; `direction` (1 up, 0 down, 2 flat, -1 after too few bars);
        `confidence`; `p_down`, `p_up` and, of three classes, `p_flat`; null where the direction is -1; `in_sample`,
        whether the run may have trained on the bar.
    """
    times = {
        "open_time": pd.DatetimeIndex(bars.open_time, tz="UTC"),
        "made_at": pd.DatetimeIndex(bars.close_time, tz="UTC"),
    }
    chances = {f"p_{name}": chance for name, chance in zip(CLASS_WORDS, predicted.probability.T, strict=False)}
    said = {"direction": predicted.direction, "confidence": predicted.confidence, **chances}
    return pd.DataFrame({**times, **said, "in_sample": in_sample})


def newest_values(
    everything: Sequence[tuple[Series, Bars, Predicted]], written: Sequence[Path]
) -> list[dict[str, Any]]:
    """Return the newest prediction of each series in plain values, and the file written; a confidence may be NaN."""
    return [
        {
            **series._asdict(),
            "bars": len(bars),
            "predicted": int((predicted.direction >= 0).sum()),
            "made_at": str(bars.close_time[-1].astype("datetime64[ms]")),
            "direction": DIRECTION_WORDS[int(predicted.direction[-1])],
            "confidence": float(predicted.confidence[-1]),
            "written": str(path),
        }
        for (series, bars, predicted), path in zip(everything, written, strict=True)
    ]


def newest_table(newest: Sequence[dict[str, Any]]) -> RenderableType:
    """Return `newest_values` as a table, and the files written."""
    rows = [
        [
            f"{one['symbol']} {one['timeframe']}",
            *(number(one[name]) for name in ("bars", "predicted")),
            format_minute(np.datetime64(one["made_at"])),
            one["direction"],
            number(one["confidence"]),
        ]
        for one in newest
    ]
    names = ("series", "bars", "predicted", "newest close", "direction", "confidence")
    return Group(Records(names, rows), Text("\n".join(f"written: {one['written']}" for one in newest), overflow="fold"))
