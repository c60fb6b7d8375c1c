"""Where a run's bars come from: made, read from files, or stored already; always through the database."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from trendtrain.errors import InputError, NotStoredError, check_choice, near_file
from trendtrain.importing import ReadOptions, find_files
from trendtrain.importing.file_names import kind_of_price, split_name, with_kind
from trendtrain.importing.files import FileBars, read_file
from trendtrain.importing.imports import store_files
from trendtrain.market.bars import Bars, Series
from trendtrain.market.synthetic import (
    flipping_market,
    foretold_market,
    planted_market,
    random_walk,
    synthetic_market,
)
from trendtrain.market.timeframe import format_timeframe, parse_timeframe
from trendtrain.storage.bars.store import BarStore
from trendtrain.stream.feed import HeldBars

Names = str | Sequence[str] | None

UNNAMED: Final = "DATA"  # symbol of bars in memory that come without one


class StoredBars:
    """A `History` that reads bars from the database when they are asked for.

    Args:
        store: Where bars are kept.
        spans: By series, the open times of the first bar and of the last that belong to it; None for all there are.
    """

    def __init__(self, store: BarStore, spans: Mapping[Series, tuple[np.datetime64, np.datetime64] | None]) -> None:
        self._store = store
        self._spans = dict(spans)

    @property
    def series(self) -> tuple[Series, ...]:
        """The series there are."""
        return tuple(self._spans)

    def load(self, series: Series, start: np.datetime64 | None, end: np.datetime64 | None) -> Bars:
        """Return the bars of a series that open in [start, end)."""
        if (span := self._spans[series]) is not None:
            start = span[0] if start is None else max(start, span[0])
            end = span[1] + _MS if end is None else min(end, span[1] + _MS)
        try:
            return self._store.load(*series, start=start, end=end)
        except NotStoredError:  # the series is there: no bar opens in that time
            none = np.zeros(0)
            return Bars(none.astype("datetime64[ms]"), none, none, none, none, none, parse_timeframe(series.timeframe))


_MS = np.timedelta64(1, "ms")
_MARKETS: dict[str, Callable[[int, int, str], Bars]] = {
    "regimes": synthetic_market,
    "random_walk": random_walk,
    "planted": planted_market,
    "flipping": flipping_market,
    "foretold": foretold_market,
}


def from_synthetic(
    store: BarStore,
    market: str = "regimes",
    n_bars: int = 30_000,
    seed: int = 0,
    symbols: Names = "SYNTH",
    timeframes: Names = "5m",
) -> dict[Series, Bars]:
    """Make seeded markets, store them in place of what stood under their names, and return them.

    Args:
        store: Where bars are kept.
        market: `regimes`, `random_walk`, `planted`, `flipping` or `foretold`; see `trendtrain.market.synthetic`.
        n_bars: Bars of each series.
        seed: Seed of the first series; each further one takes the next.
        symbols: Names of the series made; each starts with SYNTH.
        timeframes: Their timeframes.

    Raises:
        InputError: If an argument breaks its rule.
    """
    check_choice("data.source.market", market, tuple(_MARKETS))
    for symbol in _listed(symbols) or []:
        if not symbol.startswith("SYNTH"):
            rule = "start with SYNTH where bars are made, so that they never replace real ones"
            raise InputError(f"`data.symbols` must {rule} (real bars: data=files), got {symbol!r}.")
    wanted = [Series(s, t) for s in _listed(symbols) or ["SYNTH"] for t in _listed(timeframes) or ["5m"]]
    made = {series: _MARKETS[market](n_bars, seed + i, series.timeframe) for i, series in enumerate(wanted)}
    with store.transaction(*made) as transaction:  # in two, another run's bars could come between
        for series, bars in made.items():
            transaction.replace(*series, bars)
        return {series: transaction.load(*series) for series in made}


def from_files(
    store: BarStore,
    path: str | Path | None,
    symbols: Names = None,
    timeframes: Names = None,
    layout: str | None = None,
    timezone: str | None = None,
) -> StoredBars:
    """Import a file or a folder of files, and return their series over the time the files span.

    A file with rows in conflict, or that break a price rule, is refused; `trendtrain import` shows what is wrong. Where
    symbols or timeframes are given, the files of other series are neither imported nor checked.

    Args:
        store: Where bars are kept.
        path: A CSV, Parquet, Feather or JSON file, or a folder of them.
        symbols: Which symbols to return; None for all.
        timeframes: Which timeframes to return; None for all.
        layout: How the files are laid out, such as `binance`; None to detect it.
        timezone: Time zone of times written without one; None for what the layout says, mostly UTC.

    Raises:
        InputError: If a file breaks a rule, or the files lack a wanted series.
    """
    if path is None:
        raise InputError("`data.path` must name a file or folder of bars, got none.")
    if not Path(path).exists():
        where = "" if Path(path).is_absolute() else f" in {Path.cwd()}"
        raise InputError(f"`data.path` must name a file or folder that exists{where}, got {path}{near_file(path)}")
    spans: dict[Series, list[np.datetime64]] = {}
    files = _read_files(path, ReadOptions(layout=layout, timezone=timezone), symbols, timeframes)
    chosen = _chosen(list({file.series for file in files}), symbols, timeframes, f"the files of {path}")
    for report in store_files(store, [file for file in files if file.series in chosen]):
        spans.setdefault(report.series, []).extend([report.quality.first, report.quality.last])
    return StoredBars(store, {series: (min(spans[series]), max(spans[series])) for series in chosen})


def from_database(store: BarStore, symbols: Names = None, timeframes: Names = None) -> StoredBars:
    """Return series that are stored already.

    Args:
        store: Where bars are kept.
        symbols: Which symbols to return; None for all.
        timeframes: Which timeframes to return; None for all.

    Raises:
        InputError: If the database lacks a wanted series.
    """
    return StoredBars(store, dict.fromkeys(_chosen(store.series(), symbols, timeframes, "the database")))


def held_bars(data: Any) -> HeldBars:
    """Return bars of memory: a DataFrame or `Bars`, named DATA, or a dict of them by (symbol, timeframe).

    Raises:
        InputError: If they are anything else.
    """
    if not isinstance(data, Mapping):
        bars = data if isinstance(data, Bars) else Bars.from_dataframe(data)
        data = {(UNNAMED, format_timeframe(bars.timeframe)): bars}
    return HeldBars(data)


def from_memory(store: BarStore, held: HeldBars) -> HeldBars:
    """Keep bars of memory, for reports, and return them; those named DATA take the place of earlier ones."""
    for series in held.series:
        keep = store.replace if series.symbol == UNNAMED else store.write
        keep(*series, held.load(series, None, None))
    return held


def _read_files(path: str | Path, options: ReadOptions, symbols: Names, timeframes: Names) -> list[FileBars]:
    """Read files, but for those that cannot be read and by their name are of a series that is not wanted."""
    files = []
    for file in find_files(path, options.layout):
        try:
            files.append(read_file(file, options))
        except InputError:
            if not _names_another(file, _listed(symbols), _listed(timeframes)):
                raise
    return files


def _names_another(file: Path, symbols: list[str] | None, timeframes: list[str] | None) -> bool:
    name = split_name(file.name)
    length = None if name.timeframe is None else format_timeframe(name.timeframe)
    symbol = name.symbol and with_kind(name.symbol, kind_of_price(file, file.name))
    pairs = ((symbol, symbols), (length, timeframes))
    return any(own is not None and wanted is not None and own not in wanted for own, wanted in pairs)


def _chosen(there: list[Series], symbols: Names, timeframes: Names, where: str) -> list[Series]:
    held = ", ".join(f"{symbol} {timeframe}" for symbol, timeframe in sorted(there)) or "no bars"
    for name, wanted, column in (("data.symbols", symbols, 0), ("data.timeframes", timeframes, 1)):
        for value in _listed(wanted) or []:
            if value not in {series[column] for series in there}:
                raise InputError(f"`{name}` must name what {where} holds ({held}), got {value!r}.")
    symbols, timeframes = _listed(symbols), _listed(timeframes)
    chosen = [
        s for s in sorted(there) if s.symbol in (symbols or [s.symbol]) and s.timeframe in (timeframes or [s.timeframe])
    ]
    if not chosen:
        raise InputError(
            f"`data.symbols` and `data.timeframes` must fit a series that {where} holds ({held}), got none."
        )
    return chosen


def _listed(names: Names) -> list[str] | None:
    """Return names as a list, whether one or many were given."""
    if names is None:
        return None
    listed = [names] if isinstance(names, (str, int, float)) else list(names)
    for name in listed:
        if isinstance(name, (bool, float)):
            rule = "be text (in quotes where it reads as a number or as true or false, such as data.symbols=\\'TRUE\\')"
            raise InputError(f"`data.symbols` and `data.timeframes` must {rule}, got {name!r}.")
    return [str(name) for name in listed]
