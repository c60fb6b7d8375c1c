"""Files with two rows of headers: the prices in one, their symbol in the other."""

import io
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.errors import InputError
from trendtrain.importing import find_files, read_bars
from trendtrain.importing.headers import join_rows
from trendtrain.market.bars import BarsError, Series

PRICES = ("Open", "High", "Low", "Close", "Volume")
DAYS = pd.date_range("2024-01-01", periods=4, name="Date")


def wide(*symbols: str, is_symbol_first: bool = False) -> pd.DataFrame:
    """Return prices of each symbol side by side, as `yfinance.download` does."""
    names = ("Ticker", "Price") if is_symbol_first else ("Price", "Ticker")
    pairs = [(s, p) if is_symbol_first else (p, s) for p, s in product(PRICES, symbols)]
    one = {"Open": 2.0, "High": 4.0, "Low": 1.0, "Close": 3.0, "Volume": 7.0}
    rows = [[one[p if p in one else s] + day for p, s in pairs] for day in range(len(DAYS))]
    return pd.DataFrame(rows, DAYS, pd.MultiIndex.from_tuples(pairs, names=names))


def check(path: Path, symbol: str) -> None:
    series, bars = read_bars(path)
    assert series == Series(symbol, "1d")
    np.testing.assert_array_equal(bars.open_time, DAYS.to_numpy("datetime64[ms]"))
    for column, first in ((bars.open, 2), (bars.high, 4), (bars.low, 1), (bars.close, 3), (bars.volume, 7)):
        np.testing.assert_array_equal(column, first + np.arange(4.0))


FORMS = {
    "named": lambda table: table,
    "without names of levels": lambda table: table.rename_axis([None, None], axis=1),
    "without a name of the index": lambda table: table.rename_axis(None),
    "without any name": lambda table: table.rename_axis([None, None], axis=1).rename_axis(None),
    "time as a column": lambda table: table.reset_index(),
}


@pytest.mark.parametrize("symbol", ["AAPL", "0700", "TRUE", "NA", "EURUSD=X", "^GSPC"])
@pytest.mark.parametrize("is_symbol_first", [False, True])
@pytest.mark.parametrize("form", ["named", "time as a column"])
@pytest.mark.parametrize("ending", [".csv", ".parquet", "_semicolons.txt", "_gz.csv.gz"])
def test_two_rows_of_headers_with_one_symbol_are_read(
    tmp_path: Path, ending: str, form: str, is_symbol_first: bool, symbol: str
) -> None:
    table, path = FORMS[form](wide(symbol, is_symbol_first=is_symbol_first)), tmp_path / f"export{ending}"
    if ending == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, sep=";" if ending.endswith(".txt") else ",", index=form == "named")
    if symbol.isdigit() and form == "time as a column" and ending != ".parquet" and not is_symbol_first:
        with pytest.raises(InputError, match="must be a time"):  # nothing tells it from a row of data
            read_bars(path)
        return
    assert find_files(tmp_path) == [path]
    check(path, symbol)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("is_symbol_first", [False, True])
def test_the_rows_may_lack_names(tmp_path: Path, form: str, is_symbol_first: bool) -> None:
    table = FORMS[form](wide("AAPL", is_symbol_first=is_symbol_first))
    table.to_csv(path := tmp_path / "export.csv", index=form != "time as a column")
    check(path, "AAPL")
    table.to_parquet(path := tmp_path / "export.parquet")
    check(path, "AAPL")


def test_a_symbol_that_stands_once_above_its_columns_is_read(tmp_path: Path) -> None:
    text = wide("AAPL").droplevel(1, axis=1).to_csv()
    (path := tmp_path / "export.csv").write_text(",AAPL,,,,\n" + text)
    check(path, "AAPL")


def test_json_with_two_levels_of_columns_is_read(tmp_path: Path) -> None:
    wide("AAPL").to_json(path := tmp_path / "export.json", orient="split", date_format="iso")
    check(path, "AAPL")


@pytest.mark.parametrize("is_symbol_first", [False, True])
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_two_symbols_side_by_side_are_refused(tmp_path: Path, ending: str, is_symbol_first: bool) -> None:
    table = wide("AAPL", "MSFT", is_symbol_first=is_symbol_first)
    path = tmp_path / f"export{ending}"
    table.to_csv(path) if ending == ".csv" else table.to_parquet(path)
    with pytest.raises(InputError, match=r"must hold one symbol \(flatten the two header rows.*got AAPL, MSFT\.$"):
        read_bars(path)


def test_three_levels_are_refused(tmp_path: Path) -> None:
    table = pd.concat({"daily": wide("AAPL")}, axis=1)
    table.to_parquet(path := tmp_path / "export.parquet")
    with pytest.raises(InputError, match=r"columns must have one level of names \(flatten them\)"):
        read_bars(path)


def test_the_name_of_the_file_counts_before_the_symbol_in_it(tmp_path: Path) -> None:
    wide("AAPL").to_csv(path := tmp_path / "APPLE_1d.csv")
    assert read_bars(path)[0].symbol == "APPLE"


CELLS = st.sampled_from(["", "AAPL", "x", "1.5", "7", "2024-01-01", "nan", "Date", "Open", "Close", "note", "0700"])


@given(first=CELLS, cells=st.lists(st.floats(0.1, 1e6), min_size=5, max_size=5))
def test_a_row_of_data_is_never_taken_for_a_header(first: str, cells: list[float]) -> None:
    text = wide("AAPL").droplevel(1, axis=1).to_csv().splitlines()[0]
    header = next(iter(pd.read_csv(io.StringIO(text), header=None, dtype=str).to_numpy().tolist()))
    row = [first, *(f"{cell:g}" for cell in cells)]
    assert join_rows([header, row]) is None
    assert join_rows([header, row, row]) is None


@given(st.lists(st.lists(CELLS, min_size=1, max_size=7), max_size=3))
def test_any_first_rows_are_joined_or_left_or_refused_in_one_line(rows: list[list[str]]) -> None:
    try:
        header = join_rows(rows)
    except BarsError:
        return
    assert header is None or len(header.names) == len(rows[0])


@pytest.mark.parametrize("row", [["2024-01-01", *"xxxx"], ["note", *[""] * 4], ["note", "x", "", "x", "x"]])
def test_a_damaged_row_below_the_names_is_no_header(row: list[str]) -> None:
    assert join_rows([["Date", "Open", "High", "Low", "Close"], row]) is None
