import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trendtrain.errors import InputError
from trendtrain.importing import ReadOptions, read_bars
from trendtrain.importing.files import FileBars, read_file
from trendtrain.importing.layouts import LAYOUTS, NAMES
from trendtrain.importing.readers import read_table
from trendtrain.market import synthetic_market
from trendtrain.market.bars import Bars, Series

HOUR, MINUTE = np.timedelta64(1, "h"), np.timedelta64(1, "m")


def market(timeframe: str, start: str = "2024-03-20T00:00", n_bars: int = 400) -> Bars:
    """Return bars with prices of at most four decimals, as Lean can write them."""
    made = synthetic_market(n_bars, 0, timeframe)
    first, high, low, last = (np.round(price, 4) for price in (made.open, made.high, made.low, made.close))
    high, low = np.maximum.reduce([first, high, last]), np.minimum.reduce([first, low, last])
    time = np.datetime64(start, "ms") + np.arange(n_bars) * made.timeframe
    return Bars(time, first, high, low, last, np.arange(n_bars) % 7 + 0.5, made.timeframe)


def frame(bars: Bars, time: object, **more: object) -> pd.DataFrame:
    prices = {name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")}
    return pd.DataFrame({"time": time, **prices, **more})


def epochs(bars: Bars, unit: str = "ms") -> np.ndarray:
    return bars.open_time.astype(f"datetime64[{unit}]").astype(np.int64)


def wall(bars: Bars, zone: str, pattern: str) -> pd.Index:
    return pd.DatetimeIndex(bars.open_time).tz_localize("UTC").tz_convert(zone).strftime(pattern)


def kline_table(bars: Bars, unit: str) -> pd.DataFrame:
    ticks = {"ms": 1, "us": 1000}[unit]
    opens = epochs(bars, unit)
    closes = opens + int(bars.timeframe.astype(int)) * ticks - 1
    rest = {"close_time": closes, "quote": 1.5, "count": 3, "buy": 0.5, "buy_quote": 0.25, "ignore": 0}
    return frame(bars, opens, **rest).rename(columns={"time": "open_time"})


def write_klines(folder: Path, bars: Bars, unit: str = "ms", header: bool = False) -> Path:
    path = folder / "BTCUSDT-1h-2024-03.csv"
    kline_table(bars, unit).to_csv(path, index=False, header=header)
    return path


def write_kline_zip(folder: Path, bars: Bars) -> Path:
    with zipfile.ZipFile(folder / "BTCUSDT-1h-2024-03.zip", "w") as archive:
        archive.writestr("BTCUSDT-1h-2024-03.csv", kline_table(bars, "us").to_csv(index=False, header=False))
    return folder / "BTCUSDT-1h-2024-03.zip"


def write_kline_json(folder: Path, bars: Bars) -> Path:
    rows = kline_table(bars, "ms").astype({"open": str, "high": str, "volume": str}).to_numpy().tolist()
    (folder / "BTCUSDT_1h.json").write_text(json.dumps(rows))
    return folder / "BTCUSDT_1h.json"


def write_bitfinex(folder: Path, bars: Bars) -> Path:
    candles = frame(bars, epochs(bars))[["time", "open", "close", "high", "low", "volume"]]
    (folder / "BTCUSDT_1h.json").write_text(candles.iloc[::-1].to_json(orient="values"))
    return folder / "BTCUSDT_1h.json"


def write_freqtrade_json(folder: Path, bars: Bars) -> Path:
    (folder / "BTC_USDT-1h.json").write_text(frame(bars, epochs(bars)).to_json(orient="values"))
    return folder / "BTC_USDT-1h.json"


def write_freqtrade_feather(folder: Path, bars: Bars) -> Path:
    times = pd.DatetimeIndex(bars.open_time).tz_localize("UTC")
    frame(bars, times).rename(columns={"time": "date"}).to_feather(folder / "BTC_USDT-1h.feather")
    return folder / "BTC_USDT-1h.feather"


def write_metatrader5(folder: Path, bars: Bars) -> Path:
    path = folder / "BTCUSDT_H1_202403200000_202404051500.csv"
    table = frame(bars, wall(bars, "EET", "%H:%M:%S")).rename(columns={"volume": "tickvol"})
    table.insert(0, "date", wall(bars, "EET", "%Y.%m.%d"))
    table = table.assign(vol=0, spread=3).rename(columns=lambda name: f"<{name.upper()}>")
    path.write_bytes(table.to_csv(index=False, sep="\t").encode("utf-16"))
    return path


def write_metatrader4(folder: Path, bars: Bars) -> Path:
    path = folder / "BTCUSDT_1h.csv"
    table = frame(bars, wall(bars, "EET", "%H:%M"))
    table.insert(0, "date", wall(bars, "EET", "%Y.%m.%d"))
    table.to_csv(path, index=False, header=False)
    return path


def write_cryptodatadownload(folder: Path, bars: Bars) -> Path:
    path = folder / "Coinbase_BTCUSDT_1h.csv"
    table = frame(bars, wall(bars, "UTC", "%Y-%m-%d %I-%p")).rename(columns={"time": "Date", "volume": "Volume BTC"})
    table.insert(1, "Symbol", "BTCUSDT")
    table["Volume USDT"] = 99.0
    path.write_text("https://www.CryptoDataDownload.com\n" + table.iloc[::-1].to_csv(index=False))
    return path


def write_lean(folder: Path, name: str, member: str, times: object, bars: Bars) -> Path:
    table = frame(bars, times)
    for price in ("open", "high", "low", "close"):
        table[price] = np.rint(table[price] * 10_000).astype(np.int64)
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr(member, table.to_csv(index=False, header=False))
    return folder / name


def lean_folder(folder: Path, path: str = "equity/usa/hour") -> Path:
    (folder / path).mkdir(parents=True)
    return folder / path


def write_lean_hours(folder: Path, bars: Bars) -> Path:
    return write_lean(
        lean_folder(folder), "btcusdt.zip", "btcusdt.csv", wall(bars, "America/New_York", "%Y%m%d %H:%M"), bars
    )


def write_trades(folder: Path, bars: Bars) -> Path:
    rows = []
    for time, first, high, low, last, volume in frame(bars, epochs(bars)).itertuples(index=False):
        prices = (first, low, high, last) if last >= first else (first, high, low, last)
        rows += [(time + 600_000 * i, price, volume / 4) for i, price in enumerate(prices)]
    path = folder / "BTCUSDT-trades.csv"
    pd.DataFrame(rows, columns=["timestamp", "price", "amount"]).to_csv(path, index=False)
    return path


def write_binance_trades(folder: Path, bars: Bars, is_aggregate: bool) -> Path:
    table = pd.read_csv(write_trades(folder, bars))
    ids = [0, 0] if is_aggregate else [1.5]
    parts = [range(len(table)), table["price"], table["amount"], *ids, table["timestamp"] * 1000, True, False]
    path = folder / f"BTCUSDT-{'aggTrades' if is_aggregate else 'trades'}-2024-03-20.csv"
    pd.DataFrame(dict(enumerate(parts))).to_csv(path, index=False, header=False)
    return path


def write_split_dates(folder: Path, bars: Bars) -> Path:
    path = folder / "BTCUSDT_1h.txt"
    table = frame(bars, wall(bars, "UTC", "%H:%M"))
    table.insert(0, "Date", wall(bars, "UTC", "%Y/%m/%d"))
    path.write_text(table.to_csv(index=False, sep=";"))
    return path


LAYOUT_FILES: dict[str, tuple[str, Callable[[Path, Bars], Path]]] = {
    "binance ms": ("binance", write_klines),
    "binance us": ("binance", lambda folder, bars: write_klines(folder, bars, "us")),
    "binance header": ("binance", lambda folder, bars: write_klines(folder, bars, header=True)),
    "binance zip": ("binance", write_kline_zip),
    "binance json": ("binance", write_kline_json),
    "bitfinex": ("bitfinex", write_bitfinex),
    "freqtrade json": ("freqtrade", write_freqtrade_json),
    "freqtrade feather": ("freqtrade", write_freqtrade_feather),
    "metatrader 5": ("metatrader", write_metatrader5),
    "metatrader 4": ("metatrader", write_metatrader4),
    "cryptodatadownload": ("cryptodatadownload", write_cryptodatadownload),
    "lean": ("lean", write_lean_hours),
    "trades": ("trades", write_trades),
    "binance trades": ("trades", lambda folder, bars: write_binance_trades(folder, bars, is_aggregate=False)),
    "binance aggregates": ("trades", lambda folder, bars: write_binance_trades(folder, bars, is_aggregate=True)),
    "generic": ("generic", write_split_dates),
}
# 400 hours from 20 March 2024: the clocks of the European Union go forward on the 31st.
HOURS = market("1h")


def read(path: Path, **options: str) -> FileBars:
    return read_file(path, ReadOptions(**options))


def assert_same_bars(bars: Bars, expected: Bars) -> None:
    for name in ("open_time", "open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(getattr(bars, name), getattr(expected, name), name)
    assert bars.timeframe == expected.timeframe


@pytest.mark.parametrize("case", LAYOUT_FILES)
def test_every_layout_is_detected_and_gives_the_bars_it_was_written_from(tmp_path: Path, case: str) -> None:
    name, write = LAYOUT_FILES[case]
    content = read(write(tmp_path, HOURS), **({"timeframe": "1h"} if name == "trades" else {}))
    assert content.layout == name
    assert content.series.timeframe == "1h"
    assert content.series.symbol in ("BTCUSDT", "BTC_USDT")
    assert_same_bars(content.bars, HOURS)


@pytest.mark.parametrize("case", LAYOUT_FILES)
def test_a_layout_is_matched_by_no_other_particular_one(tmp_path: Path, case: str) -> None:
    name, write = LAYOUT_FILES[case]
    table = read_table(write(tmp_path, HOURS))
    matching = {layout.name for layout in LAYOUTS if layout.matches(table)} - {"generic"}
    # Where the prices are in Bitfinex's order, the six columns are candles all the same.
    assert matching - ({"freqtrade"} if name == "bitfinex" else set()) == {name} - {"generic"}


@pytest.mark.parametrize("case", LAYOUT_FILES)
@pytest.mark.parametrize("layout", NAMES)
def test_a_layout_that_does_not_fit_is_one_clear_line(tmp_path: Path, case: str, layout: str) -> None:
    path = LAYOUT_FILES[case][1](tmp_path, HOURS)
    try:
        read(path, layout=layout)  # anything but bars or an `InputError` fails
        message = str(path)
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    assert str(path) in message


def test_the_layout_given_overrules_the_one_detected(tmp_path: Path) -> None:
    path = write_bitfinex(tmp_path, HOURS)
    assert read(path, layout="bitfinex").layout == "bitfinex"
    with pytest.raises(InputError, match=r"data row 1: `high` must be at least `low`, got open 105\.57"):
        read_bars(path, layout="freqtrade")


def test_an_unknown_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`layout` must be one of lean, binance, .*, generic, got 'kraken'"):
        read(write_klines(tmp_path, HOURS), layout="kraken")


def test_binance_files_of_both_units_are_adjacent(tmp_path: Path) -> None:
    before = read(write_klines(tmp_path, HOURS[:200])).bars
    after = read(write_klines(tmp_path, HOURS[200:], "us")).bars
    assert after.open_time[0] - before.open_time[-1] == HOUR


def test_one_kline_tells_its_timeframe(tmp_path: Path) -> None:
    assert read(write_klines(tmp_path, HOURS[:1])).series == Series("BTCUSDT", "1h")


def test_a_kline_still_in_progress_does_not_hide_the_timeframe(tmp_path: Path) -> None:
    table = kline_table(HOURS, "ms")
    table.loc[399, "close_time"] = table.loc[399, "open_time"] + 60_000
    table.to_csv(path := tmp_path / "A.csv", index=False)
    assert read(path).series == Series("A", "1h")


def test_a_cut_kline_is_refused_with_its_row(tmp_path: Path) -> None:
    path = write_klines(tmp_path, HOURS)
    path.write_text(path.read_text()[:-70])
    with pytest.raises(InputError, match=r"BTCUSDT-1h-2024-03\.csv, data row 400: `\d+` must be a"):
        read(path)


def test_flat_candles_are_the_same_bars_in_either_order(tmp_path: Path) -> None:
    (tmp_path / "A_1h.json").write_text(json.dumps([[ms, 2, 2, 2, 2, 1] for ms in epochs(HOURS).tolist()]))
    contents = [read(tmp_path / "A_1h.json", layout=layout) for layout in ("bitfinex", "freqtrade")]
    assert_same_bars(contents[0].bars, contents[1].bars)


def test_candles_in_an_order_that_nobody_knows_are_refused(tmp_path: Path) -> None:
    candles = frame(HOURS, epochs(HOURS))[["time", "low", "high", "open", "close", "volume"]]
    (tmp_path / "A_1h.json").write_text(candles.to_json(orient="values"))
    orders = "open, high, low, close or open, close, high, low"
    message = rf"data row 1: .*; 278 of 400 rows break a price rule .* layout freqtrade reads \(time, then {orders},"
    with pytest.raises(InputError, match=message):
        read(tmp_path / "A_1h.json")


def test_a_date_whose_hour_is_another_column_is_refused(tmp_path: Path) -> None:
    table = frame(HOURS[:300], wall(HOURS[:300], "UTC", "%Y-%m-%d")).assign(Part=list(range(300)))
    table.to_csv(path := tmp_path / "A.csv", index=False)
    with pytest.raises(InputError, match=r"a time must come once.*; 287 of 300 rows .* \(columns by their names\)"):
        read(path)


@pytest.mark.parametrize(("n_bad", "is_read"), [(20, True), (21, False)])
def test_a_twentieth_of_the_rows_may_be_dirt(tmp_path: Path, n_bad: int, is_read: bool) -> None:
    table = frame(HOURS, epochs(HOURS))
    table.loc[: n_bad - 1, "high"] = 0.001
    table.to_csv(path := tmp_path / "A_1h.csv", index=False)
    if is_read:
        content = read(path)
        assert (content.findings.n_broken, len(content.bars)) == (20, 380)
    else:
        with pytest.raises(InputError, match=r"data row 1: .*; 21 of 400 rows break a price rule"):
            read(path)


def test_a_broker_in_another_zone_is_given(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT_1h.csv"
    table = frame(HOURS, wall(HOURS, "America/New_York", "%Y.%m.%d %H:%M")).rename(columns={"volume": "tickvol"})
    table.to_csv(path, index=False)
    content = read(path, timezone="America/New_York")
    assert content.time_rule == "America/New_York, as given"
    assert_same_bars(content.bars, HOURS)


def test_real_volume_counts_before_ticks(tmp_path: Path) -> None:
    path = tmp_path / "A_1h.csv"
    frame(HOURS, epochs(HOURS), tickvol=5).to_csv(path, index=False)
    content = read(path)
    np.testing.assert_array_equal(content.bars.volume, HOURS.volume)
    frame(HOURS, epochs(HOURS), tickvol=5).assign(volume=0).to_csv(path, index=False)
    content = read(path)
    assert (content.bars.volume == 5).all()
    assert content.volume_rule == "ticks (column tickvol)"


def test_the_volume_in_coins_is_the_volume(tmp_path: Path) -> None:
    content = read(write_cryptodatadownload(tmp_path, HOURS))
    assert content.volume_rule == "column Volume BTC"
    assert content.time_rule == "taken as UTC, as the site says"
    assert content.findings.is_newest_first


def test_noon_and_midnight_of_a_twelve_hour_clock_are_told_apart(tmp_path: Path) -> None:
    hours = ["12-AM", "01-AM", "11-AM", "12-PM", "01-PM", "11-PM"]
    rows = [f"2024-01-01 {hour},BTC,1,1,1,1,1,1" for hour in hours]
    path = tmp_path / "A_1h.csv"
    path.write_text("date,symbol,open,high,low,close,Volume BTC,Volume USD\n" + "\n".join(rows))
    times = read(path, timeframe="1h").bars.open_time
    assert [int(time.astype("datetime64[h]").astype(int)) % 24 for time in times] == [0, 1, 11, 12, 13, 23]


def test_lean_minutes_count_from_midnight_in_new_york(tmp_path: Path) -> None:
    bars = market("1m", "2024-07-08T13:30")
    ms = epochs(bars) - np.datetime64("2024-07-08T04:00", "ms").astype(np.int64)
    folder = lean_folder(tmp_path, "equity/usa/minute/spy")
    path = write_lean(folder, "20240708_trade.zip", "20240708_spy_minute_trade.csv", ms, bars)
    content = read(path)
    assert (content.layout, content.series) == ("lean", Series("SPY", "1m"))
    assert_same_bars(content.bars, bars)


def test_lean_days_are_dates(tmp_path: Path) -> None:
    bars = market("1d", "2024-03-01")
    path = write_lean(
        lean_folder(tmp_path, "equity/usa/daily"), "spy.zip", "spy.csv", wall(bars, "UTC", "%Y%m%d %H:%M"), bars
    )
    content = read(path)
    assert content.time_rule == "dates, taken as UTC days"
    assert_same_bars(content.bars, bars)


@pytest.mark.parametrize(
    ("member", "ms", "message"),
    [
        (
            "20240708_spy_minute_trade.csv",
            [0, 86_400_000],
            "data row 2: `time` must be milliseconds since midnight, got 86400000",
        ),
        ("spy.csv", [0, 60_000], "a Lean file must have a name such as 20131007_spy_minute_trade.csv"),
    ],
)
def test_lean_times_need_a_day_and_its_name(tmp_path: Path, member: str, ms: list[int], message: str) -> None:
    path = write_lean(tmp_path, "a.zip", member, ms, HOURS[:2])
    with pytest.raises(InputError, match=message):
        read(path, layout="lean")


@pytest.mark.parametrize("layout", NAMES)
def test_a_header_without_rows_is_refused_by_every_layout(tmp_path: Path, layout: str) -> None:
    (tmp_path / "A.csv").write_text("date,open,high,low,close,volume,a,b,c,d,e,f,price,amount\n")
    with pytest.raises(InputError, match=r"a file must hold (bars|trades), got a header without rows"):
        read(tmp_path / "A.csv", layout=layout)


def trades_of(times: list[int], prices: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"timestamp": [1_704_067_200_000 + ms for ms in times], "price": prices, "amount": 1.0})


def test_trades_of_one_time_keep_their_order_and_empty_minutes_stay_empty(tmp_path: Path) -> None:
    trades_of([0, 0, 0, 59_999, 180_000], [2.0, 3.0, 1.0, 1.5, 9.0]).to_csv(path := tmp_path / "A-trades.csv")
    content = read(path)
    bars = content.bars
    assert content.series == Series("A", "1m")
    assert content.volume_rule == "sum of 5 trades over 1m"
    np.testing.assert_array_equal(np.diff(bars.open_time), [3 * MINUTE])
    assert [bars.open[0], bars.high[0], bars.low[0], bars.close[0], bars.volume[0]] == [2, 3, 1, 1.5, 4]


def test_many_trades_of_one_time_keep_their_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = trades_of((rng.integers(0, 2, 1000) * 60_000).tolist(), (1 + rng.random(1000)).tolist())
    table.to_parquet(path := tmp_path / "A-trades.parquet")
    of_time = [table["price"][table["timestamp"] == time].to_numpy() for time in sorted(set(table["timestamp"]))]
    bars = read(path).bars
    assert bars.open.tolist() == [prices[0] for prices in of_time]
    assert bars.close.tolist() == [prices[-1] for prices in of_time]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"price": [1.0, 0.0]}, "data row 2: `price` must be positive, got 0.0"),
        ({"amount": [1.0, -1.0]}, "data row 2: `amount` must be positive, got -1.0"),
        ({"price": [1.0, "x"]}, "data row 2: `price` must be a number, got x"),
    ],
)
def test_a_trade_without_price_or_amount_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    trades_of([0, 1], [1.0, 1.0]).assign(**change).to_csv(path := tmp_path / "A-trades.csv")
    with pytest.raises(InputError, match=message):
        read(path)


