"""Write labels to a file, one row a bar."""

from pathlib import Path

import numpy as np
import pandas as pd

from trendtrain.market.bars import Bars, IntArray
from trendtrain.market.labels import Labels
from trendtrain.market.lines import KIND_NAMES
from trendtrain.storage.table_files import write_table


def write_labels(bars: Bars, labels: Labels, path: Path) -> None:
    """Write the labels of a series as Parquet or CSV, by the file's ending; whole or not at all.

    Raises:
        InputError: If the ending is another, or the file cannot be written.
    """
    write_table(label_table(bars, labels), path)


def label_table(bars: Bars, labels: Labels) -> pd.DataFrame:
    """Return one row a bar: its direction, when that is known, and the line that says so.

    Returns:
        Columns `open_time` (UTC), `direction` (-1, 0, 1, 2), `known_at` (UTC close time, null if unknown), `kind`
        (`L2H`, `L2L`), `first_bar`, `last_bar`, `first_price`, `last_price`, `slope` (price a bar); null where
        no line is known.
    """
    lines, event = labels.lines, labels.event
    has_line = event >= 0
    known_at = np.where(has_line, labels.close_time[labels.known_at], np.datetime64("NaT", "ms"))
    columns = {
        "open_time": pd.DatetimeIndex(bars.open_time, tz="UTC"),
        "direction": labels.direction,
        "known_at": pd.DatetimeIndex(known_at, tz="UTC"),
        "kind": np.array([*KIND_NAMES, None], dtype=object)[np.append(lines.kind, -1)[event]],
        "first_bar": _nullable(lines.first_bar, event),
        "last_bar": _nullable(lines.last_bar, event),
        "first_price": np.append(lines.first_price, np.nan)[event],
        "last_price": np.append(lines.last_price, np.nan)[event],
        "slope": np.append(lines.slope, np.nan)[event],
    }
    return pd.DataFrame(columns)


def _nullable(values: IntArray, event: IntArray) -> pd.arrays.IntegerArray:
    return pd.arrays.IntegerArray(np.append(values, 0)[event].astype(np.int64), event < 0)
