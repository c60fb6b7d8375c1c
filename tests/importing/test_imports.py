import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from csv_files import ROWS, csv_of, write_csv
from sqlalchemy import Engine, update

from trendtrain.errors import DamagedDataError, InputError
from trendtrain.importing import ReadOptions, find_files, import_files, read_bars
from trendtrain.market.bars import Bars, Series
from trendtrain.storage import BarStore
from trendtrain.storage.schema import bar_blocks

MakeBars = Callable[..., Bars]


def table_of(times: object) -> pd.DataFrame:
    return pd.DataFrame({"timestamp": times, "open": 1.5, "high": 2.0, "low": 1.0, "close": 1.25, "volume": 3.0})


MINUTES = pd.date_range("2024-01-01", periods=3, freq="min")


def with_epochs(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(timestamp=table["timestamp"].to_numpy("datetime64[ms]").astype(np.int64))


def expected_times(n_bars: int = 3) -> np.ndarray:
    return np.datetime64("2024-01-01", "ms") + np.arange(n_bars) * np.timedelta64(1, "m")


WRITERS: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    ".csv": lambda table, path: table.to_csv(path, index=False),
    ".CSV.GZ": lambda table, path: table.to_csv(path, index=False, compression="gzip"),
    ".parquet": lambda table, path: table.to_parquet(path),
    ".feather": lambda table, path: table.to_feather(path),
    ".json": lambda table, path: table.to_json(path, orient="records", date_format="iso"),
    "_split.json": lambda table, path: with_epochs(table).to_json(path, orient="split"),
    "_columns.json": lambda table, path: with_epochs(table).to_json(path, orient="columns"),
    "_lists.json": lambda table, path: path.write_text(json.dumps(table.astype({"timestamp": str}).to_dict("list"))),
}


@pytest.mark.parametrize("ending", WRITERS)
def test_every_format_gives_the_same_bars(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"BTC{ending}"
    WRITERS[ending](table_of(MINUTES), path)
    series, bars = read_bars(path, symbol="BTCUSDT")
    assert series == Series("BTCUSDT", "1m")
    np.testing.assert_array_equal(bars.open_time, expected_times())
    values = [bars.open[0], bars.high[0], bars.low[0], bars.close[0], bars.volume[0]]
    assert values == [1.5, 2.0, 1.0, 1.25, 3.0]


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".feather", "_lists.json"])
def test_prices_are_read_to_the_last_bit(tmp_path: Path, ending: str) -> None:
    price = np.random.default_rng(0).random(500) + 1
    times = pd.date_range("2024-01-01", periods=500, freq="min")
    table = table_of(times).assign(open=price, high=price, low=price, close=price)
    WRITERS[ending](table, path := tmp_path / f"BTC{ending}")
    np.testing.assert_array_equal(read_bars(path)[1].close, price)


@pytest.mark.parametrize("ending", [".parquet", ".feather", ".csv"])
def test_a_time_index_counts_as_the_time_column(tmp_path: Path, ending: str) -> None:
    table = table_of(MINUTES).set_index("timestamp")
    path = tmp_path / f"BTC_1m{ending}"
    {".parquet": table.to_parquet, ".feather": table.reset_index().to_feather, ".csv": table.to_csv}[ending](path)
    np.testing.assert_array_equal(read_bars(path)[1].open_time, expected_times())


@pytest.mark.parametrize("orient", ["split", "columns"])
def test_an_index_without_a_name_counts_where_there_is_no_time_column(tmp_path: Path, orient: str) -> None:
    table = with_epochs(table_of(MINUTES)).set_index("timestamp").rename_axis(None)
    table.to_json(path := tmp_path / "BTC_1m.json", orient=orient)
    np.testing.assert_array_equal(read_bars(path)[1].open_time, expected_times())


def test_a_leftover_row_index_is_ignored(tmp_path: Path) -> None:
    table = (
        table_of(pd.date_range("2023-12-31 23:59", periods=4, freq="min"))
        .iloc[1:]
        .rename(columns={"timestamp": "date"})
    )
    table.to_parquet(path := tmp_path / "BTC_1m.parquet")
    np.testing.assert_array_equal(read_bars(path)[1].open_time, expected_times())


