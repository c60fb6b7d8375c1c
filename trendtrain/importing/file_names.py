"""Read symbol, timeframe and kind of price from a file's name."""

import re
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from trendtrain.importing.readers import ENDINGS
from trendtrain.market.timeframe import parse_timeframe

_LENGTH: Final = r"[1-9]\d*[smhdw]"
_DATES: Final = r"(?:[_-]?(?:(?:19|20)\d\d(?:[._-]?\d\d)*|\d\d[._-]\d\d[._-](?:\d\d){1,2}|(?:\d\d[:_-]){2}\d\d))+"
_NAMED: Final = re.compile(rf"(.+)_({_LENGTH})", re.IGNORECASE)
_DATED: Final = re.compile(rf"(.+?)[_-]({_LENGTH})(?:-(?:spot|futures))?(?:{_DATES})?", re.IGNORECASE)
# Prices that nobody traded at: as freqtrade (BTC_USDT_USDT-1h-mark) and Binance (markPriceKlines) name them. A name
# with "index" before the timeframe may well be that of an index; a folder named mark may be that of a user.
_KIND: Final = re.compile(
    r"[-_](mark(?:[-_]?price)?|index[-_]?price|premium(?:[-_]?index)?|funding(?:[-_]?rate)?|(?<=\d[smhdw][-_])index)"
    r"(?:[-_]?klines)?(?=[-_.]|$)",
    re.IGNORECASE,
)
_KIND_FOLDER: Final = re.compile(r"(?:mark|index)PriceKlines|premiumIndexKlines|fundingRate", re.IGNORECASE)
_KINDS: Final = ("mark", "index", "premium", "funding")
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


def kind_of_price(path: Path, name: str) -> str | None:
    """Return the kind of price that names say a file holds: `mark`, `index`, `premium` or `funding`; None if traded.

    Args:
        path: The file; its folder may say it too, as in `markPriceKlines/BTCUSDT-1h-2024-12.zip`.
        name: Its name, or that of the one file in a zip.

    Example:
        >>> kind_of_price(Path("BTC_USDT_USDT-1h-mark.feather"), "BTC_USDT_USDT-1h-mark.feather")
        'mark'
    """
    named = [match[1] for text in (name, path.name) if (match := _KIND.search(text))]
    named += [part for part in path.parts[:-1] if _KIND_FOLDER.fullmatch(part)]
    return next((kind for kind in _KINDS if named and named[0].lower().startswith(kind)), None)


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
    stem = _KIND.sub("", name[: len(name) - len(ending)].split("__")[-1])
    if match := _NAMED.fullmatch(stem):
        return NameParts(match[1], match[1], _timeframe(match[2]))
    if match := _DATED.fullmatch(stem):
        return NameParts(match[1], None, _timeframe(match[2]))
    if match := _METATRADER.fullmatch(stem):
        return NameParts(match[1], None, parse_timeframe(match[3] + match[2].lower()))
    plain = _TRADES.fullmatch(stem) or _ONLY_DATED.fullmatch(stem)
    return NameParts(plain[1] if plain else stem, None, None)


def _timeframe(text: str) -> np.timedelta64 | None:
    """Return the timeframe of a name; None for 1M, which may mean a month: the times of the bars tell then."""
    return None if text == "1M" else parse_timeframe(text.lower())
