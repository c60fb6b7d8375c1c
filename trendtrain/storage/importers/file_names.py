"""Read symbol and timeframe from a file's name."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trendtrain.market.timeframe import parse_timeframe
from trendtrain.storage.importers.readers import extension


class NameParts(NamedTuple):
    """What a file name says: its stem, and symbol and timeframe where it ends in `_TIMEFRAME`."""

    stem: str
    symbol: str | None
    timeframe: np.timedelta64 | None


def split_name(path: Path) -> NameParts:
    """Return the parts of a name like `SYMBOL_TIMEFRAME.csv`.

    Raises:
        InputError: If the extension is unknown.

    Example:
        >>> split_name(Path("LTCUSDT-PERP_1h.parquet")).symbol
        'LTCUSDT-PERP'
    """
    stem = path.name[: -len(extension(path))]
    match = re.fullmatch(r"(.+)_([1-9]\d*[smhdw])", stem)
    return NameParts(stem, match[1], parse_timeframe(match[2])) if match else NameParts(stem, None, None)
