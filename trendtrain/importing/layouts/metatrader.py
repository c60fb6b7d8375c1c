"""MetaTrader 4 and 5 exports: dates with dots, in the broker's time; tick volume where there is no real one.

Most brokers set their clocks to Eastern European Time; here with the daylight saving of the European Union.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from trendtrain.importing.columns import find_column, read_numbers
from trendtrain.importing.layouts import generic
from trendtrain.importing.raw_bars import RawBars, ReadOptions
from trendtrain.importing.source import Source
from trendtrain.importing.zones import Zone
from trendtrain.market.bars import FloatArray

NAME: Final = "metatrader"
_TICKS: Final = ("tickvol", "tick_vol", "tick_volume")
_REAL: Final = ("real_volume", "volume", "vol")
_METATRADER4: Final = ("date", "time", "open", "high", "low", "close", "tickvol")


def matches(source: Source) -> bool:
    """Say whether there is a column of tick volume, or the seven nameless columns of MetaTrader 4."""
    if source.has_names:
        return not source.names.isdisjoint(_TICKS)
    if source.n_columns != len(_METATRADER4) or len(source.table) == 0:
        return False
    dates = source.table.iloc[:1, 0].map(str)
    return bool(dates.str.fullmatch(r"\d{4}\.\d\d\.\d\d").all())


def read(source: Source, options: ReadOptions) -> RawBars:
    """Return the bars; the broker's zone is EET unless `timezone` says another.

    Raises:
        BarsError: If a needed column is missing, or a value is no number or no time.
    """
    named = source if source.has_names else _with_names(source)
    raw = generic.read(named, options, Zone(options.timezone, "EET", "the usual broker's clock"))
    volume, rule = _volume(named)
    return replace(raw, volume=volume, volume_rule=rule)


def _with_names(source: Source) -> Source:
    source.take(len(_METATRADER4) - 1)
    table = source.table.iloc[:, : len(_METATRADER4)].set_axis(list(_METATRADER4), axis=1)
    return Source(source.path, source.name, table)


def _volume(source: Source) -> tuple[FloatArray, str]:
    """Return the real volume where any bar has one, else the count of ticks."""
    real, ticks = find_column(source, *_REAL), find_column(source, *_TICKS)
    values = None if real is None else read_numbers(real, may_be_missing=True)
    if values is not None and (ticks is None or (values > 0).any()):
        return values, ""
    if ticks is None:
        return np.full(len(source.table), np.nan), ""
    return read_numbers(ticks, may_be_missing=True), f"ticks (column {ticks.name})"
