"""MetaTrader 4 and 5 exports: dates with dots, in the broker's time; tick volume where there is no real one.

Most brokers set their clocks to Eastern European Time; here with the daylight saving of the European Union.
"""

from dataclasses import replace
from typing import Final

import pandas as pd

from trendtrain.importing.raw_bars import RawBars, ReadOptions, read_raw_bars
from trendtrain.importing.table import Table, read_numbers, read_symbol
from trendtrain.importing.times import Zone, read_times

_TICKS: Final = ("tickvol", "tick_vol", "tick_volume")
_REAL: Final = ("real_volume", "volume", "vol")
_METATRADER4: Final = ("date", "time", "open", "high", "low", "close", "tickvol")


def matches(table: Table) -> bool:
    """Return whether there is a column of tick volume, or the seven nameless columns of MetaTrader 4."""
    if table.has_names:
        return not table.names.isdisjoint(_TICKS)
    if not table.is_nameless(len(_METATRADER4)):
        return False
    return bool(table.rows.iloc[:1, 0].map(str).str.fullmatch(r"\d{4}\.\d\d\.\d\d").all())


def read(table: Table, options: ReadOptions) -> RawBars:
    """Return the bars; the broker's zone is EET unless `timezone` says another."""
    if not table.has_names:
        named = dict(zip(_METATRADER4, table.take(*range(len(_METATRADER4))), strict=True))
        table = replace(table, rows=pd.DataFrame(named))
    columns = table.bar_columns()
    times = read_times(columns["time"], Zone(options.timezone, "EET", "the usual broker's clock"))
    real, ticks = table.column(*_REAL), table.column(*_TICKS)
    is_real = real is not None and (ticks is None or bool((read_numbers(real, may_be_missing=True) > 0).any()))
    volume, rule = (real, "") if is_real or ticks is None else (ticks, f"ticks (column {ticks.name})")
    columns = {name: column for name, column in columns.items() if name != "volume"}
    columns |= {} if volume is None else {"volume": volume}
    return read_raw_bars(times, columns, symbol_column=read_symbol(columns.get("symbol")), volume_rule=rule)
