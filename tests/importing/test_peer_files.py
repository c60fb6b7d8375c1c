"""Files in the forms that other projects ship, with invented prices, against what pandas makes of them."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from trendtrain.errors import InputError
from trendtrain.importing import ReadOptions, find_files, import_files
from trendtrain.importing.files import read_file
from trendtrain.market.bars import PRICES, Bars
from trendtrain.storage import BarStore

NEW_YORK = "America/New_York"
NAMES = ("Open", "High", "Low", "Close", "Volume")


def market(times: pd.DatetimeIndex, seed: int = 0) -> pd.DataFrame:
    """Return invented bars at these times, prices to the cent."""
    random = np.random.default_rng(seed)
    close = np.round(100 + random.normal(0, 1, len(times)).cumsum(), 2)
    first = np.round(close + random.normal(0, 0.5, len(times)), 2)
    high = np.round(np.maximum(first, close) + random.random(len(times)), 2)
    low = np.round(np.minimum(first, close) - random.random(len(times)), 2)
    volume = random.integers(1, 10**6, len(times)).astype(np.float64)
    return pd.DataFrame(dict(zip(NAMES, (first, high, low, close, volume), strict=True)), index=times)


def check(bars: Bars, table: pd.DataFrame) -> None:
    """Compare bars with a table whose index holds their times, value by value."""
    index = pd.DatetimeIndex(table.index)
    times = index if index.tz is None else index.tz_convert("UTC").tz_localize(None)
    np.testing.assert_array_equal(bars.open_time, times.to_numpy("datetime64[ms]"))
    for name, column in zip((*PRICES, "volume"), NAMES, strict=True):
        np.testing.assert_array_equal(getattr(bars, name), table[column].to_numpy(np.float64))


SESSIONS = pd.DatetimeIndex(
    [
        day + pd.Timedelta(hours=9, minutes=30) + hour * pd.Timedelta(hours=1)
        for day in pd.bdate_range("2024-03-04", "2024-03-15")
        for hour in range(7)
    ]
).tz_localize(NEW_YORK)
DAYS = pd.bdate_range("2023-10-02", "2024-04-30")
NIGHTS = DAYS.tz_localize(NEW_YORK)
HOURS = pd.date_range("2017-04-19 09:00", periods=400, freq="h")
FRIDAYS = pd.date_range("2006-01-06", "2006-12-29", freq="W-FRI").map(
    lambda day: day - pd.Timedelta(days=1) if day.date().isoformat() == "2006-04-14" else day  # a holiday
)
MONTHS = pd.date_range("2012-01-31", periods=36, freq="ME")


def wide(table: pd.DataFrame, *symbols: str, index: str = "Date") -> pd.DataFrame:
    pairs = pd.MultiIndex.from_tuples([(name, s) for name in NAMES for s in symbols], names=["Price", "Ticker"])
    return pd.concat([table[name] for name in NAMES], axis=1).set_axis(pairs, axis=1).rename_axis(index)


def clock(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its times in a column of dates and one of clocks, as backtrader and Finam have them."""
    index = pd.DatetimeIndex(table.index)
    table = table.reset_index(drop=True)
    table.insert(0, "Date", index.strftime("%Y-%m-%d"))
    table.insert(1, "Time", index.strftime("%H:%M:%S"))
    return table


Write = Callable[[pd.DataFrame, Path], object]
Peer = tuple[str, pd.DatetimeIndex, Write, dict[str, str], tuple[str, str]]