@pytest.mark.parametrize("seed", range(5))
def test_trades_give_the_bars_that_pandas_resamples(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, 40 * 60_000, 300))
    table = trades_of(times.tolist(), (1 + rng.integers(0, 9, 300)).tolist())
    table.to_parquet(path := tmp_path / "A-trades.parquet")
    bars = read(path, timeframe="5m").bars
    groups = table.set_index(pd.to_datetime(table["timestamp"], unit="ms")).resample("5min")
    prices = groups["price"].ohlc().dropna()
    np.testing.assert_array_equal(bars.open_time, prices.index.to_numpy("datetime64[ms]"))
    for name in ("open", "high", "low", "close"):
        np.testing.assert_array_equal(getattr(bars, name), prices[name])
    np.testing.assert_array_equal(bars.volume, groups["amount"].sum()[prices.index])


# -- zip --------------------------------------------------------------------------------------------------------------


def write_zip(path: Path, *members: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


CSV = b"time,open,high,low,close\n2024-01-01,1,1,1,1\n2024-01-02,1,1,1,1\n"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "a zip must hold one file of bars, got none"),
        ([("a.csv", CSV), ("b.csv", CSV)], r"a zip must hold one file of bars, got 2 \(a.csv, b.csv\)"),
        (
            [(f"{i}.csv", CSV) for i in range(9)],
            r"a zip must hold one file of bars, got 9 \(0.csv, 1.csv, 2.csv, ...\)",
        ),
        ([("a.exe", b"MZ")], "a zip must hold a CSV, Parquet, Feather or JSON file, got a.exe"),
        ([("a.zip", b"PK")], "a zip must hold a CSV, Parquet, Feather or JSON file, got a.zip"),
        ([("a.csv", b"")], "a file must hold bars, got no columns"),
    ],
)
def test_a_zip_without_one_file_of_bars_is_refused(
    tmp_path: Path, members: list[tuple[str, bytes]], message: str
) -> None:
    with pytest.raises(InputError, match=rf"A\.zip: {message}"):
        read(write_zip(tmp_path / "A.zip", *members))


