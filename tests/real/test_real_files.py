"""Every real file imports to the right bars, or is refused with a line that says why."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trendtrain.errors import InputError
from trendtrain.importing import ReadOptions, import_files
from trendtrain.importing.files import FileBars, read_file
from trendtrain.importing.quality import describe
from trendtrain.market import Bars
from trendtrain.storage import BarStore, open_database

FOLDER = Path(os.environ.get("TRENDTRAIN_DATA", "none"))
QUIRKS = FOLDER / "quirks"
pytestmark = pytest.mark.skipif(not QUIRKS.is_dir(), reason="TRENDTRAIN_DATA names no folder with a folder quirks")

# name: layout, series, bars, first, last, missing
IMPORTED = {
    "banner_12h_clock_newest_first__Coinbase_BTCUSD_1h.csv": (
        ("cryptodatadownload", "BTCUSD 1h", 20111, "2017-07-01T11:00", "2019-10-17T09:00", 0)
    ),
    "binance12_ms_1m__ADABTC-1m-2021-11-27.csv": (
        ("binance", "ADABTC 1m", 10, "2021-11-27T00:00", "2021-11-27T00:09", 0)
    ),
    "binance12_ms_noheader__BTCUSDT-1h-2024-12.csv": (
        ("binance", "BTCUSDT 1h", 744, "2024-12-01T00:00", "2024-12-31T23:00", 0)
    ),
    "binance12_us_noheader__BTCUSDT-1h-2025-01.csv": (
        ("binance", "BTCUSDT 1h", 744, "2025-01-01T00:00", "2025-01-31T23:00", 0)
    ),
    "bitfinex_raw_O-C-H-L_order__ETHUSD_18-01-01_00-00-00.json": (
        ("bitfinex", "ETHUSD 1m", 120, "2018-01-01T00:00", "2018-01-01T01:59", 0)
    ),
    "dead_coin_constant_zero_volume__FTT_USDT_1d.csv": (
        ("generic", "FTT_USDT 1d", 1515, "2022-04-15T00:00", "2026-06-07T00:00", 0)
    ),
    "gaps538__UNITTEST_BTC-1m.feather": (
        ("freqtrade", "UNITTEST_BTC 1m", 13681, "2017-11-04T23:02", "2017-11-14T22:59", 717)
    ),
    "lean_x10000_ms_since_midnight__spy_20131007_trade.zip": (
        ("lean", "SPY 1m", 828, "2013-10-07T08:00", "2013-10-07T23:59", 132)
    ),
    "lean_x10000_unadjusted_splits__aapl_daily.zip": (
        ("lean", "AAPL 1d", 5849, "1998-01-02T00:00", "2021-03-31T00:00", 2641)
    ),
    "mislabelled_newest_first__bitfinex-1h-btc-usd.csv": (
        ("cryptodatadownload", "BTCUSD 1h", 17583, "2017-07-01T11:00", "2019-07-04T01:00", 0)
    ),
    "mt5_EET_dots_date__EURUSD_15M.csv": (
        ("metatrader", "EURUSD 15m", 24424, "2022-10-09T21:00", "2023-10-02T03:45", 9876)
    ),
    "pair_with_bars__XRP_ETH-trades.parquet": (
        ("trades", "XRP_ETH 1m", 2469, "2019-10-11T00:00", "2019-10-13T11:19", 1091)
    ),
    "pair_with_trades__XRP_ETH-1m.feather": (
        ("freqtrade", "XRP_ETH 1m", 2469, "2019-10-11T00:00", "2019-10-13T11:19", 1091)
    ),
    "testnet_and_200of1001_pagination__ETHUSDT_1m.parquet": (
        ("generic", "ETHUSDT 1m", 105076, "2024-09-08T06:56", "2025-09-07T17:35", 419724)
    ),
    "zero_volume_43pct__BTCUSDC_1m_20230301_20230321.csv": (
        ("generic", "BTCUSDC 1m", 30240, "2023-03-01T00:00", "2023-03-21T23:59", 0)
    ),
}
REFUSED = {
    "overlap_a__spy-01.15.2015.csv": "data row 1: `timezone` must say the zone of times in a local form",
    "overlap_b__spy-01.29.2015.csv": "data row 1: `timezone` must say the zone of times in a local form",
    "reference_swings5_for_EURUSD_15M.csv": "missing time, open, high, low, close, found HighLow, Level",
}


def read(name: str, folder: Path = QUIRKS, **options: str) -> FileBars:
    return read_file(folder / name, ReadOptions(**options))


def assert_same(bars: Bars, other: Bars) -> None:
    for name in ("open_time", "open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(getattr(bars, name), getattr(other, name), name)


def test_every_file_of_the_folder_is_in_the_table() -> None:
    assert {path.name for path in QUIRKS.iterdir()} == set(IMPORTED) | set(REFUSED)


@pytest.mark.parametrize("name", IMPORTED)
def test_an_odd_file_gives_its_bars(name: str) -> None:
    layout, series, n_bars, first, last, n_missing = IMPORTED[name]
    content = read(name, **({"layout": "lean"} if layout == "lean" else {}))  # its folder is none of Lean's
    quality = describe(content.series, content.bars)
    assert (content.layout, " ".join(content.series), len(content.bars)) == (layout, series, n_bars)
    assert (quality.first, quality.last) == (np.datetime64(first), np.datetime64(last))
    assert quality.n_missing == n_missing


@pytest.mark.parametrize("name", REFUSED)
def test_an_odd_file_that_cannot_be_understood_is_refused(name: str) -> None:
    with pytest.raises(InputError) as caught:
        read(name)
    assert f"{name}" in str(caught.value)
    assert REFUSED[name] in str(caught.value)


def test_trades_give_exactly_the_bars_of_their_pair() -> None:
    assert_same(read("pair_with_bars__XRP_ETH-trades.parquet").bars, read("pair_with_trades__XRP_ETH-1m.feather").bars)


def test_binance_files_of_milliseconds_and_microseconds_are_adjacent() -> None:
    before = read("binance12_ms_noheader__BTCUSDT-1h-2024-12.csv").bars
    after = read("binance12_us_noheader__BTCUSDT-1h-2025-01.csv").bars
    assert after.open_time[0] == before.close_time[-1]
    assert abs(after.open[0] / before.close[-1] - 1) < 1e-4


@pytest.mark.parametrize(
    ("odd", "options", "clean"),
    [
        ("mt5_EET_dots_date__EURUSD_15M.csv", {}, "EURUSD_15m.parquet"),
        ("overlap_a__spy-01.15.2015.csv", {"timezone": "America/Chicago"}, "SPY_1m.parquet"),
        ("bitfinex_raw_O-C-H-L_order__ETHUSD_18-01-01_00-00-00.json", {}, "ETHUSD_1m.parquet"),
    ],
)
def test_an_odd_file_gives_the_bars_of_the_clean_one(odd: str, options: dict[str, str], clean: str) -> None:
    """Of 3,900 SPY volumes one was corrected later."""
    bars, whole = read(odd, **options).bars, read(clean, FOLDER).bars
    part = whole[slice(*np.searchsorted(whole.open_time, [bars.open_time[0], bars.close_time[-1]]))]
    np.testing.assert_array_equal(bars.open_time, part.open_time)
    for name in ("open", "high", "low", "close"):
        np.testing.assert_array_equal(getattr(bars, name), getattr(part, name))
    assert (bars.volume != part.volume).sum() <= 1


LEAN_DAYS = "lean_x10000_unadjusted_splits__aapl_daily.zip"


def test_whole_prices_of_lean_alone_do_not_tell_their_scale() -> None:
    with pytest.raises(InputError, match="`layout` must say how prices are written"):
        read(LEAN_DAYS)


def test_daily_lean_bars_are_those_of_the_clean_file() -> None:
    bars, whole = read(LEAN_DAYS, layout="lean").bars, read("AAPL_1d.parquet", FOLDER).bars
    assert_same(bars[: len(whole)], whole)


def test_files_of_one_hour_of_coinbase_agree_but_for_two_bars(tmp_path: Path) -> None:
    """The one named after Bitfinex holds the bars of Coinbase: only one bar in progress and one volume differ."""
    engine = open_database(f"sqlite:///{tmp_path / 'bars.db'}")
    names = (
        "banner_12h_clock_newest_first__Coinbase_BTCUSD_1h.csv",
        "mislabelled_newest_first__bitfinex-1h-btc-usd.csv",
    )
    first, second = import_files(BarStore(engine), [QUIRKS / name for name in names], strict=False)
    engine.dispose()
    assert (first.findings.is_newest_first, first.findings.n_unordered) == (True, 5)
    assert (second.n_changed, second.n_replaced) == (2, 2)


def test_overlapping_files_report_their_one_conflict(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'bars.db'}")
    files = [QUIRKS / "overlap_a__spy-01.15.2015.csv", QUIRKS / "overlap_b__spy-01.29.2015.csv"]
    options = ReadOptions(timezone="America/Chicago")
    with pytest.raises(InputError, match=r"got other values at 2015-01-15T14:34:00.000 \(1 in all\)"):
        import_files(BarStore(engine), files, options, may_replace=False)
    _, second = import_files(BarStore(engine), files, options)
    engine.dispose()
    assert (second.quality.n_bars, second.n_changed, second.n_replaced) == (3900, 3511, 1)


def test_reports_show_what_is_odd() -> None:
    def quality(name: str, folder: Path = QUIRKS) -> object:
        content = read(name, folder)
        return describe(content.series, content.bars)

    testnet = quality("testnet_and_200of1001_pagination__ETHUSDT_1m.parquet")
    assert (testnet.n_holes, testnet.longest_hole, testnet.n_longest) == (524, 801, 524)
    assert testnet.n_jumps == 87
    assert quality("zero_volume_43pct__BTCUSDC_1m_20230301_20230321.csv").zero_volume == pytest.approx(0.43, abs=0.005)
    assert quality("gaps538__UNITTEST_BTC-1m.feather").n_holes == 538
    assert quality("dead_coin_constant_zero_volume__FTT_USDT_1d.csv").n_flat == 1301


@pytest.mark.parametrize("row", pd.read_csv(FOLDER / "MANIFEST.csv").to_dict("records") if QUIRKS.is_dir() else [])
def test_every_clean_file_gives_what_its_manifest_says(row: dict[str, object]) -> None:
    content = read(str(row["file"]), FOLDER)
    quality = describe(content.series, content.bars)
    assert content.series == (row["symbol"], row["timeframe"])
    names = ("bars", "missing_slots", "gaps", "max_gap_bars", "flat_bars")
    values = (quality.n_bars, quality.n_missing, quality.n_holes, quality.longest_hole, quality.n_flat)
    assert values == tuple(row[name] for name in names)
    assert quality.first == np.datetime64(str(row["first"]))
    if row["zero_volume"] == row["bars"]:
        assert quality.zero_volume is None
        assert np.isnan(content.bars.volume).all()
    else:
        assert quality.zero_volume == pytest.approx(row["zero_volume"] / row["bars"])
