import gzip
from pathlib import Path

import pandas as pd
import pytest
from csv_files import HEADER, ROWS, csv_of, write_csv

from trendtrain.errors import InputError
from trendtrain.importing import read_bars


def replaced(row: int, old: str, new: str) -> str:
    rows = list(ROWS)
    rows[row - 1] = rows[row - 1].replace(old, new, 1)
    assert rows != list(ROWS)
    return csv_of(*rows)


BAD_FILES = {
    "no bytes": ("", "A.csv", r"A\.csv: a file must hold bars, got 0 bytes"),
    "blank": ("\n\n", "A.csv", r"A\.csv: a file must hold bars, got no columns"),
    "header only": (HEADER, "A.csv", r"A\.csv: a file must hold bars, got a header without rows"),
    "column": (
        csv_of(*ROWS).replace("high", "hihg"),
        "A.csv",
        "must include .*; missing high, found timestamp, open, hihg",
    ),
    "no columns": (csv_of(*ROWS).replace(",", "&"), "A.csv", "missing time, .*, found timestamp&open"),
    "no names": ("1,2,3\n4,5,6\n", "A.csv", "missing time, .*, found 3 columns without names"),
    "twice": (csv_of(*ROWS).replace("open,", "Volume,"), "A.csv", "must come once, got 'Volume', 'volume'"),
    "twice alike": (csv_of(*ROWS).replace("open,", "close,"), "A.csv", "must come once, got 'close', 'close'"),
    "symbols twice": ("symbol,symbol," + HEADER + "A,B," + ROWS[0], "A.csv", "must come once, got 'symbol', 'symbol'"),
    "volumes twice": (
        "date,symbol,open,high,low,close,volume,volume\n2024-01-01,A,1,1,1,1,1,1\n2024-01-02,A,1,1,1,1,1,1\n",
        "A.csv",
        "must come once, got 'volume', 'volume'",
    ),
    "counter for a time": (
        ",open,high,low,close\n" + "".join(f"{i},1,1,1,1\n" for i in range(4)),
        "A.csv",
        "missing time, found Unnamed: 0, open",
    ),
    "text price": (replaced(2, "1.5", "abc"), "A.csv", r"A\.csv, data row 2: `open` must be a number, got abc"),
    "comma price": (replaced(2, "1.5", '"1,5"'), "A.csv", "data row 2: `open` must be a number, got 1,5"),
    "no price": (replaced(2, "1.5", ""), "A.csv", "data row 2: `open` must be a number, got nan"),
    "no prices": (
        replaced(2, "1.5,2,1,1,0", ",,,,"),
        "A.csv",
        "data row 2: `open` must be finite, got open nan, high nan",
    ),
    "no price but one": (replaced(2, "1.5,2,1,1", ",,,1"), "A.csv", "data row 2: `open` must be a number, got nan"),
    "infinite": (replaced(2, "2,", "inf,"), "A.csv", "data row 2: `high` must be finite"),
    "negative": (replaced(3, "1,1,1,1", "-1,1,-1,1"), "A.csv", "data row 3: `open` must be positive, got open -1"),
    "zero": (replaced(3, "1,1,1,1", "0,1,0,1"), "A.csv", "data row 3: `open` must be positive, got open 0"),
    "high < low": (
        replaced(1, "2,0.5", "0.5,2"),
        "A.csv",
        "data row 1: `high` must be at least `low`, got .*volume 10.$",
    ),
    "high": (replaced(1, "2,0.5", "1,0.5"), "A.csv", "data row 1: `high` must be at least `open` and `close`"),
    "low": (replaced(1, "0.5", "1.2"), "A.csv", "data row 1: `low` must be at most `open` and `close`"),
    "volume": (replaced(1, "10", "many"), "A.csv", "data row 1: `volume` must be a number, got many"),
    "negative volume": (replaced(1, "10", "-10"), "A.csv", "data row 1: `volume` must be at least 0"),
    "unsorted": (
        csv_of(ROWS[0], ROWS[2], ROWS[1]),
        "A.csv",
        "data row 3: times must be sorted, the oldest first, got 2024-01-01T00:01.* after 2024-01-01T00:03",
    ),
    "conflict": (
        csv_of(*ROWS).replace("00:01", "00:00"),
        "A.csv",
        "data row 1: a time must come once, got 2024-01-01.* again with other values",
    ),
    "words": (
        replaced(2, "2024-01-01 00:01", "yesterday"),
        "A.csv",
        "data row 2: `timestamp` must be a time: ISO, .*yesterday",
    ),
    "calendar": (
        replaced(3, "2024-01-01", "2024-02-30"),
        "A.csv",
        "data row 3: `timestamp` must be a time of the calendar",
    ),
    "no time": (replaced(2, "2024-01-01 00:01", ""), "A.csv", "data row 2: `timestamp` must be a time"),
    "day first": (replaced(1, "2024-01-01", "31.01.2024"), "A.csv", "data row 2: `timestamp` must be a time: ISO"),
    "some zones": (replaced(2, "00:01", "00:01Z"), "A.csv", "data row 2: `timestamp` must keep the time zone of"),
    "no zone": (
        csv_of("2024-01-01T00:00+01:00,1,1,1,1,1", "2024-01-01T00:01,1,1,1,1,1"),
        "A.csv",
        r"data row 2: `timestamp` must keep the time zone of 2024-01-01T00:00\+01:00, got 2024-01-01T00:01",
    ),
    "units": (
        csv_of("1704067200,1,1,1,1,1", "1704067260000,1,1,1,1,1"),
        "A.csv",
        "data row 2: `timestamp` must keep the unit of its first value, 1704067200, got 1704067260000",
    ),
    "epoch, then text": (
        csv_of("1704067200,1,1,1,1,1", "noon,1,1,1,1,1"),
        "A.csv",
        "data row 2: `timestamp` must be a time.*noon",
    ),
    "ragged": (
        csv_of(ROWS[0], ROWS[1] + ",9,9", ROWS[2]),
        "A.csv",
        "data row 2: a row must have 6 fields like the header, got 8",
    ),
    "ragged under a banner": (
        "https://example.org\n" + csv_of(ROWS[0], ROWS[1] + ",9,9"),
        "A.csv",
        "data row 2: a row must have 6 fields like the header, got 8",
    ),
    "ragged without a header": ("1,2,3\n4,5,6,7\n", "A.csv", "data row 2: a row must have 3 fields"),
    "all ragged": (csv_of(*(row + ",9,9" for row in ROWS[:2])), "A.csv", "data row 1: a row must have as many fields"),
    "one bar": (csv_of(ROWS[0]), "A.csv", "the timeframe of 1 bar cannot be told; give `--timeframe`"),
    "uneven": (
        csv_of(*(f"2024-01-01 00:{minute},1,1,1,1,1" for minute in ("00", "01", "06", "11"))),
        "A.csv",
        r"A\.csv, data row 1: the smallest difference of times must be the commonest, got 1m, but 5m is commoner, "
        "and 2024-01-01T00:00:00.000 alone lies off its grid; give `--timeframe 1m` or remove that row.$",
    ),
    "a stray row": (
        csv_of(*(f"2024-01-01 {clock},1,1,1,1,1" for clock in ("12:00", "13:00", "14:00", "14:47:32"))),
        "A_1h.csv",
        r"A_1h\.csv, data row 4: .* got 2852s, but 1h is commoner, and 2024-01-01T14:47:32.000 alone lies off its grid;"
        " remove that row.$",
    ),
    "a stray row of three": (
        csv_of(*(f"2024-01-01 {clock},1,1,1,1,1" for clock in ("13:47:32", "13:00", "12:00"))),
        "A.csv",
        r"A\.csv, data row 1: .* got 2852s, but 1h is commoner, .* remove that row.$",
    ),
    "two stray rows": (
        csv_of(
            *(f"2024-01-01 {clock},1,1,1,1,1" for clock in ("11:00", "12:00", "13:00", "14:00", "14:31:01", "14:47:32"))
        ),
        "A.csv",
        r"A\.csv: .* got 991s, but 1h is commoner.$",
    ),
    "off the grid": (
        csv_of(*(f"2024-01-01 {clock},1,1,1,1,1" for clock in ("13:00", "14:00", "15:00", "16:47:32"))),
        "A.csv",
        r"A\.csv, data row 4: bars must lie a whole number of timeframes \(1h\) apart, got 2024-01-01T16:47:32.000.$",
    ),
    "sub-second": (
        csv_of("1704067200000,1,1,1,1,1", "1704067200500,1,1,1,1,1"),
        "A.csv",
        "whole seconds apart, got 500 ms",
    ),
    "suffix": (csv_of(*ROWS), "A_5m.csv", r"A_5m\.csv: the name says 5m, but the bars are 1m"),
    "symbols": (
        "symbol," + HEADER + f"A,{ROWS[0]}\nB,{ROWS[1]}\n",
        "A.csv",
        "data row 2: `symbol` must hold one symbol, got A and B",
    ),
    "json": ("{", "A.json", r"A\.json: a .json file must be readable, got Expecting property name"),
    "json lists": ("[[1, 2]]", "A.json", "missing time, .*, found 2 columns without names"),
    "json numbers": ("[1, 2]", "A.json", "must be readable, got JSON must hold records or columns with names"),
    "json candles": ("[[1, 2], [1]]", "A.json", "data row 2: a candle must have 2 values like the first, got 1"),
    "json lengths": (
        '{"open": [1], "close": [1, 2]}',
        "A.json",
        "must be readable, got All arrays must be of the same length",
    ),
    "no json bars": ("[]", "A.json", "missing time, open, high, low, close, found none"),
    "parquet": ("PAR1 not at all", "A.parquet", r"A\.parquet: a .parquet file must be readable, got"),
    "feather": ("not at all", "A.feather", "a .feather file must be readable, got"),
    "gzip": (csv_of(*ROWS), "A.csv.gz", "a .csv.gz file must be readable, got Not a gzipped file"),
    "extension": (
        csv_of(*ROWS),
        "A.xlsx",
        "`path` must end in one of .csv, .csv.gz, .txt, .parquet, .feather, .json, .json.gz, .zip, got .*A.xlsx",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    text, name, message = BAD_FILES[case]
    path = write_csv(tmp_path, text, name)
    with pytest.raises(InputError, match=message) as caught:
        read_bars(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_row_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_bars(write_csv(tmp_path, replaced(2, "2,", "inf,"), "A.csv"))
    assert " at row" not in str(caught.value)


def test_a_cut_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "A.csv.gz"
    path.write_bytes(gzip.compress(csv_of(*ROWS).encode())[:-12])
    with pytest.raises(InputError, match=r"a .csv.gz file must be readable, got"):
        read_bars(path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "A.csv"
    path.write_bytes(csv_of(*ROWS).replace("open", "öffnen").encode("latin-1"))
    with pytest.raises(InputError, match=r"a .csv file must be UTF-8 text, or UTF-16 with its mark, got byte 0xf6"):
        read_bars(path)


def test_booleans_are_no_prices(tmp_path: Path) -> None:
    pd.DataFrame({"date": ["2024-01-01"], "open": True, "high": 1, "low": 1, "close": 1}).to_parquet(
        path := tmp_path / "A.parquet"
    )
    with pytest.raises(InputError, match="data row 1: `open` must be a number, got True"):
        read_bars(path)


@pytest.mark.parametrize(
    ("timeframe", "message"),
    [
        ("5m", "`--timeframe` is 5m, but the bars are 1m"),
        ("30s", "`--timeframe` is 30s, but the bars are 1m"),  # they would count as known 30 s before their close
        ("1 min", "`timeframe` must look like 1s, 5m, 1h, 1d or 1w, got '1 min'"),
    ],
)
def test_a_given_timeframe_must_fit(tmp_path: Path, timeframe: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_bars(write_csv(tmp_path, csv_of(*ROWS), "A.csv"), timeframe=timeframe)


def test_a_given_timeframe_must_agree_with_the_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the name says 1m, but the bars are 5m"):
        read_bars(write_csv(tmp_path, csv_of(ROWS[0]), "A_1m.csv"), timeframe="5m")


def test_an_empty_symbol_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`symbol` must be a name without spaces around it, got ''"):
        read_bars(write_csv(tmp_path, csv_of(*ROWS)), symbol="")