TIME_NAMES = (
    *(
        "timestamp",
        "time",
        "date",
        "DateTime",
        " Open_Time ",
        "OPENTIME",
        "Open time",
        "t",
        "T",
        "timestamp_utc",
        "day",
    ),
    *("Gmt time", "trade_date", "Trade Date", "datetime_utc", "DATE_UTC", "<TIME>", "UTC Time"),
)


@pytest.mark.parametrize("name", TIME_NAMES)
def test_the_time_column_goes_by_many_names(tmp_path: Path, name: str) -> None:
    text = csv_of(*ROWS).replace("timestamp", name)
    assert len(read_bars(write_csv(tmp_path, text))[1]) == 3


def test_columns_come_in_any_order_case_and_spacing(tmp_path: Path) -> None:
    text = " V , C,l,HIGH, Open,extra,Date\n7,1.5,0.5,2,1,x,2024-01-01\n7,1.5,0.5,2,1,x,2024-01-02\n"
    _, bars = read_bars(write_csv(tmp_path, text, "A.csv"))
    assert [bars.open[0], bars.high[0], bars.low[0], bars.close[0], bars.volume[0]] == [1, 2, 0.5, 1.5, 7]


@pytest.mark.parametrize(
    ("date", "time"),
    [
        ("2024-01-01", " 00:0{}"),
        ("2024.01.01", "00:0{}:00"),
        ("noted today", "2024-01-01 00:0{}"),
        ("20240101", "00:0{}"),
        ("01/01/2024", "00:0{} UTC"),
    ],
)
@pytest.mark.parametrize("names", ["Date,Time", "<DATE>,<TIME>", "trade_date,time", "Day,TIME"])
def test_a_date_beside_a_clock_is_joined_with_it(tmp_path: Path, names: str, date: str, time: str) -> None:
    rows = "".join(f"{date},{time.format(minute)},1,1,1,1\n" for minute in range(3))
    path = write_csv(tmp_path, f"{names},Open,High,Low,Close\n{rows}")
    if "/" in date:  # neither number is above 12
        with pytest.raises(InputError, match="show by one number above 12 which is the day"):
            read_bars(path)
        return
    np.testing.assert_array_equal(read_bars(path)[1].open_time, expected_times())


CLOCKS = {"%H": "hour", "%H:%M": "hour", "%-H": "hour", "%-H:%M": "time", "%H%M": "time", "%H%M%S": "time"}


@pytest.mark.parametrize("pattern", CLOCKS)
@pytest.mark.parametrize("date", ["%Y-%m-%d", "%Y%m%d", "%d.%m.%Y", "%Y.%m.%d"])
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_dates_are_joined_with_clocks_of_every_form(tmp_path: Path, ending: str, date: str, pattern: str) -> None:
    times = pd.date_range("2024-01-30 19:00", periods=31, freq="h")
    table = table_of(times).drop(columns="timestamp")
    table.insert(0, "DATE", times.strftime(date))
    table.insert(1, CLOCKS[pattern].upper(), times.strftime(pattern))
    WRITERS[ending](table, path := tmp_path / f"A_1h{ending}")
    zone = "UTC" if date == "%d.%m.%Y" else None
    np.testing.assert_array_equal(read_bars(path, timezone=zone)[1].open_time, times.to_numpy("datetime64[ms]"))


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["0", "100", "200"], "`Date Time` must show whether it is HHMM or HHMMSS, as 09:30 does, got 0"),
        (["900", "960", "1000"], "`Date Time` must be a time of the calendar"),
    ],
)
def test_a_clock_that_may_be_two_times_is_refused(tmp_path: Path, times: list[str], message: str) -> None:
    rows = "".join(f"2024-01-01,{time},1,1,1,1\n" for time in times)
    with pytest.raises(InputError, match=message.replace("Date Time", ".*Time")):
        read_bars(write_csv(tmp_path, "Date,Time,Open,High,Low,Close\n" + rows))


