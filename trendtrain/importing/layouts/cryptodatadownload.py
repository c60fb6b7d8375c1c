"""CryptoDataDownload CSV: a web address above the header, newest first, a 12-hour clock, volume in coins and money."""

import re
from typing import Final

import pandas as pd

from trendtrain.importing.raw_bars import RawBars, ReadOptions, read_raw_bars
from trendtrain.importing.table import Table, plain_name, read_symbol
from trendtrain.importing.times import Zone, read_times
from trendtrain.market.bars import PRICES

_TWELVE: Final = r"^(\d{4}-\d\d-\d\d) (0?[1-9]|1[0-2])-([AP]M)$"
_VOLUME: Final = re.compile(r"volume[_ ]?\w*")


def matches(table: Table) -> bool:
    """Return whether the banner names the site, or there are two volumes beside `date` and `symbol`."""
    n_volumes = sum(bool(_VOLUME.fullmatch(name)) for name in table.names)
    is_alike = {"date", "symbol", *PRICES} <= table.names and n_volumes == 2
    return "cryptodatadownload" in table.banner.lower() or is_alike


def read(table: Table, options: ReadOptions) -> RawBars:
    """Return the bars; the first volume, which counts coins, is the volume."""
    columns = table.bar_columns()
    dates = table.column("date")
    why = "as the site says" if table.banner else "as none is written"
    times = read_times(_on_24_hours(columns["time"] if dates is None else dates), Zone(options.timezone, why=why))
    volumes = [name for name in table.rows.columns if _VOLUME.fullmatch(plain_name(name))]
    volume = table.column(plain_name(volumes[0])) if volumes else None
    columns |= {} if volume is None else {"volume": volume}
    rule = f"column {volumes[0]}" if len(volumes) > 1 else ""
    return read_raw_bars(times, columns, symbol=read_symbol(columns.get("symbol")), volume_rule=rule)


def _on_24_hours(dates: pd.Series) -> pd.Series:
    """Return dates like `2019-10-17 12-AM` as `2019-10-17 00:00`; others as they are."""
    text = dates.map(str).str.strip()
    parts = text.str.extract(_TWELVE)
    if parts[0].isna().all():
        return dates
    hour = parts[1].astype(float) % 12 + 12 * (parts[2] == "PM")
    clock = parts[0] + " " + hour.map("{:02.0f}:00".format)
    return pd.Series(clock.where(parts[0].notna(), text), name=dates.name)