def test_what_a_packer_adds_to_a_zip_does_not_count(tmp_path: Path) -> None:
    members = (("bars/", b""), ("bars/A.csv", CSV), ("__MACOSX/bars/._A.csv", b"\x00"))
    assert read(write_zip(tmp_path / "x.zip", *members)).series == Series("A", "1d")


def test_the_name_of_a_zip_counts_where_the_name_in_it_says_less(tmp_path: Path) -> None:
    assert read(write_zip(tmp_path / "BTC_1d.zip", ("data.csv", CSV))).series == Series("BTC", "1d")


@pytest.mark.parametrize("cut", [10, 60, -30])
def test_a_cut_zip_is_refused(tmp_path: Path, cut: int) -> None:
    path = write_zip(tmp_path / "A.zip", ("A.csv", CSV))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"a \.zip file must be readable, got"):
        read(path)


def test_a_damaged_zip_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "A.zip", ("A.csv", CSV))
    content = bytearray(path.read_bytes())
    content[45] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a \.csv file must be readable|a \.zip file must be readable"):
        read(path)


@pytest.mark.parametrize("ending", [".parquet", ".feather", ".json"])
def test_a_zip_may_hold_any_format(tmp_path: Path, ending: str) -> None:
    table, memory = frame(HOURS, epochs(HOURS)), io.BytesIO()
    write = {".parquet": table.to_parquet, ".feather": table.to_feather}.get(ending)
    if write:
        write(memory)
    else:
        memory.write(table.to_json(orient="records").encode())
    content = read(write_zip(tmp_path / "x.zip", (f"A_1h{ending}", memory.getvalue())))
    np.testing.assert_allclose(content.bars.close, HOURS.close, rtol=1e-9)