def test_an_hour_beyond_the_day_is_refused(tmp_path: Path) -> None:
    rows = "".join(f"2024-01-01,{hour},1,1,1,1\n" for hour in (22, 23, 24))
    with pytest.raises(InputError, match="data row 3: `Hour` must be an hour from 0 to 23, got 24"):
        read_bars(write_csv(tmp_path, "Date,Hour,Open,High,Low,Close\n" + rows))


@pytest.mark.parametrize("kind", [int, float, str])
@pytest.mark.parametrize("pattern", ["%Y%m%d", "%Y%m%d%H%M%S"])
@pytest.mark.parametrize("ending", [".csv", ".parquet", ".json"])
def test_basic_iso_dates_are_no_epochs(tmp_path: Path, ending: str, pattern: str, kind: type) -> None:
    days = pd.date_range("2024-01-30", periods=5)
    WRITERS[ending](table_of([kind(time) for time in days.strftime(pattern)]), path := tmp_path / f"A{ending}")
    series, bars = read_bars(path)
    assert series.timeframe == "1d"
    np.testing.assert_array_equal(bars.open_time, days.to_numpy("datetime64[ms]"))


def test_a_column_that_says_utc_needs_no_zone_and_takes_none(tmp_path: Path) -> None:
    rows = "".join(f"0{day}.02.2024 00:00:00.000,1,2,0.5,1.5,1\n" for day in (1, 2, 3))
    path = write_csv(tmp_path, "Gmt time,Open,High,Low,Close,Volume\n" + rows, "EURUSD_1d.csv")
    np.testing.assert_array_equal(
        read_bars(path)[1].open_time, np.array(["2024-02-01", "2024-02-02", "2024-02-03"], "M8")
    )
    with pytest.raises(
        InputError, match=r"`timezone` must be left out for times that their column calls UTC .*got EET"
    ):
        read_bars(path, timezone="EET")


def test_missing_volume_is_nan(tmp_path: Path) -> None:
    text = "date,open,high,low,close\n2024-01-01,1,1,1,1\n2024-01-02,1,1,1,1\n"
    assert np.isnan(read_bars(write_csv(tmp_path, text, "A.csv"))[1].volume).all()


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "A_1m.csv"
    path.write_bytes(b"\xef\xbb\xbf" + csv_of(*ROWS).encode())
    assert len(read_bars(path)[1]) == 3