# name of the file, its times, how it is written, options, symbol and timeframe
PEERS: dict[str, Peer] = {
    "yfinance, hours with the offsets of a clock change": (
        "spy.csv",
        SESSIONS,
        lambda table, path: table.rename_axis("Datetime").to_csv(path),
        {},
        ("spy", "1h"),
    ),
    "yfinance, history of days": (
        "AAPL_1d.csv",
        NIGHTS,
        lambda table, path: table.rename_axis("Date").assign(Dividends=0.0, **{"Stock Splits": 0.0}).to_csv(path),
        {},
        ("AAPL", "1d"),
    ),
    "yfinance, download of one ticker": (
        "export.csv",
        DAYS,
        lambda table, path: wide(table, "BRK-B").to_csv(path),
        {},
        ("BRK-B", "1d"),
    ),
    "yfinance, download as Parquet": (
        "export.parquet",
        SESSIONS,
        lambda table, path: wide(table, "0700.HK", index="Datetime").to_parquet(path),
        {},
        ("0700.HK", "1h"),
    ),
    "yfinance, weeks of a local clock": (
        "ES=F.parquet",
        pd.date_range("2023-01-02", periods=60, freq="W-MON").tz_localize(NEW_YORK),
        lambda table, path: table.rename_axis("Date").to_parquet(path),
        {},
        ("ES=F", "7d"),
    ),
    "backtesting.py, days": ("GOOG.csv", DAYS, lambda table, path: table.to_csv(path), {}, ("GOOG", "1d")),
    "backtesting.py, hours": ("EURUSD.csv", HOURS, lambda table, path: table.to_csv(path), {}, ("EURUSD", "1h")),
    "backtesting.py, months": (
        "BTCUSD.csv",
        MONTHS,
        lambda table, path: table.to_csv(path),
        {"timeframe": "31d"},
        ("BTCUSD", "31d"),
    ),
    "backtrader, weeks that end on their last trading day": (
        "2006-week-001.txt",
        pd.DatetimeIndex(FRIDAYS),
        lambda table, path: table.rename_axis("Date").assign(OpenInterest=0).to_csv(path),
        {"timeframe": "1w", "symbol": "ESTX"},
        ("ESTX", "7d"),
    ),
    "backtrader, minutes": (
        "2006-min-005.txt",
        pd.date_range("2006-01-02 09:05", periods=100, freq="5min"),
        lambda table, path: clock(table).assign(OpenInterest=0).to_csv(path, index=False),
        {"symbol": "ESTX"},
        ("ESTX", "5m"),
    ),
    "backtrader, Yahoo's, newest first": (
        "yhoo-1996.txt",
        DAYS,
        lambda table, path: table[::-1].rename_axis("Date").assign(**{"Adj Close": table["Close"] / 3}).to_csv(path),
        {"symbol": "YHOO"},
        ("YHOO", "1d"),
    ),
    "mplfinance, dates with slashes": (
        "SP500_NOV2019_Hist.csv",
        DAYS,
        lambda table, path: path.write_text(
            table.set_axis(pd.Index(DAYS.strftime("%-m/%-d/%Y"), name="Date")).to_csv().replace(",", ", ")
        ),
        {"symbol": "SP500"},
        ("SP500", "1d"),
    ),
    "mplfinance, minutes of a day": (
        "SP500_NOV2019_IDay.csv",
        pd.date_range("2019-11-15 9:30", periods=300, freq="min").tz_localize(NEW_YORK),
        lambda table, path: table.set_axis(pd.Index(table.index.strftime("%-m/%-d/%Y %-H:%M"), name="Date")).to_csv(
            path
        ),
        {"symbol": "SP500", "timezone": NEW_YORK},
        ("SP500", "1m"),
    ),
    "Dukascopy, local days first": (
        "EURUSD_Candlestick_1_h_BID.csv",
        HOURS,
        lambda table, path: table.set_axis(
            pd.Index(table.index.strftime("%d.%m.%Y %H:%M:%S.000"), name="Gmt time")
        ).to_csv(path),
        {"symbol": "EURUSD"},
        ("EURUSD", "1h"),
    ),
    "Finam, dates and clocks as numbers": (
        "SPFB.RTS_170419_170505.txt",
        HOURS,
        lambda table, path: (
            table.reset_index(drop=True)
            .assign(**{"<DATE>": HOURS.strftime("%Y%m%d"), "<TIME>": HOURS.strftime("%H%M%S")})
            .rename(columns={name: f"<{name.upper()[:5].replace('VOLUM', 'VOL')}>" for name in NAMES})
            .to_csv(path, sep=";", index=False)
        ),
        {"symbol": "RTS"},
        ("RTS", "1h"),
    ),
    "freqtrade, spot": (
        "BTC_USDT-1h.feather",
        HOURS,
        lambda table, path: freqtrade(table).to_feather(path),
        {},
        ("BTC_USDT", "1h"),
    ),
    "freqtrade, candles": (
        "BTC_USDT-1h.json",
        HOURS,
        lambda table, path: path.write_text(json.dumps(candles(table))),
        {},
        ("BTC_USDT", "1h"),
    ),
}


def freqtrade(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns=str.lower).rename_axis("date").tz_localize("UTC").reset_index()


def candles(table: pd.DataFrame) -> list[list[float]]:
    milliseconds = pd.DatetimeIndex(table.index).to_numpy("datetime64[ms]").astype(np.int64)
    return [[int(ms), *row] for ms, row in zip(milliseconds, table.to_numpy().tolist(), strict=True)]


@pytest.mark.parametrize("name", PEERS)
def test_files_of_peers_import_to_the_bars_that_pandas_reads(engine: Engine, tmp_path: Path, name: str) -> None:
    file, times, write, options, series = PEERS[name]
    table = market(times)
    write(table, tmp_path / file)
    store = BarStore(engine)
    import_files(store, find_files(tmp_path), ReadOptions(**options))
    assert store.series() == [series]
    check(store.load(*series), table)


