"""Read symbol and timeframe from a file's name."""

import re
from typing import Final, NamedTuple

import numpy as np

from trendtrain.importing.readers import ENDINGS
from trendtrain.market.timeframe import parse_timeframe

_LENGTH: Final = r"[1-9]\d*[smhdw]"
_DATES: Final = r"(?:[_-]?(?:(?:19|20)\d\d(?:[._-]?\d\d)*|\d\d[._-]\d\d[._-](?:\d\d){1,2}|(?:\d\d[:_-]){2}\d\d))+"
_NAMED: Final = re.compile(rf"(.+)_({_LENGTH})", re.IGNORECASE)
_DATED: Final = re.compile(rf"(.+?)[_-]({_LENGTH})(?:-(?:spot|futures|mark))?(?:{_DATES})?", re.IGNORECASE)
_METATRADER: Final = re.compile(r"(.+?)_([MHDW])([1-9]\d*)(?:_\d+)*")
_TRADES: Final = re.compile(rf"(.+?)[_-](?:agg)?trades(?:{_DATES})?", re.IGNORECASE)
_ONLY_DATED: Final = re.compile(rf"(.+?){_DATES}")


class NameParts(NamedTuple):
    """What a file name says.

    Attributes:
        stem: What is left of it when notes, dates and timeframe are gone: a symbol where nothing tells a better one.
        symbol: The symbol, where the name is `SYMBOL_TIMEFRAME`.
        timeframe: The timeframe, where it ends in one, or in one and dates.
    """

    stem: str
    symbol: str | None
    timeframe: np.timedelta64 | None


def split_name(name: str) -> NameParts:
    """Return the parts of a name; what stands before a double underscore is a note.

    Example:
        >>> split_name("LTCUSDT-PERP_1h.parquet").symbol
        'LTCUSDT-PERP'
        >>> split_name("BTCUSDT-1h-2024-12.csv").stem, split_name("dirty__spy-01.15.2015.csv").stem
        ('BTCUSDT', 'spy')
        >>> split_name("EURUSD_M15_202210100000_202310020645.csv").timeframe
        np.timedelta64(900000,'ms')
    """
    ending = next((ending for ending in ENDINGS if name.lower().endswith(ending)), "")
    stem = name[: len(name) - len(ending)].split("__")[-1]
    if match := _NAMED.fullmatch(stem):
        return NameParts(match[1], match[1], parse_timeframe(match[2].lower()))
    if match := _DATED.fullmatch(stem):
        return NameParts(match[1], None, parse_timeframe(match[2].lower()))
    if match := _METATRADER.fullmatch(stem):
        return NameParts(match[1], None, parse_timeframe(match[3] + match[2].lower()))
    plain = _TRADES.fullmatch(stem) or _ONLY_DATED.fullmatch(stem)
    return NameParts(plain[1] if plain else stem, None, None)