# -- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", LAYOUT_FILES)
def test_a_damaged_file_gives_bars_or_one_clear_line(tmp_path: Path, case: str) -> None:
    path = LAYOUT_FILES[case][1](tmp_path, HOURS[:60])
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(500 if os.environ.get("TRENDTRAIN_FULL") == "1" else 25):
        content = bytearray(whole[: int(rng.integers(1, len(whole) + 1))])
        for at in rng.integers(0, len(content), int(rng.integers(0, 4))):
            content[at] = int(rng.integers(0, 256))
        path.write_bytes(content)
        try:
            read(path)  # anything but bars or an `InputError` fails
            message = ""
        except InputError as error:
            message = str(error)
        assert "\n" not in message
        assert not message or str(path) in message


def write_whole(folder: Path, bars: Bars, zone: str, scale: int = 1) -> Path:
    """Write hours as Lean does, with prices that are whole as they are."""
    table = frame(bars, wall(bars, zone, "%Y%m%d %H:%M"))
    for price in ("open", "high", "low", "close"):
        table[price] = table[price].astype(np.int64) * scale
    path = folder / "es.csv"
    path.write_text(table.to_csv(index=False, header=False))
    return path


WHOLE = Bars(
    HOURS.open_time,
    *(np.rint(getattr(HOURS, name)) for name in ("open", "high", "low", "close")),
    HOURS.volume,
    HOURS.timeframe,
)