def test_a_futures_folder_of_freqtrade_beside_its_spot_folder(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "BTC_USDT-1h.feather": "BTC_USDT",
        "futures/BTC_USDT_USDT-1h-futures.feather": "BTC_USDT_USDT",
        "futures/BTC_USDT_USDT-1h-mark.feather": "BTC_USDT_USDT@mark",
        "futures/BTC_USDT_USDT-8h-funding_rate.feather": "",
    }
    tables = {}
    for seed, (file, symbol) in enumerate(files.items()):
        (path := tmp_path / file).parent.mkdir(exist_ok=True)
        tables[symbol] = market(HOURS, seed)
        freqtrade(tables[symbol]).to_feather(path)
    store = BarStore(engine)
    import_files(store, [*find_files(tmp_path), *find_files(tmp_path / "futures")], may_replace=False)
    assert capsys.readouterr().err.endswith("funding_rate.feather: it holds funding rates\n")
    assert [symbol for symbol, _ in store.series()] == sorted(filter(None, files.values()))
    for symbol, timeframe in store.series():
        check(store.load(symbol, timeframe), tables[symbol])


BINANCE = {
    "spot/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2017-04.csv": "BTCUSDT",
    "futures/um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2017-04.csv": "BTCUSDT@futures",
    "futures/um/monthly/markPriceKlines/BTCUSDT/1h/BTCUSDT-1h-2017-04.csv": "BTCUSDT@mark",
    "futures/cm/monthly/klines/BTCUSD_PERP/1h/BTCUSD_PERP-1h-2017-04.csv": "BTCUSD_PERP",
}


def binance(table: pd.DataFrame) -> str:
    rows = [[*row, row[0] + 3_599_999, 0, 0, 0, 0, 0] for row in candles(table)]
    return "\n".join(",".join(map(str, row)) for row in rows)


def test_spot_beside_futures_of_one_symbol_are_two_series(engine: Engine, tmp_path: Path) -> None:
    tables = {}
    for seed, (file, symbol) in enumerate(BINANCE.items()):
        (path := tmp_path / file).parent.mkdir(parents=True)
        path.write_text(binance(tables.setdefault(symbol, market(HOURS, seed))))
    store, paths = BarStore(engine), [tmp_path / file for file in BINANCE]
    import_files(store, paths, may_replace=False)
    assert [symbol for symbol, _ in store.series()] == sorted(BINANCE.values())
    for symbol, timeframe in store.series():
        check(store.load(symbol, timeframe), tables[symbol])
    with pytest.raises(
        InputError, match=r"files of one series \(BTC 1h\) must hold one kind of price; .*`--symbol`, got f"
    ):
        import_files(store, paths[:2], ReadOptions(symbol="BTC"))


LEAN: dict[str, tuple[int, str, dict[str, Any], str]] = {
    "equity/usa/hour/spy": (10_000, NEW_YORK, {}, "SPY"),
    "equity/india/hour/ongc": (10_000, "Asia/Kolkata", {"timezone": "Asia/Kolkata"}, "ONGC"),
    "equity/usa/daily/spy": (10_000, NEW_YORK, {}, "SPY"),
    "option/usa/hour/spy": (10_000, NEW_YORK, {}, "SPY"),
    "future/cme/hour/es": (1, "America/Chicago", {"timezone": "America/Chicago"}, "ES@futures"),
    "crypto/coinbase/hour/btcusd": (1, "UTC", {"timezone": "UTC"}, "BTCUSD"),
    "cryptofuture/binance/hour/btcusdt": (1, "UTC", {"timezone": "UTC"}, "BTCUSDT@futures"),
    "forex/oanda/hour/eurusd": (1, "UTC", {"timezone": "UTC"}, "EURUSD"),
}


@pytest.mark.parametrize("name", LEAN)
def test_lean_data_of_every_market_keep_their_scale_and_zone(tmp_path: Path, name: str) -> None:
    scale, zone, options, symbol = LEAN[name]
    is_daily = "/daily/" in name
    times = DAYS if is_daily else pd.date_range("2024-03-04", "2024-03-15", freq="h", tz="UTC").tz_convert(zone)
    table = market(times)
    scaled = table.assign(**{column: (table[column] * scale).round(0 if scale > 1 else 2) for column in NAMES[:4]})
    scaled = scaled.astype(dict.fromkeys(NAMES, np.int64 if scale > 1 else np.float64))
    (path := tmp_path / f"{name}.zip").parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        stamps = times.strftime("%Y%m%d %H:%M")
        archive.writestr(f"{path.stem}.csv", scaled.set_axis(stamps).to_csv(header=False))
    file = read_file(path, ReadOptions(**options))
    assert file.series == (symbol, "1d" if is_daily else "1h")
    check(file.bars, table)
