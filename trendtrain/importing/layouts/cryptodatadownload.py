"""CryptoDataDownload CSV: a web address above the header, newest first, a 12-hour clock, volume in coins and money."""

import re
from typing import Final

import numpy as np
import pandas as pd

from trendtrain.importing.columns import find_columns, only_symbol, read_numbers
from trendtrain.importing.raw_bars import RawBars, ReadOptions
from trendtrain.importing.source import Source, plain_name
from trendtrain.importing.times import read_times
from trendtrain.importing.zones import Zone
from trendtrain.market.bars import PRICES, BarsError

NAME: Final = "cryptodatadownload"
_TWELVE: Final = r"^(\d{4}-\d\d-\d\d) (0?[1-9]|1[0-2])-([AP]M)$"
_VOLUME: Final = re.compile(r"volume[_ ]?\w*")


def matches(source: Source) -> bool:
    """Say whether the banner names the site, or there are two volumes beside `date` and `symbol`."""
    n_volumes = sum(bool(_VOLUME.fullmatch(name)) for name in source.names)
    is_alike = {"date", "symbol", *PRICES} <= source.names and n_volumes == 2
    return "cryptodatadownload" in source.banner.lower() or is_alike


def read(source: Source, options: ReadOptions) -> RawBars:
    """Return the bars; the first volume, which counts coins, is the volume.

    Raises:
        BarsError: If a needed column is missing, or a value is no number or no time.
    """
    columns = find_columns(source)
    dates = columns.get("time")
    named = {plain_name(name): source.table[name] for name in source.table.columns}
    dates = named.get("date", dates)
    if dates is None:
        raise BarsError(f"columns must include date, found {source.shown_names()}.")
    why = "as the site says" if source.banner else "as none is written"
    times = read_times(_on_24_hours(dates), Zone(options.timezone, why=why))
    volumes = [column for name, column in named.items() if _VOLUME.fullmatch(name)]
    volume = read_numbers(volumes[0], True) if volumes else np.full(len(times.utc), np.nan)
    symbol = only_symbol(columns["symbol"]) if "symbol" in columns else None
    first, high, low, last = (read_numbers(columns[price]) for price in PRICES)
    rule = f"column {volumes[0].name}" if len(volumes) > 1 else ""
    return RawBars(times.utc, first, high, low, last, volume, times.rule, symbol=symbol, volume_rule=rule)


def _on_24_hours(dates: pd.Series) -> pd.Series:
    """Return dates like `2019-10-17 12-AM` as `2019-10-17 00:00`; others as they are."""
    text = dates.map(str).str.strip()
    parts = text.str.extract(_TWELVE)
    if parts[0].isna().all():
        return dates
    hour = parts[1].astype(float) % 12 + 12 * (parts[2] == "PM")
    clock = parts[0] + " " + hour.map("{:02.0f}:00".format)
    return pd.Series(clock.where(parts[0].notna(), text), name=dates.name)