@pytest.mark.parametrize(
    ("path", "scale", "zone", "layout", "options"),
    [
        ("data/equity/usa/hour", 10_000, "America/New_York", "lean", {}),
        ("data/Equity/USA/hour", 10_000, "UTC", "lean", {"timezone": "UTC"}),
        ("data/equity/india/hour", 10_000, "Asia/Kolkata", "lean", {"timezone": "Asia/Kolkata"}),
        ("data/future/cme/hour", 1, "America/Chicago", "lean_unscaled", {"timezone": "America/Chicago"}),
        ("data/crypto/coinbase/hour", 1, "UTC", "lean_unscaled", {"timezone": "UTC"}),
        ("data/forex/oanda/hour", 1, "UTC", "lean_unscaled", {"timezone": "UTC"}),
        ("mine", 10_000, "America/New_York", "lean", {"layout": "lean"}),
        ("mine", 1, "UTC", "lean_unscaled", {"layout": "lean_unscaled", "timezone": "UTC"}),
        ("equity/curves/mine", 1, "UTC", "lean_unscaled", {"layout": "lean_unscaled", "timezone": "UTC"}),
    ],
)
def test_lean_prices_and_times_are_as_the_folder_or_the_user_says(
    tmp_path: Path, path: str, scale: int, zone: str, layout: str, options: dict[str, str]
) -> None:
    content = read(write_whole(lean_folder(tmp_path, path), WHOLE, zone, scale), **options)
    symbol = "ES@futures" if "future" in path else "ES"
    assert (content.layout, content.series) == (layout, Series(symbol, "1h"))
    assert_same_bars(content.bars, WHOLE)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("mine", r"es\.csv: `layout` must say how prices are written .*: lean \(US .*\) or lean_unscaled .*, got none"),
        ("equity/curves/mine", r"`layout` must say how prices are written"),
        ("future/cme/hour", r"es\.csv, data row 1: `timezone` must say the zone .*, got none for 20240320 00:00"),
        ("equity/india/hour", r"`timezone` must say the zone"),
    ],
)
def test_lean_asks_for_what_no_folder_says(tmp_path: Path, path: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(write_whole(lean_folder(tmp_path, path), WHOLE, "UTC"))


def test_lean_prices_with_decimals_are_as_they_are(tmp_path: Path) -> None:
    table = frame(HOURS, wall(HOURS, "UTC", "%Y%m%d %H:%M"))
    (tmp_path / "btcusd.csv").write_text(table.to_csv(index=False, header=False))
    content = read(tmp_path / "btcusd.csv", timezone="UTC")
    assert content.layout == "lean_unscaled"
    assert_same_bars(content.bars, HOURS)


def test_contracts_of_one_future_are_apart(tmp_path: Path) -> None:
    rows = "".join(f"{60_000 * minute},5,5,5,5,1\n" for minute in range(3))
    for month in ("201312", "201403"):
        path = tmp_path / f"20131007_es_minute_trade_{month}.csv"
        path.write_text(rows)
        content = read(path, layout="lean_unscaled", timezone="UTC")
        assert content.series == Series(f"ES_{month}", "1m")
        assert content.bars.open_time[1] == np.datetime64("2013-10-07T00:01")
        assert content.bars.close[1] == 5.0


@pytest.mark.parametrize("is_newest_first", [False, True])
@pytest.mark.parametrize("order", [("close", "open", "high", "low"), ("close", "high", "low", "open")])
def test_candles_with_open_and_close_swapped_are_refused(
    tmp_path: Path, order: tuple[str, ...], is_newest_first: bool
) -> None:
    close = 100 + np.random.default_rng(0).normal(0, 1, 60).cumsum()
    prices = {"open": np.concatenate([[100.0], close[:-1]]), "close": close}
    prices |= {"high": np.maximum(prices["open"], close) + 0.1, "low": np.minimum(prices["open"], close) - 0.1}
    epochs = 1_704_067_200_000 + 3_600_000 * np.arange(60)
    for names, message in ((order, "got open and close swapped"), (_swapped(order), "")):
        rows = np.column_stack([epochs, *(prices[name] for name in names), np.ones(60)])[
            :: -1 if is_newest_first else 1
        ]
        (path := tmp_path / "BTC_1h.json").write_text(json.dumps([[int(row[0]), *row[1:]] for row in rows.tolist()]))
        if message:
            with pytest.raises(InputError, match=message):
                read(path)
        else:
            np.testing.assert_array_equal(read(path).bars.close, close)


def _swapped(order: tuple[str, ...]) -> tuple[str, ...]:
    return tuple({"open": "close", "close": "open"}.get(name, name) for name in order)
