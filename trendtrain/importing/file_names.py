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
_MARKET: Final = r"(?:spot|futures?|perp(?:etual)?s?|swaps?|um|cm)"
_DATED: Final = re.compile(rf"(.+?)[_-]({_LENGTH})(?:[_-]{_MARKET})?(?:{_DATES})?", re.IGNORECASE)
# Prices that nobody traded at: as freqtrade (BTC_USDT_USDT-1h-mark) and Binance (markPriceKlines) name them. A name
# with "index" before the timeframe may well be that of an index; a folder named mark may be that of a user.
_KIND: Final = re.compile(
    r"[-_](mark(?:[-_]?price)?|index[-_]?price|premium(?:[-_]?index)?|funding(?:[-_]?rate)?|(?<=\d[smhdw][-_])index)"
    r"(?:[-_]?klines)?(?=[-_.]|$)",
    re.IGNORECASE,
)
_KIND_FOLDER: Final = re.compile(r"(?:mark|index)PriceKlines|premiumIndexKlines|fundingRate", re.IGNORECASE)
_KINDS: Final = ("mark", "index", "premium", "funding")
_MARKET_WORD: Final = re.compile(rf"(?:^|[-_.])({_MARKET})(?=[-_.]|$)", re.IGNORECASE)
_MARKET_FOLDER: Final = re.compile(rf"{_MARKET}|crypto(?:future)?", re.IGNORECASE)
_SPOT: Final = ("spot", "crypto")
# A symbol that tells itself from that of the coin: a contract (BTCUSD_240329), or a pair with what it settles in.
_OWN_WORDS: Final = re.compile(rf"(?:.*[-_])?{_MARKET}(?:[-_].*)?|.+_\d{{6,8}}|[^_]+_[^_]+_[^_]+", re.IGNORECASE)
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
    """Return the kind of price that names say a file holds: `mark`, `index`, `premium`, `funding` or `futures`.

    Args:
        path: The file; a folder of it may say it too, as in `markPriceKlines/BTCUSDT-1h-2024-12.zip` or `futures/um`.
            Of folders that say spot or futures the innermost counts.
        name: Its name, or that of the one file in a zip.

    Returns:
        The kind; None for what is traded on the spot, or where nothing says another.

    Example:
        >>> kind_of_price(Path("BTC_USDT_USDT-1h-mark.feather"), "BTC_USDT_USDT-1h-mark.feather")
        'mark'
    """
    folders = path.absolute().parts[:-1]
    named = [match[1] for text in (name, path.name) if (match := _KIND.search(text))]
    named += [part for part in path.parts[:-1] if _KIND_FOLDER.fullmatch(part)]
    kind = next((kind for kind in _KINDS if named and named[0].lower().startswith(kind)), None)
    words = [match[1] for text in (name, path.name) if (match := _MARKET_WORD.search(_without_ending(text)))]
    words += [part for part in reversed(folders) if _MARKET_FOLDER.fullmatch(part)]
    return kind or ("futures" if words and words[0].lower() not in _SPOT else None)


def with_kind(symbol: str, kind: str | None) -> str:
    """Return the symbol of another kind of price, which is another series.

    Example:
        >>> with_kind("BTCUSDT", "mark"), with_kind("BTCUSDT", "futures"), with_kind("BTCUSDT-PERP", "futures")
        ('BTCUSDT@mark', 'BTCUSDT@futures', 'BTCUSDT-PERP')
    """
    is_told = kind is None or (kind == "futures" and _OWN_WORDS.fullmatch(symbol))
    return symbol if is_told else f"{symbol}@{kind}"


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
    stem = _KIND.sub("", _without_ending(name).split("__")[-1])
    if match := _NAMED.fullmatch(stem):
        return NameParts(match[1], match[1], _timeframe(match[2]))
    if match := _DATED.fullmatch(stem):
        return NameParts(match[1], None, _timeframe(match[2]))
    if match := _METATRADER.fullmatch(stem):
        return NameParts(match[1], None, parse_timeframe(match[3] + match[2].lower()))
    plain = _TRADES.fullmatch(stem) or _ONLY_DATED.fullmatch(stem)
    return NameParts(plain[1] if plain else stem, None, None)


def _without_ending(name: str) -> str:
    ending = next((ending for ending in ENDINGS if name.lower().endswith(ending)), "")
    return name[: len(name) - len(ending)]


def _timeframe(text: str) -> np.timedelta64 | None:
    """Return the timeframe of a name; None for 1M, which may mean a month: the times of the bars tell then."""
    return None if text == "1M" else parse_timeframe(text.lower())