@pytest.mark.parametrize("per_second", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize("kind", [int, float, str])
def test_epochs_tell_their_unit_by_size(tmp_path: Path, per_second: int, kind: type) -> None:
    epochs = [kind((1_704_067_200 + 60 * minute) * per_second) for minute in range(3)]
    table_of(epochs).to_parquet(path := tmp_path / "BTC_1m.parquet")
    np.testing.assert_array_equal(read_bars(path)[1].open_time, expected_times())


@pytest.mark.parametrize(
    "pattern",
    [
        "2024-01-01 {}:{}:00",
        "2024-01-01T{}:{}:00Z",
        "2024-01-01T{}:{}",
        "2024-01-01 {}:{}:00.000000+00:00",
        "2024-01-01T{}:{}-00",
    ],
)
def test_iso_strings_are_utc(tmp_path: Path, pattern: str) -> None:
    rows = [pattern.format("00", f"0{minute}") + ",1,1,1,1,1" for minute in range(3)]
    np.testing.assert_array_equal(read_bars(write_csv(tmp_path, csv_of(*rows)))[1].open_time, expected_times())


@pytest.mark.parametrize("offset", ["+02:00", "+0200", "+02", " +02:00"])
def test_an_offset_is_taken_off(tmp_path: Path, offset: str) -> None:
    rows = [f"2024-01-01T02:0{minute}:00{offset},1,1,1,1,1" for minute in range(3)]
    np.testing.assert_array_equal(read_bars(write_csv(tmp_path, csv_of(*rows)))[1].open_time, expected_times())


@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_datetime_columns_become_utc(tmp_path: Path, zone: str | None) -> None:
    times = MINUTES if zone is None else MINUTES.tz_localize("UTC").tz_convert(zone)
    table_of(times).to_parquet(path := tmp_path / "BTC_1m.parquet")
    np.testing.assert_array_equal(read_bars(path)[1].open_time, expected_times())


def test_dates_without_times_are_read(tmp_path: Path) -> None:
    table_of([time.date() for time in pd.date_range("2024-01-01", periods=3)]).to_parquet(
        path := tmp_path / "A.parquet"
    )
    assert read_bars(path)[0].timeframe == "1d"


@pytest.mark.parametrize(
    ("name", "symbol", "column", "expected"),
    [
        ("ETHUSDT_1m.csv", "MINE", "COLUMN", "MINE"),
        ("ETHUSDT_1m.csv", None, "COLUMN", "ETHUSDT"),
        ("LTCUSDT-PERP_1m.csv", None, None, "LTCUSDT-PERP"),
        ("export.csv", None, "COLUMN", "COLUMN"),
        ("export.csv", None, None, "export"),
        ("export.csv", None, np.nan, "export"),
    ],
)
def test_symbol_comes_from_argument_then_name_then_column_then_stem(
    tmp_path: Path, name: str, symbol: str | None, column: str | None, expected: str
) -> None:
    table = table_of(MINUTES)
    (table if column is None else table.assign(Symbol=column)).to_csv(tmp_path / name, index=False)
    assert read_bars(tmp_path / name, symbol)[0].symbol == expected


@pytest.mark.parametrize("header", [",Open,High,Low,Close,Volume", '"",Open,High,Low,Close,Volume'])
def test_a_time_column_without_a_name_is_read(tmp_path: Path, header: str) -> None:
    rows = "".join(f"2024-01-01 00:0{minute},1,2,0.5,1.5,{minute}\n" for minute in range(3))
    path = write_csv(tmp_path, f"{header}\n{rows}", "A_1m.csv")
    assert find_files(tmp_path) == [path]
    bars = read_bars(path)[1]
    np.testing.assert_array_equal(bars.open_time, expected_times())
    assert bars.volume.tolist() == [0.0, 1.0, 2.0]


def test_what_pandas_writes_with_a_time_index_is_read(tmp_path: Path) -> None:
    table_of(MINUTES).set_index("timestamp").rename_axis(None).to_csv(path := tmp_path / "A_1m.csv")
    np.testing.assert_array_equal(read_bars(path)[1].open_time, expected_times())


def test_columns_that_do_not_count_may_come_twice(tmp_path: Path) -> None:
    text = "note,note,,timestamp,open,high,low,close,\na,b,,2024-01-01,1,1,1,1,\na,b,,2024-01-02,1,1,1,1,\n"
    assert len(read_bars(write_csv(tmp_path, text, "A.csv"))[1]) == 2


def test_another_kind_of_price_is_another_series_and_funding_is_none(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("BTC-1m-futures.csv", "BTC-1m-mark.csv", "BTC-1m-funding_rate.csv", "ETH_mark_1m.csv", "ETH_1m.csv")
    for number, name in enumerate(names, 1):
        rows = [row.replace(",1.5,", f",1.{number},") for row in ROWS[:1]] + list(ROWS[1:])
        write_csv(tmp_path, csv_of(*rows), name)
    import_files(BarStore(engine), find_files(tmp_path), may_replace=False)
    left_out = tmp_path / "BTC-1m-funding_rate.csv"
    assert capsys.readouterr().err == f"left out {left_out}: it holds funding rates\n"
    closes = {symbol: BarStore(engine).load(symbol, "1m").close[0] for symbol, _ in BarStore(engine).series()}
    assert closes == {"BTC@futures": 1.1, "BTC@mark": 1.2, "ETH": 1.5, "ETH@mark": 1.4}
    with pytest.raises(InputError, match="must hold bars, got funding rates by its name"):
        read_bars(left_out)
    assert read_bars(tmp_path / "BTC-1m-mark.csv", symbol="MINE")[0].symbol == "MINE"


SYMBOLS = ("0700", "005930", "1E5", "1e400", "TRUE", "true", "NA", "N/A", "null", "None", "nan", "INF", "1.0", "0x10")


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("ending", [".csv", ".txt", ".csv.gz", ".json", "_split.json", ".parquet", ".feather"])
def test_a_symbol_is_text_exactly_as_written(tmp_path: Path, ending: str, symbol: str) -> None:
    writers = {**WRITERS, ".csv.gz": WRITERS[".CSV.GZ"], ".txt": lambda table, path: table.to_csv(path, sep=";")}
    writers[ending](table_of(MINUTES).assign(Ticker=symbol), path := tmp_path / f"export{ending}")
    assert read_bars(path)[0] == Series(symbol, "1m")


def test_two_symbols_that_are_one_number_are_two(tmp_path: Path) -> None:
    table_of(MINUTES).assign(symbol=["0700", "700", "700"]).to_csv(path := tmp_path / "export.csv")
    with pytest.raises(InputError, match="data row 2: `symbol` must hold one symbol, got 0700 and 700"):
        read_bars(path)


def test_holes_do_not_hide_the_timeframe(tmp_path: Path) -> None:
    table_of(pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-08"])).to_csv(tmp_path / "A.csv")
    assert read_bars(tmp_path / "A.csv")[0] == Series("A", "1d")


def test_a_given_timeframe_settles_one_bar(tmp_path: Path) -> None:
    assert read_bars(write_csv(tmp_path, csv_of(ROWS[0]), "A.csv"), timeframe="60m")[0] == Series("A", "1h")


def test_name_and_data_may_write_one_timeframe_differently(tmp_path: Path) -> None:
    assert read_bars(write_csv(tmp_path, csv_of(*ROWS), "A_60s.csv"))[0] == Series("A", "1m")


def test_a_folder_gives_its_supported_files_by_name(tmp_path: Path) -> None:
    for name in ("b.csv", "a.parquet", "notes.md", ".hidden.csv", "sub/c.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [file.name for file in find_files(tmp_path)] == ["a.parquet", "b.csv"]


NO_BARS = {
    "MANIFEST.csv": "file,symbol,timeframe,bars\nETHUSDT_1h.csv,ETHUSDT,1h,9\n",
    "about.json": '{"exchange": "binance", "files": 3}',
    "notes.csv": "Bars of two years\nthese, and those, from here, and there\nmore\n",
    "numbers.txt": "1,2,3\n4,5,6\n",
}


def test_files_of_a_folder_that_are_no_bars_are_left_out_and_named_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = [write_csv(tmp_path, csv_of(*ROWS), "B_1m.csv"), write_csv(tmp_path, "2024;1;2\n", "C_1m.csv.gz")]
    candles = "".join(f"{1_704_067_200 + 60 * i},1,2,1,2,1\n" for i in range(3))
    bars.append(write_csv(tmp_path, candles, "D_1m.csv"))  # nameless, but of a layout that is known
    pd.DataFrame({"open": [1.0], "high": 1.0, "low": 1.0, "close": 1.0}).set_index(
        pd.DatetimeIndex(["2024-01-01"], name="date")
    ).to_parquet(tmp_path / "E_1m.parquet")
    for name, text in NO_BARS.items():
        write_csv(tmp_path, text, name)
    assert find_files(tmp_path) == [*bars, tmp_path / "E_1m.parquet"]
    told = capsys.readouterr().err.splitlines()
    assert told == [f"left out {tmp_path / name}: it has no column time, open, high, low, close" for name in NO_BARS]


def test_a_price_that_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(tmp_path, csv_of(*ROWS), "A_1m.csv")
    write_csv(tmp_path, csv_of(*ROWS).replace("high", "hihg"), "B_1m.csv")
    assert [file.name for file in find_files(tmp_path)] == ["A_1m.csv"]
    assert capsys.readouterr().err == f"left out {tmp_path / 'B_1m.csv'}: it has no column high\n"


def test_bars_that_are_broken_are_not_left_out(tmp_path: Path) -> None:
    for name, text in {"A.csv": csv_of(), "B.csv": csv_of("x,1,1,1,1,1"), "C.csv": csv_of(ROWS[0] + ",9")}.items():
        write_csv(tmp_path, text, name)
    assert len(find_files(tmp_path)) == 3


def test_a_folder_of_no_bars_is_refused(tmp_path: Path) -> None:
    for name, text in NO_BARS.items():
        write_csv(tmp_path, text, name)
    with pytest.raises(InputError, match=r"must hold files of bars, got .* 4 of none, as MANIFEST\.csv, which has no"):
        find_files(tmp_path)


def test_a_given_layout_decides_what_columns_mean(tmp_path: Path) -> None:
    for name, text in NO_BARS.items():
        write_csv(tmp_path, text, name)
    assert len(find_files(tmp_path, "bitfinex")) == 4


def test_a_file_given_by_name_is_taken_as_it_is(tmp_path: Path) -> None:
    path = write_csv(tmp_path, NO_BARS["MANIFEST.csv"], "MANIFEST.csv")
    assert find_files(path) == [path]
    with pytest.raises(InputError, match="missing time, open"):
        read_bars(path)


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"`path` must hold CSV, Parquet, Feather or JSON files, got the folder .* without"
    ):
        find_files(tmp_path)


@pytest.mark.parametrize("find", [find_files, read_bars])
def test_a_path_that_does_not_exist_is_refused(tmp_path: Path, find: Callable[[Path], object]) -> None:
    with pytest.raises(InputError, match=r"`path` must name a file.* that exists, got .*none\.csv"):
        find(tmp_path / "none.csv")


def test_an_import_reports_what_it_did(engine: Engine, tmp_path: Path) -> None:
    path = write_csv(tmp_path, csv_of(*ROWS))
    (first,) = import_files(BarStore(engine), [path])
    (second,) = import_files(BarStore(engine), [path])
    assert (first.series, first.path, first.n_changed) == (Series("BTCUSDT", "1m"), path, 3)
    assert (first.quality.n_missing, second.n_changed) == (1, 0)


def test_one_bad_file_means_nothing_is_written(engine: Engine, tmp_path: Path) -> None:
    write_csv(tmp_path, csv_of(*ROWS), "A_1m.csv")
    write_csv(tmp_path, csv_of(ROWS[0], "2024-01-01 00:01,abc,1,1,1,1"), "B_1m.csv")
    with pytest.raises(InputError, match=r"B_1m\.csv, data row 2"):
        import_files(BarStore(engine), find_files(tmp_path))
    assert BarStore(engine).series() == []


def test_files_of_one_series_merge_and_the_later_name_wins(engine: Engine, tmp_path: Path) -> None:
    write_csv(tmp_path, csv_of(*ROWS[:2]), "a.csv")
    write_csv(tmp_path, csv_of("2024-01-01 00:01,7,7,7,7,7", "2024-01-01 00:02,8,8,8,8,8"), "b.csv")
    reports = import_files(BarStore(engine), find_files(tmp_path), ReadOptions(symbol="BTC"))
    assert [report.n_changed for report in reports] == [2, 2]
    np.testing.assert_array_equal(BarStore(engine).load("BTC", "1m").close, [1.5, 7.0, 8.0])


def test_a_damaged_block_is_not_taken_for_missing_bars(engine: Engine, tmp_path: Path, make_bars: MakeBars) -> None:
    """The files span the damaged block, so whether they replace bars is unknown: they must not."""
    store, minutes = BarStore(engine), ("00:00", "00:10", "00:20")
    for minute in (0, 10, 20):
        store.write("BTCUSDT", "1m", make_bars([minute]))
    is_second = bar_blocks.c.start_time == np.datetime64("2024-01-01T00:10", "ms").astype(np.int64).item()
    with engine.begin() as connection:
        connection.execute(update(bar_blocks).where(is_second).values(checksum=0))
    files = [
        write_csv(tmp_path / name, csv_of(f"2024-01-01 {minute},1,1,1,1,1"))
        for name, minute in zip("ab", minutes[::2], strict=True)
        if not (tmp_path / name).mkdir()
    ]
    with pytest.raises((DamagedDataError, InputError)):
        import_files(store, files, may_replace=False)
    for minute in (0, 20):
        start = np.datetime64("2024-01-01", "ms") + minute * np.timedelta64(1, "m")
        assert store.load("BTCUSDT", "1m", start, start + np.timedelta64(1, "m")).close == 100.0
